/* SPDX-License-Identifier: Apache-2.0 */
#include "base/schema.h"

#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static int check_even_length(const char *value, GError **err)
{
	return (strlen(value) % 2 == 0) ? 0 : err_set(err, EINVAL, "odd");
}

static char *canonical_upper(const char *value)
{
	return g_ascii_strup(value, -1);
}

static const char *const colours[] = {"red", "green", NULL};

static const SchemaOption table[] = {
	{.name = "memory", .type = SCHEMA_INTEGER, .limited = true, .min = 16, .max = 1024},
	{.name = "offset", .type = SCHEMA_INTEGER, .limited = true, .min = -5, .max = 5},
	{.name = "limit", .type = SCHEMA_NUMBER, .limited = true, .max = 8192},
	{.name = "onboot", .type = SCHEMA_BOOLEAN},
	{.name = "colour", .type = SCHEMA_ENUM, .values = colours},
	{.name = "net", .type = SCHEMA_STRING, .n_index = 32},
	{.name = "even", .type = SCHEMA_STRING, .length_max = 4, .check = check_even_length},
	{.name = "upper", .type = SCHEMA_STRING, .canonical = canonical_upper},
	{0},
};

static void families_match_their_numbers_only(void **state)
{
	static const char *const wrong[] = {
		"net", "net32", "net01", "net-1", "net1x", "nett1", "memory0"};
	unsigned index = 99;

	assert_string_equal(schema_find(table, "net31", &index)->name, "net");
	assert_int_equal(index, 31);
	assert_string_equal(schema_find(table, "memory", &index)->name, "memory");
	assert_int_equal(index, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_null(schema_find(table, wrong[i], &index));
}

typedef struct Case {
	const char *key, *value;
	const char *input; /* Canonical text, or NULL where input is refused. */
	const char *file;  /* The same for a configuration file. */
} Case;

static const Case cases[] = {
	{"memory", "16", "16", "16"},
	{"memory", "007", NULL, "7"},
	{"memory", "15", NULL, "15"},
	{"memory", "1025", NULL, "1025"},
	{"memory", "", NULL, NULL},
	{"memory", "-1", NULL, NULL},
	{"memory", "1k", NULL, NULL},
	{"memory", " 16", NULL, NULL},
	{"memory", "99999999999999999999", NULL, NULL},
	{"offset", "-5", "-5", "-5"},
	{"offset", "-6", NULL, "-6"},
	{"offset", "-", NULL, NULL},
	{"limit", "1.5", "1.5", "1.5"},
	{"limit", "1.", NULL, NULL},
	{"limit", ".5", NULL, NULL},
	{"limit", "1e3", NULL, NULL},
	{"limit", "8193", NULL, "8193"},
	{"onboot", "YES", "1", "1"},
	{"onboot", "off", "0", "0"},
	{"onboot", "2", NULL, NULL},
	{"colour", "red", "red", "red"},
	{"colour", "blue", NULL, "blue"},
	{"even", "ab", "ab", "ab"},
	{"even", "abc", NULL, NULL},
	{"even", "abcdef", NULL, NULL},
	{"upper", "ab", "AB", "AB"},
};

static void assert_case(const Case *c, SchemaStrictness strictness, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *canonical = NULL;
	int r = schema_normalize(
		schema_find(table, c->key, NULL), strictness, c->value, &canonical, &error);

	if (expected) {
		assert_int_equal(r, 0);
		assert_string_equal(canonical, expected);
	} else {
		assert_int_equal(r, -EINVAL);
		assert_null(canonical);
		assert_non_null(error);
	}
}

static void values_are_checked_and_made_canonical(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		assert_case(&cases[i], SCHEMA_INPUT, cases[i].input);
		assert_case(&cases[i], SCHEMA_FILE, cases[i].file);
	}
}

static void help_names_types_and_limits(void **state)
{
	g_autofree char *memory = schema_type_dup_help(&table[0]);
	g_autofree char *colour = schema_type_dup_help(schema_find(table, "colour", NULL));

	assert_string_equal(memory, "<integer> (16 - 1024)");
	assert_string_equal(colour, "<red | green>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_match_their_numbers_only),
		cmocka_unit_test(values_are_checked_and_made_canonical),
		cmocka_unit_test(help_names_types_and_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
