/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/idnames.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

static void names_are_found_in_the_file(void **state)
{
	static const char text[] = "root:x:0:0:root:/root:/bin/sh\n"
				   "# a comment\n"
				   "broken\n"
				   "wrong:x:many:\n"
				   "huge:x:4294967295:\n"
				   "adm:x:4:";
	static const struct {
		const char *name;
		int64_t id;
	} cases[] = {
		{"root", 0},
		{"adm", 4},
		{"broken", -ENOENT},
		{"wrong", -ENOENT},
		{"huge", -ENOENT},
		{"", -ENOENT},
		{"nobody", -ENOENT},
	};
	g_autofree char *path = g_build_filename(*state, "group", NULL);

	assert_int_equal(file_replace(path, text, strlen(text), 0644), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(id_by_name(path, cases[i].name), cases[i].id);
}

static void without_a_file_there_are_no_names(void **state)
{
	g_autofree char *path = g_build_filename(*state, "none", NULL);

	assert_int_equal(id_by_name(path, "root"), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			names_are_found_in_the_file, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			without_a_file_there_are_no_names, tmpdir_set_up, tmpdir_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
