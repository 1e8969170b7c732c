/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxc.h"
#include "base/macro.h"
#include "tests/unit/test.h"

#define STAMP "atoll 100 20261121230646.988 "

static void first_error_is_the_reason(void **state)
{
	g_autofree char *reason = ct_lxc_log_reason(
		STAMP "WARN     conf - ../src/lxc/conf.c:f:1 - not this\n" STAMP
		      "ERROR    conf - ../src/lxc/conf.c:mount_autodev:1232 - Permission denied - "
		      "Failed to create \"/dev\" directory\n" STAMP
		      "ERROR    start - ../src/lxc/start.c:g:2 - a consequence\n");

	assert_string_equal(reason, "Failed to create \"/dev\" directory: Permission denied");
}

static void reason_may_lack_an_errno(void **state)
{
	g_autofree char *reason = ct_lxc_log_reason(
		STAMP "ERROR    utils - ../src/lxc/utils.c:run_buffer:571 - Script exited\n");

	assert_string_equal(reason, "Script exited");
}

static void log_without_error_has_no_reason(void **state)
{
	assert_null(ct_lxc_log_reason(""));
	assert_null(ct_lxc_log_reason(STAMP "INFO     conf - x:y:1 - fine\n"));
}

static void unknown_shape_is_kept_as_it_is(void **state)
{
	g_autofree char *reason = ct_lxc_log_reason("x ERROR broken");

	assert_string_equal(reason, "ERROR broken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_error_is_the_reason),
		cmocka_unit_test(reason_may_lack_an_errno),
		cmocka_unit_test(log_without_error_has_no_reason),
		cmocka_unit_test(unknown_shape_is_kept_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
