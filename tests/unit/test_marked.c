/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/marked.h"

#include "base/macro.h"
#include "tests/unit/test.h"

#define BEGIN MARKED_BEGIN "\n"
#define END   MARKED_END "\n"

static void sections_come_out_as_wanted(void **state)
{
	static const struct {
		const char *old, *text;
		MarkedPlace place;
		const char *expected;
	} cases[] = {
		{NULL, "", MARKED_APPEND, NULL},
		{NULL, "a", MARKED_APPEND, BEGIN "a\n" END},
		{"own", "a\n", MARKED_APPEND, "own\n" BEGIN "a\n" END},
		{"own\n", "a\n", MARKED_PREPEND, BEGIN "a\n" END "own\n"},
		{"own\n", "a\n", MARKED_REPLACE_ALL, BEGIN "a\n" END},
		{"own\n", "", MARKED_APPEND, NULL},
		{"x\n" BEGIN "old\n" END "y\n", "a\n", MARKED_REPLACE_ALL,
			"x\n" BEGIN "a\n" END "y\n"},
		{"x\n" BEGIN "old\n" END "y\n", "", MARKED_APPEND, "x\ny\n"},
		{BEGIN "old\n" END, "", MARKED_PREPEND, ""},
		{"x\n #---  BEGIN PVE---\nold\n# --- END  PVE ---", "a\n", MARKED_APPEND,
			"x\n" BEGIN "a\n" END},
		/* Half a section is none. */
		{END "x\n" BEGIN, "a\n", MARKED_APPEND, END "x\n" BEGIN BEGIN "a\n" END},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *result = marked_apply(cases[i].old, cases[i].text, cases[i].place);

		if (cases[i].expected)
			assert_string_equal(result, cases[i].expected);
		else
			assert_null(result);
	}
}

static void stripping_leaves_the_rest(void **state)
{
	g_autofree char *stripped = marked_strip("a\n" BEGIN "b\n" END "c\n");
	g_autofree char *untouched = marked_strip("a\n");

	assert_string_equal(stripped, "a\nc\n");
	assert_string_equal(untouched, "a\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_come_out_as_wanted),
		cmocka_unit_test(stripping_leaves_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
