/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/beside.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static GArray *nodes_of(const uint32_t *nodes, unsigned n_nodes)
{
	GArray *made = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	beside_remember(made, nodes, n_nodes);
	return made;
}

static void types_tell_messages_apart(void **state)
{
	static const uint8_t status[] = {WIRE_VERSION, BESIDE_STATUS},
			     ops[] = {WIRE_VERSION, WIRE_OPS}, later[] = {WIRE_VERSION, 200},
			     other[] = {WIRE_VERSION + 1, BESIDE_LOG};

	assert_int_equal(beside_type(status, 2), BESIDE_STATUS);
	assert_int_equal(beside_type(status, 1), 0);
	assert_int_equal(beside_type(ops, 2), 0);
	/* What a later version sends beside the log is not the replica's either; another version of
	 * everything is. */
	assert_int_equal(beside_type(later, 2), 200);
	assert_int_equal(beside_type(other, 2), 0);
	assert_true((int)WIRE_N_TYPES <= (int)BESIDE_FIRST);
}

static void the_lowest_who_stayed_speaks(void **state)
{
	static const uint32_t before_nodes[] = {2, 3, 5}, nodes[] = {1, 3, 5};
	g_autoptr(GArray) before = nodes_of(before_nodes, 3);
	g_autoptr(GArray) none = nodes_of(NULL, 0);

	assert_int_equal(beside_speaker(before, nodes, 3, 5), 3);
	assert_int_equal(beside_speaker(before, nodes, 3, 3), 3);
	/* Who comes alone speaks for himself. */
	assert_int_equal(beside_speaker(none, nodes, 3, 1), 1);
	assert_int_equal(beside_speaker(before, NULL, 0, 5), 5);
}

static void newcomers_are_those_who_were_not_there(void **state)
{
	static const uint32_t before_nodes[] = {1, 2}, fewer[] = {2}, more[] = {2, 3};
	g_autoptr(GArray) before = nodes_of(before_nodes, 2);

	assert_false(beside_has_newcomers(before, fewer, 1));
	assert_true(beside_has_newcomers(before, more, 2));
	assert_false(beside_has_newcomers(before, NULL, 0));
	beside_remember(before, more, 2);
	assert_true(beside_contains(before, 3));
	assert_false(beside_contains(before, 1));
}

static void little_is_under_way_at_a_time(void **state)
{
	BesideFlow flow = {0};

	assert_int_equal(beside_flow_check(&flow), 0);
	beside_flow_sent(&flow, BESIDE_UNDER_WAY_MAX - 1);
	assert_int_equal(beside_flow_check(&flow), 0);
	beside_flow_sent(&flow, 100);
	assert_int_equal(beside_flow_check(&flow), -EAGAIN);
	beside_flow_back(&flow, 100);
	assert_int_equal(beside_flow_check(&flow), 0);
	/* More than is counted comes back when the count began anew in between. */
	beside_flow_back(&flow, SIZE_MAX);
	beside_flow_sent(&flow, BESIDE_UNDER_WAY_MAX);
	assert_int_equal(beside_flow_check(&flow), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_tell_messages_apart),
		cmocka_unit_test(the_lowest_who_stayed_speaks),
		cmocka_unit_test(newcomers_are_those_who_were_not_there),
		cmocka_unit_test(little_is_under_way_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
