/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static const SchemaOption options[] = {
	{.name = "vmid", .type = SCHEMA_STRING},
	{.name = "node", .type = SCHEMA_STRING},
	{.name = "memory", .type = SCHEMA_INTEGER},
	{.name = "start", .type = SCHEMA_BOOLEAN},
	{.name = "password", .type = SCHEMA_STRING, .flags = SCHEMA_SECRET},
	{.name = "net", .type = SCHEMA_STRING, .n_index = 32},
	{.name = "tags", .type = SCHEMA_STRING, .flags = SCHEMA_LIST},
	{.name = "env", .type = SCHEMA_STRING, .flags = SCHEMA_LINES},
	{.name = "parent", .type = SCHEMA_STRING, .flags = SCHEMA_HIDDEN},
	{.name = "rows", .type = SCHEMA_INTEGER, .flags = SCHEMA_INTERNAL},
	{0},
};

static const SchemaOption rest_options[] = {
	{.name = "command", .type = SCHEMA_STRING, .flags = SCHEMA_MULTIPLE},
	{0},
};

static const char *const positionals[] = {"vmid", "node", NULL};
static const ArgsSpec spec = {{options}, positionals, 1};

static const char *const rest_positionals[] = {"vmid", "command", NULL};
static const ArgsSpec rest_spec = {{options, rest_options}, rest_positionals, 1};

#define ARGV_MAX 10

static int parse(const ArgsSpec *s, const char *const *argv, Args **ret, GError **err)
{
	return args_parse(s, (int)g_strv_length((char **)argv), (char *const *)argv, ret, err);
}

static void options_are_written_in_several_ways(void **state)
{
	static const char *const ways[][ARGV_MAX] = {
		{"100", "--memory", "64"},
		{"--memory", "64", "100"},
		{"100", "--memory=64"},
		{"-memory", "64", "100"},
		{"-memory=64", "--", "100"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		g_autoptr(Args) args = NULL;

		assert_int_equal(parse(&spec, ways[i], &args, NULL), 0);
		assert_string_equal(args_get(args, "memory"), "64");
		assert_string_equal(args_get(args, "vmid"), "100");
		assert_null(args_get(args, "node"));
	}
}

static void booleans_may_leave_their_value_out(void **state)
{
	static const struct {
		const char *argv[ARGV_MAX];
		const char *start;
	} cases[] = {
		{{"--start", "100"}, "1"},
		{{"100", "--start"}, "1"},
		{{"--start", "0", "100"}, "0"},
		{{"--start", "--memory", "64", "100"}, "1"},
		{{"--start=off", "100"}, "off"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Args) args = NULL;

		assert_int_equal(parse(&spec, cases[i].argv, &args, NULL), 0);
		assert_string_equal(args_get(args, "start"), cases[i].start);
		assert_string_equal(args_get(args, "vmid"), "100");
	}
}

static void a_secret_without_value_is_empty(void **state)
{
	static const char *const argv[] = {"100", "--password", "--start", NULL};
	g_autoptr(Args) args = NULL;

	assert_int_equal(parse(&spec, argv, &args, NULL), 0);
	assert_string_equal(args_get(args, "password"), "");
	assert_true(args_get_boolean(args, "start", false));
}

static void the_rest_is_not_looked_at(void **state)
{
	static const char *const lines[][ARGV_MAX] = {
		{"100", "--", "ls", "--memory", "-l"},
		{"100", "ls", "--memory", "-l"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_autoptr(Args) args = NULL;
		const char *const *rest;

		assert_int_equal(parse(&rest_spec, lines[i], &args, NULL), 0);
		rest = args_rest(args);
		assert_int_equal(g_strv_length((char **)rest), 3);
		assert_string_equal(rest[0], "ls");
		assert_string_equal(rest[1], "--memory");
		assert_null(args_get(args, "memory"));
	}
}

static void mistakes_have_a_sentence(void **state)
{
	static const struct {
		const char *argv[ARGV_MAX];
		const char *sentence;
	} cases[] = {
		{{NULL}, "400 not enough arguments"},
		{{"1", "2", "3"}, "400 too many arguments"},
		{{"1", "--colour", "red"}, "Unknown option: colour"},
		{{"1", "--net32", "x"}, "Unknown option: net32"},
		{{"--vmid", "1"}, "Unknown option: vmid"},
		{{"1", "--parent", "x"}, "Unknown option: parent"},
		{{"1", "--rows", "1"}, "Unknown option: rows"},
		{{"1", "--memory"}, "Option memory requires an argument"},
		{{"1", "--memory", "1", "--memory", "2"}, "Option memory is given twice"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		Args *args = NULL;

		assert_int_equal(parse(&spec, cases[i].argv, &args, &error), -EINVAL);
		assert_null(args);
		assert_string_equal(error->message, cases[i].sentence);
	}
}

static void lists_may_be_repeated(void **state)
{
	static const char *const argv[] = {
		"1", "--tags", "a", "--tags=b;c", "--env", "A=1,2", "--env=B=3", NULL};
	g_autoptr(Args) args = NULL;

	assert_int_equal(parse(&spec, argv, &args, NULL), 0);
	assert_string_equal(args_get(args, "tags"), "a,b;c");
	assert_string_equal(args_get(args, "env"), "A=1,2\nB=3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_may_be_repeated),
		cmocka_unit_test(options_are_written_in_several_ways),
		cmocka_unit_test(booleans_may_leave_their_value_out),
		cmocka_unit_test(a_secret_without_value_is_empty),
		cmocka_unit_test(the_rest_is_not_looked_at),
		cmocka_unit_test(mistakes_have_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
