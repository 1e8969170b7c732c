/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/state.h"
#include "base/macro.h"
#include "tests/unit/test.h"

#define LINE "0000000000000000: 00000002 00000000 00010000 0001 01 15064 "

static void listening_monitors_are_running_containers(void **state)
{
	g_autoptr(GArray) ids = ct_state_parse_running(
		"Num       RefCount Protocol Flags    Type St Inode Path\n" LINE
		"@/var/lib/lxc/200/command\n" LINE "/run/x.sock\n" LINE
		"@/var/lib/lxc/100/command\n");

	assert_int_equal(ids->len, 2);
	assert_int_equal(g_array_index(ids, unsigned, 0), 100);
	assert_int_equal(g_array_index(ids, unsigned, 1), 200);
}

static void connections_do_not_count_twice(void **state)
{
	g_autoptr(GArray) ids = ct_state_parse_running(
		LINE "@/var/lib/lxc/100/command\n" LINE "@/var/lib/lxc/100/command\n");

	assert_int_equal(ids->len, 1);
}

static void other_sockets_are_no_containers(void **state)
{
	static const char *const names[] = {
		"",
		"@/var/lib/lxc/",
		"@/var/lib/lxc/command",
		"@/var/lib/lxc//command",
		"@/var/lib/lxc/100",
		"@/var/lib/lxc/099/command",
		"@/var/lib/lxc/web/command",
		"@/var/lib/lxc/100/command2",
		"@/var/lib/lxc/100/sub/command",
		"@/var/lib/lxc/9999999999/command",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = g_strconcat(LINE, names[i], "\n", NULL);
		g_autoptr(GArray) ids = ct_state_parse_running(text);

		assert_int_equal(ids->len, 0);
	}
}

static void run_time_files_carry_the_id(void **state)
{
	g_autofree char *path = ct_state_dup_path(100, "err");

	assert_string_equal(path, "/run/atoll/ct-100.err");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listening_monitors_are_running_containers),
		cmocka_unit_test(connections_do_not_count_twice),
		cmocka_unit_test(other_sockets_are_no_containers),
		cmocka_unit_test(run_time_files_carry_the_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
