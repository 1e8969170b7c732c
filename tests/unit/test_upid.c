/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/api/upid.h"
#include "base/macro.h"

#define EXAMPLE "UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:"

static void text_survives_parse_and_print(void **state)
{
	static const char *const texts[] = {
		EXAMPLE,
		"UPID:n1:000004D2:123456789:6530F1A3:vzcreate:100:root@pam:",
		"UPID:node-2:7FFFFFFF:00000000:00000000:startall::root@pam:",
		"UPID:n1:00000001:00000001:FFFFFFFF:download:local:u.s-er@pve!token:",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(Upid) upid = NULL;
		g_autofree char *text = NULL;

		assert_int_equal(upid_parse(texts[i], &upid, NULL), 0);
		text = upid_to_string(upid);
		assert_string_equal(text, texts[i]);
	}
}

static void fields_are_taken_apart(void **state)
{
	g_autoptr(Upid) upid = NULL;

	assert_int_equal(upid_parse(EXAMPLE, &upid, NULL), 0);
	assert_string_equal(upid->node, "n1");
	assert_int_equal(upid->pid, 1234);
	assert_int_equal(upid->pid_start_ticks, 0xABCDEF);
	assert_int_equal(upid->start_s, 0x6530F1A3);
	assert_string_equal(upid->type, "vzcreate");
	assert_string_equal(upid->user, "root@pam");
	assert_int_equal(upid_vmid(upid), 100);
}

static void text_that_is_no_upid_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"UPID",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam::",
		"UPID:n1:000004d2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:4D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:00000000:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:FFFFFFFF:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:000004D2:00ABCDEF:16530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:000004D2:000ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID::000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3::100:root@pam:",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100::",
		"UPID:../n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:../../x:root@pam:",
		"UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) err = NULL;
		g_autofree char *path = upid_dup_log_path("/x", texts[i]);
		Upid *upid = NULL;

		assert_int_equal(upid_parse(texts[i], &upid, &err), -EINVAL);
		assert_null(upid);
		assert_non_null(err);
		assert_null(path);
	}
}

static void overlong_text_is_refused(void **state)
{
	g_autofree char *type = g_strnfill(UPID_LENGTH_MAX, 'a');
	g_autofree char *text =
		g_strdup_printf("UPID:n1:000004D2:00ABCDEF:6530F1A3:%s::root@pam:", type);
	Upid *upid = NULL;

	assert_int_equal(upid_parse(text, &upid, NULL), -EINVAL);
}

static void log_lies_below_last_digit_of_start(void **state)
{
	g_autofree char *path = upid_dup_log_path("/tasks", EXAMPLE);

	assert_string_equal(path, "/tasks/3/" EXAMPLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_survives_parse_and_print),
		cmocka_unit_test(fields_are_taken_apart),
		cmocka_unit_test(text_that_is_no_upid_is_refused),
		cmocka_unit_test(overlong_text_is_refused),
		cmocka_unit_test(log_lies_below_last_digit_of_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
