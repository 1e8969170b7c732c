/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/section.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static int set_up(void **state)
{
	*state = ct_section_new();
	return 0;
}

static int tear_down(void **state)
{
	ct_section_free(*state);
	return 0;
}

static void defaults_come_from_the_schema(void **state)
{
	CtSection *section = *state;

	assert_int_equal(ct_section_get_integer(section, "memory"), 512);
	assert_int_equal(ct_section_get_integer(section, "swap"), 0);
	assert_int_equal(ct_section_get_integer(section, "cores"), 0);
	assert_true(ct_section_get_boolean(section, "console"));
	assert_false(ct_section_get_boolean(section, "unprivileged"));
}

static void values_win_over_defaults_unless_they_are_broken(void **state)
{
	CtSection *section = *state;

	ct_section_set(section, "memory", "1024");
	ct_section_set(section, "swap", "lots");
	ct_section_set(section, "cpulimit", "1.5");
	ct_section_set(section, "console", "no");
	assert_int_equal(ct_section_get_integer(section, "memory"), 1024);
	assert_int_equal(ct_section_get_integer(section, "swap"), 0);
	assert_true(ct_section_get_number(section, "cpulimit") == 1.5);
	assert_false(ct_section_get_boolean(section, "console"));
}

static void empty_values_are_none(void **state)
{
	CtSection *section = *state;

	ct_section_set(section, "tags", "a");
	ct_section_set(section, "tags", " ");
	ct_section_set(section, "description", "");
	assert_null(ct_section_get(section, "tags"));
	assert_true(ct_section_is_empty(section));
}

static void keys_are_in_byte_order(void **state)
{
	static const char *const expected[] = {"mp0", "mp10", "mp2", "onboot"};
	CtSection *section = *state;
	g_autoptr(GPtrArray) keys = NULL;

	for (size_t i = G_N_ELEMENTS(expected); i > 0; i--)
		ct_section_set(section, expected[i - 1], "1");
	keys = ct_section_keys(section);
	assert_int_equal(keys->len, G_N_ELEMENTS(expected));
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
		assert_string_equal(g_ptr_array_index(keys, i), expected[i]);
}

static void a_copy_has_all_and_is_its_own(void **state)
{
	CtSection *section = *state;
	g_autoptr(CtSection) copy = ct_section_new();

	ct_section_set(copy, "cores", "9");
	ct_section_set(section, "memory", "1024");
	ct_section_add_raw(section, "lxc.cap.drop", "a");
	ct_section_add_raw(section, "lxc.cap.drop", "b");
	ct_section_copy(copy, section);
	ct_section_clear(section);

	assert_null(ct_section_get(copy, "cores"));
	assert_string_equal(ct_section_get(copy, "memory"), "1024");
	assert_int_equal(ct_section_raw(copy)->len, 2);
	assert_true(ct_section_has_raw(copy, "lxc.cap.drop"));
	assert_false(ct_section_has_raw(copy, "lxc.cap.keep"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults_come_from_the_schema, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			values_win_over_defaults_unless_they_are_broken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_values_are_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_are_in_byte_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_has_all_and_is_its_own, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
