/* SPDX-License-Identifier: Apache-2.0 */
#include "base/propstring.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static const SchemaOption props[] = {
	{.name = "volume", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED | SCHEMA_DEFAULT_KEY},
	{.name = "mp", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED},
	{.name = "size", .type = SCHEMA_STRING},
	{.name = "acl", .type = SCHEMA_BOOLEAN},
	{.name = "count", .type = SCHEMA_INTEGER},
	{0},
};

static const SchemaOption props_without_default[] = {
	{.name = "a", .type = SCHEMA_STRING},
	{0},
};

static void canonical_text_is_sorted(void **state)
{
	g_autoptr(PropString) ps = NULL;
	g_autofree char *text = NULL;

	assert_int_equal(propstring_parse(props, SCHEMA_INPUT, ",size=4G,acl=yes,,mp=/a=b,local:1",
				 &ps, NULL),
		0);
	text = propstring_to_string(ps);
	assert_string_equal(text, "local:1,mp=/a=b,acl=1,size=4G");
}

static void default_key_may_be_named(void **state)
{
	g_autoptr(PropString) ps = NULL;

	assert_int_equal(propstring_parse(props, SCHEMA_INPUT, "volume=x:y,mp=/m", &ps, NULL), 0);
	assert_string_equal(propstring_get(ps, "volume"), "x:y");
}

static void default_key_is_printed_where_its_value_has_an_equals_sign(void **state)
{
	g_autoptr(PropString) ps = NULL;
	g_autofree char *text = NULL;

	assert_int_equal(propstring_parse(props, SCHEMA_INPUT, "volume=x:a=b,mp=/m", &ps, NULL), 0);
	text = propstring_to_string(ps);
	assert_string_equal(text, "volume=x:a=b,mp=/m");
}

static void each_mistake_has_its_line(void **state)
{
	static const struct {
		const SchemaOption *props;
		const char *text, *reason;
	} cases[] = {
		{props, "a,b", "\nvolume: duplicate key"},
		{props, "a,mp=/x,mp=/y", "\nmp: duplicate key"},
		{props, "a,mp=/x,foo=1", "\nfoo: property is not defined"},
		{props, "a", "\nmp: property is missing"},
		{props, "a,mp=/x,acl=maybe", "\nacl: type check ('boolean')"},
		{props, "", "\nvolume: property is missing"},
		{props_without_default, "x", "\nx: value without key"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		PropString *ps = NULL;

		assert_int_equal(
			propstring_parse(cases[i].props, SCHEMA_INPUT, cases[i].text, &ps, &error),
			-EINVAL);
		assert_null(ps);
		assert_true(g_str_has_prefix(error->message, "format error\n"));
		assert_non_null(strstr(error->message, cases[i].reason));
	}
}

static void values_are_set_and_removed(void **state)
{
	g_autoptr(PropString) ps = propstring_new(props);

	propstring_set(ps, "count", "7");
	propstring_set(ps, "acl", "1");
	assert_int_equal(propstring_get_integer(ps, "count", 3), 7);
	assert_true(propstring_get_boolean(ps, "acl", false));

	propstring_set(ps, "count", NULL);
	assert_null(propstring_get(ps, "count"));
	assert_int_equal(propstring_get_integer(ps, "count", 3), 3);
}

static void sizes_are_binary(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"1000", 0, 1000},
		{"4G", 0, INT64_C(4) << 30},
		{"1.5K", 0, 1536},
		{"0.0001K", 0, 0},
		{"2TiB", 0, INT64_C(2) << 40},
		{"9007199254740993", 0, INT64_C(9007199254740993)},
		{"", -EINVAL, 0},
		{"G", -EINVAL, 0},
		{"1.G", -EINVAL, 0},
		{"1X", -EINVAL, 0},
		{"1Gi", -EINVAL, 0},
		{"1GB", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"99999999T", -ERANGE, 0},
		{"9999999999999999999999999999999999999999999", -EINVAL, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int64_t bytes = -1;

		assert_int_equal(size_parse(cases[i].text, &bytes), cases[i].r);
		assert_int_equal(bytes, cases[i].r < 0 ? -1 : cases[i].bytes);
	}
}

static void sizes_print_in_the_largest_even_unit(void **state)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} cases[] = {{0, "0"}, {1000, "1000"}, {1024, "1K"}, {1536 << 10, "1536K"},
		{INT64_C(4) << 30, "4G"}};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = size_to_string(cases[i].bytes);

		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_text_is_sorted),
		cmocka_unit_test(default_key_may_be_named),
		cmocka_unit_test(default_key_is_printed_where_its_value_has_an_equals_sign),
		cmocka_unit_test(each_mistake_has_its_line),
		cmocka_unit_test(values_are_set_and_removed),
		cmocka_unit_test(sizes_are_binary),
		cmocka_unit_test(sizes_print_in_the_largest_even_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
