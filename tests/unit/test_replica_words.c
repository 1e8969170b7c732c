/* SPDX-License-Identifier: Apache-2.0 */

/* How many messages a change costs: who acknowledges, when, and which changes travel together. */

#include <string.h>

#include "base/macro.h"
#include "tests/unit/replicas.h"

static uint64_t n_sent(struct fixture *f, unsigned i)
{
	return status(&f->nodes[i]).counters.sent;
}

/* All three are level, and have said what there is to say. */
static void begin(struct fixture *f)
{
	set_view(f, ALL);
	settle(f, ALL);
	pass(f, ALL, 1000);
	pass(f, ALL, 1000);
}

static void note_sent(struct fixture *f, uint64_t *ret)
{
	for (unsigned i = 0; i < N_NODES; i++)
		ret[i] = n_sent(f, i);
}

static void assert_sent(
	struct fixture *f, const uint64_t *before, unsigned first, unsigned second, unsigned third)
{
	const unsigned expected[N_NODES] = {first, second, third};

	for (unsigned i = 0; i < N_NODES; i++)
		assert_int_equal(n_sent(f, i) - before[i], expected[i]);
}

static void an_origin_is_answered_after_one_word_of_another(void **state)
{
	struct fixture *f = *state;
	uint64_t before[N_NODES];

	begin(f);
	note_sent(f, before);
	create_files(f, ALL, 0, 1);
	assert_sent(f, before, 1, 1, 0);
	/* The second has its own disk and no word of another; the third has heard the second. */
	assert_false(has(&f->nodes[1], "f0"));
	assert_true(has(&f->nodes[2], "f0"));
	pass(f, ALL, RIDE_MS);
	assert_true(has(&f->nodes[1], "f0"));
	assert_sent(f, before, 2, 1, 0);
	pass(f, ALL, 100);
	assert_sent(f, before, 2, 1, 0);
}

static void the_origins_own_word_rides_with_its_next_change(void **state)
{
	struct fixture *f = *state;
	uint64_t before[N_NODES];

	begin(f);
	note_sent(f, before);
	for (unsigned i = 0; i < 20; i++) {
		create_files(f, ALL, i, 1);
		f->now_ms += RIDE_MS - 1;
		if (i > 0)
			assert_int_equal(status(&f->nodes[1]).commit, i);
	}
	assert_sent(f, before, 20, 20, 0);
}

static void the_lowest_other_member_speaks(void **state)
{
	struct fixture *f = *state;
	uint64_t before[N_NODES];

	begin(f);
	note_sent(f, before);
	assert_int_equal(submit(&f->nodes[2], 1, "c"), 0);
	settle(f, ALL);
	assert_int_equal(f->nodes[2].answers[0], 0);
	assert_sent(f, before, 1, 0, 1);
}

static void a_member_whose_word_is_not_needed_speaks_when_others_do_not(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_int_equal(submit(&f->nodes[0], 1, "a"), 0);
	settle_without(f, ALL, 2);
	assert_int_equal(f->nodes[0].answers[0], 1);
	f->now_ms += 4;
	replica_tick(f->nodes[2].replica);
	settle_without(f, ALL, 2);
	assert_int_equal(f->nodes[0].answers[0], 1);
	f->now_ms += 1;
	replica_tick(f->nodes[2].replica);
	settle_without(f, ALL, 2);
	assert_int_equal(f->nodes[0].answers[0], 0);
	settle(f, ALL);
}

static void all_say_how_far_they_are_after_a_while(void **state)
{
	struct fixture *f = *state;
	uint64_t before[N_NODES];

	begin(f);
	note_sent(f, before);
	create_files(f, ALL, 0, 1);
	pass(f, ALL, RIDE_MS);
	assert_sent(f, before, 2, 1, 0);
	pass(f, ALL, 1000);
	assert_sent(f, before, 2, 1, 1);
	assert_int_equal(status(&f->nodes[0]).members[2].acknowledged, 1);
}

/* While some wait for the disk, others gather, as many as these. */
static void changes_gather_while_others_are_under_way(void **state)
{
	static const unsigned sent_after[] = {1, 2, 2, 3, 3, 3, 3, 4, 4};
	struct fixture *f = *state;
	uint64_t before[N_NODES];

	begin(f);
	note_sent(f, before);
	for (unsigned i = 0; i < G_N_ELEMENTS(sent_after); i++) {
		g_autofree char *path = g_strdup_printf("f%u", i);

		assert_int_equal(submit(&f->nodes[0], i + 1, path), 0);
		while (deliver(f, ALL))
			;
		assert_int_equal(n_sent(f, 0) - before[0], sent_after[i]);
	}
	settle(f, ALL);
	for (unsigned i = 0; i < G_N_ELEMENTS(sent_after); i++)
		assert_int_equal(f->nodes[0].answers[i], 0);
}

#define WORDS_TEST(name) cmocka_unit_test_setup_teardown(name, replicas_set_up, replicas_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WORDS_TEST(an_origin_is_answered_after_one_word_of_another),
		WORDS_TEST(the_origins_own_word_rides_with_its_next_change),
		WORDS_TEST(the_lowest_other_member_speaks),
		WORDS_TEST(a_member_whose_word_is_not_needed_speaks_when_others_do_not),
		WORDS_TEST(all_say_how_far_they_are_after_a_while),
		WORDS_TEST(changes_gather_while_others_are_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
