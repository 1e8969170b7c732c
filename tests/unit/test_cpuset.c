/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/cpuset.h"

#include "base/macro.h"
#include "tests/unit/test.h"

/* out: NULL is refused. */
static const struct {
	const char *in;
	const char *out;
} cases[] = {
	{"0-3\n", "0-3"},
	{"3,1,2,0", "0-3"},
	{"0,2-3,5,7-9", "0,2-3,5,7-9"},
	{"8191", "8191"},
	{"", ""},
	{"\n", ""},
	{"3-1", NULL},
	{"1,", NULL},
	{"a", NULL},
	{"-1", NULL},
	{"8192", NULL},
	{"0-8192", NULL},
};

static void sets_are_read_and_written(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GArray) cpus = NULL;
		g_autofree char *text = NULL;
		int r = cpuset_parse(cases[i].in, &cpus);

		if (r != (cases[i].out ? 0 : -EINVAL))
			fail_msg("'%s' gave %d", cases[i].in, r);
		if (r < 0)
			continue;
		text = cpuset_to_string(cpus);
		assert_string_equal(text, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sets_are_read_and_written)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
