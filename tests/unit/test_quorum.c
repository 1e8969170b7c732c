/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/quorum.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static void quorum_is_what_the_store_says(void **state)
{
	static const struct {
		const char *members;
		QuorumState state;
	} cases[] = {
		{"{\"nodename\":\"n1\",\"cluster\":{\"nodes\":3,\"quorate\":1}}", QUORUM_YES},
		{"{\"nodename\":\"n1\",\"cluster\":{\"nodes\":3,\"quorate\":0}}", QUORUM_NO},
		{"{\"nodename\":\"n1\",\"cluster\":{\"nodes\":3}}", QUORUM_NO},
		{"{\"nodename\":\"n1\",\"cluster\":{\"nodes\":0,\"quorate\":0}}", QUORUM_UNKNOWN},
		{"{\"nodename\":\"n1\",\"cluster\":{}}", QUORUM_UNKNOWN},
		/* A node without a cluster. */
		{"{\"nodename\":\"n1\",\"version\":1}", QUORUM_YES},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		QuorumState found = QUORUM_NO;

		assert_int_equal(quorum_parse(cases[i].members, &found), 0);
		assert_int_equal(found, cases[i].state);
	}
}

static void damaged_text_is_refused(void **state)
{
	QuorumState quorate = QUORUM_NO;

	assert_int_equal(quorum_parse("{\"cluster\"", &quorate), -EBADMSG);
	assert_int_equal(quorum_parse("[]", &quorate), -EBADMSG);
	assert_int_equal(quorum_parse("", &quorate), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quorum_is_what_the_store_says),
		cmocka_unit_test(damaged_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
