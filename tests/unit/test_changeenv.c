/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/changeenv.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static void value_is_found_by_its_key(void **state)
{
	g_autofree char *value = datacenter_find(
		"keyboard: de\nmac_prefix_x: no\nmac_prefix:  02:00:00 \n", "mac_prefix");

	assert_string_equal(value, "02:00:00");
}

static void missing_key_has_no_value(void **state)
{
	assert_null(datacenter_find("", "mac_prefix"));
	assert_null(datacenter_find("keyboard: de\n mac_prefix: 02:00:00\n", "mac_prefix"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_is_found_by_its_key),
		cmocka_unit_test(missing_key_has_no_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
