/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/state.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

/* What listens for a container that no host has; by user uid, who may be somebody else. */
static int listen_as(uid_t uid)
{
	static const char name[] = "\0/var/lib/lxc/999999998/command";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, sizeof(name) - 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
				 offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1),
		0);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(seteuid(getuid()), 0);
	return fd_steal(&fd);
}

static void a_monitor_is_asked_who_it_is(void **state)
{
	auto_close int fd = listen_as(geteuid());

	assert_int_equal(ct_state_check_monitor(999999998, NULL), 0);
	fd_clear(&fd);
	assert_int_equal(ct_state_check_monitor(999999998, NULL), -ECONNREFUSED);
}

static void a_socket_of_another_user_is_no_monitor(void **state)
{
	auto_close int fd = -1;

	if (geteuid() != 0)
		skip(); /* Nobody else can be had. */
	fd = listen_as(65534);
	assert_int_equal(ct_state_check_monitor(999999998, NULL), -EPERM);
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
		cmocka_unit_test(a_monitor_is_asked_who_it_is),
		cmocka_unit_test(a_socket_of_another_user_is_no_monitor),
		cmocka_unit_test(run_time_files_carry_the_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
