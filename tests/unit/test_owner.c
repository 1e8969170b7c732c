/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/owner.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void owner_is_named_by_the_list(void **state)
{
	static const struct {
		const char *text, *vmid, *node;
	} cases[] = {
		{"{\"version\":3,\"ids\":{\"100\":{\"node\":\"n1\",\"type\":\"lxc\"}}}", "100",
			"n1"},
		{"{\"version\":3,\"ids\":{\"100\":{\"node\":\"n1\",\"type\":\"lxc\"}}}", "101",
			NULL},
		{"{\"version\":1}", "100", NULL},
		{"{\"ids\":{\"100\":{\"node\":7}}}", "100", NULL},
		{"{\"ids\":[]}", "100", NULL},
		{"", "100", NULL},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *node =
			owner_parse(cases[i].text, strlen(cases[i].text), cases[i].vmid);

		assert_true(str_equal(node, cases[i].node));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owner_is_named_by_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
