/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/config.h"

#include "base/macro.h"
#include "tests/unit/golden.h"
#include "tests/unit/test.h"

static CtConfig *parse(const char *text, GPtrArray *warnings)
{
	g_autoptr(GError) error = NULL;
	CtConfig *config = NULL;

	if (ct_config_parse(text, strlen(text), false, &config, warnings, &error) < 0)
		fail_msg("%s", error->message);
	return config;
}

static char *print(const CtConfig *config)
{
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	if (ct_config_print(config, &text, &error) < 0)
		fail_msg("%s", error->message);
	return text;
}

static char *join_lines(const GPtrArray *lines)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < lines->len; i++)
		g_string_append_printf(text, "%s\n", (char *)g_ptr_array_index(lines, i));
	return g_string_free(text, FALSE);
}

static void check_golden(const char *name)
{
	g_autofree char *in = golden_read("config", name, "in");
	g_autofree char *out = golden_read("config", name, "out");
	g_autofree char *expected_warnings = golden_read("config", name, "warnings");
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = parse(in, warnings);
	g_autofree char *printed = print(config);
	g_autofree char *reported = join_lines(warnings);
	g_autoptr(CtConfig) again = parse(printed, NULL);
	g_autofree char *printed_again = print(again);

	assert_string_equal(printed, out);
	assert_string_equal(reported, expected_warnings);
	assert_string_equal(printed_again, printed);
}

static void golden_files_come_out_as_expected(void **state)
{
	g_autoptr(GPtrArray) names = golden_names("config");

	for (unsigned i = 0; i < names->len; i++)
		check_golden(g_ptr_array_index(names, i));
}

static void what_we_wrote_gives_the_same_bytes(void **state)
{
	g_autofree char *in = golden_read("config", "ours", "in");
	g_autoptr(CtConfig) config = parse(in, NULL);
	g_autofree char *out = print(config);

	assert_string_equal(in, out);
}

static void strict_mode_fails_at_the_first_problem(void **state)
{
	static const char text[] = "cores: 2\nwarp: 9\nwarp2: 9\n";
	g_autoptr(GError) error = NULL;
	CtConfig *config = NULL;

	assert_int_equal(ct_config_parse(text, strlen(text), true, &config, NULL, &error), -EINVAL);
	assert_string_equal(error->message, "line 2: unknown option 'warp'");
	assert_null(config);
}

static void too_large_a_file_is_refused(void **state)
{
	g_autofree char *text = g_strnfill(CT_CONFIG_SIZE_MAX + 1, '\n');
	CtConfig *config = NULL;

	assert_int_equal(
		ct_config_parse(text, CT_CONFIG_SIZE_MAX + 1, false, &config, NULL, NULL), -EFBIG);
	assert_int_equal(ct_config_parse("a\0b", 3, false, &config, NULL, NULL), -EINVAL);
	assert_null(config);
}

static void reports_have_a_limit(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL;

	for (int i = 0; i < 500; i++)
		g_string_append(text, "?\n");
	config = parse(text->str, warnings);
	assert_int_equal(warnings->len, 101);
	assert_string_equal(
		g_ptr_array_index(warnings, 100), "line 101: further problems are not listed");
}

static void descriptions_survive_any_text(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(CtConfig) again = NULL;
	g_autofree char *text = NULL;

	ct_section_set(ct_config_current(config), "description", "a: 1%\n\n\tb\x7f\u00e9 \n%0A");
	text = print(config);
	assert_string_equal(text, "#a%3A 1%25\n#\n#%09b%7F%C3%A9 \n#%250A\n");

	again = parse(text, NULL);
	assert_string_equal(ct_section_get(ct_config_current(again), "description"),
		"a: 1%\n\n\tb\x7f\u00e9 \n%0A\n");
}

static void broken_escapes_and_bytes_are_no_harm(void **state)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = parse("#%4 %zz %00 %\n#%ff\nname\xff: 1\n", warnings);

	assert_string_equal(ct_section_get(ct_config_current(config), "description"),
		"%4 %zz %00 %\n\xef\xbf\xbd\n");
	assert_int_equal(warnings->len, 2);
}

static void values_with_a_newline_cannot_be_written(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(GError) error = NULL;
	char *text = NULL;

	ct_section_set(ct_config_current(config), "hostname", "a\nmemory: 1");
	assert_int_equal(ct_config_print(config, &text, &error), -EINVAL);
	assert_string_equal(error->message, "value of 'hostname' has a newline");
	assert_null(text);
}

static void environment_is_one_option_with_a_line_per_variable(void **state)
{
	g_autoptr(CtConfig) config =
		parse("lxc.environment.runtime: A=1\nlxc.environment.runtime = B=2\n", NULL);

	assert_string_equal(ct_section_get(ct_config_current(config), "env"), "A=1\nB=2");
	assert_int_equal(ct_section_raw(ct_config_current(config))->len, 0);
}

static void digest_is_sha1_of_the_text(void **state)
{
	g_autofree char *digest = ct_config_dup_digest("abc", 3);

	assert_string_equal(digest, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void snapshots_are_found_sorted_and_removed(void **state)
{
	g_autoptr(CtConfig) config = parse("[bb]\ncores: 1\n[Aa]\ncores: 2\n", NULL);
	g_autoptr(GPtrArray) names = ct_config_snapshot_names(config);

	assert_int_equal(names->len, 2);
	assert_string_equal(g_ptr_array_index(names, 0), "Aa");
	assert_string_equal(ct_section_get(ct_config_snapshot(config, "Aa"), "cores"), "2");
	ct_config_remove_snapshot(config, "Aa");
	assert_null(ct_config_snapshot(config, "Aa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files_come_out_as_expected),
		cmocka_unit_test(what_we_wrote_gives_the_same_bytes),
		cmocka_unit_test(strict_mode_fails_at_the_first_problem),
		cmocka_unit_test(too_large_a_file_is_refused),
		cmocka_unit_test(reports_have_a_limit),
		cmocka_unit_test(descriptions_survive_any_text),
		cmocka_unit_test(broken_escapes_and_bytes_are_no_harm),
		cmocka_unit_test(values_with_a_newline_cannot_be_written),
		cmocka_unit_test(environment_is_one_option_with_a_line_per_variable),
		cmocka_unit_test(digest_is_sha1_of_the_text),
		cmocka_unit_test(snapshots_are_found_sorted_and_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
