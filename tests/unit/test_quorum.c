/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/quorum.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static void quorum_is_what_the_store_says(void **state)
{
	bool quorate = false;

	assert_int_equal(quorum_parse("{\"nodename\":\"n1\",\"version\":4,"
				      "\"cluster\":{\"name\":\"x\",\"quorate\":1}}",
				 &quorate),
		0);
	assert_true(quorate);
	assert_int_equal(quorum_parse("{\"cluster\":{\"quorate\":0}}", &quorate), 0);
	assert_false(quorate);
}

static void missing_answer_is_no_quorum(void **state)
{
	bool quorate = true;

	assert_int_equal(quorum_parse("{\"cluster\":{}}", &quorate), 0);
	assert_false(quorate);
}

static void node_without_cluster_is_quorate(void **state)
{
	bool quorate = false;

	assert_int_equal(quorum_parse("{\"nodename\":\"n1\",\"version\":1}", &quorate), 0);
	assert_true(quorate);
}

static void damaged_text_is_refused(void **state)
{
	bool quorate = true;

	assert_int_equal(quorum_parse("{\"cluster\"", &quorate), -EBADMSG);
	assert_int_equal(quorum_parse("[]", &quorate), -EBADMSG);
	assert_int_equal(quorum_parse("", &quorate), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quorum_is_what_the_store_says),
		cmocka_unit_test(missing_answer_is_no_quorum),
		cmocka_unit_test(node_without_cluster_is_quorate),
		cmocka_unit_test(damaged_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
