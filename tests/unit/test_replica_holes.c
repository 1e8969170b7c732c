/* SPDX-License-Identifier: Apache-2.0 */

/* What a change of view leaves of a log, when members have missed messages of others and go on to
 * deliver their own behind them (R14). */

#include <string.h>

#include "base/macro.h"
#include "tests/unit/replicas.h"

static void begin(struct fixture *f)
{
	set_view(f, ALL);
	settle(f, ALL);
}

/* The third member speaks only when the first one does not. */
static void commit_without_first(struct fixture *f)
{
	settle(f, 6);
	pass(f, 6, 10);
	assert_int_equal(f->nodes[1].answers[0], 0);
}

/* The first node delivers changes of its own; the others never do, but commit one of theirs. */
static void part_behind_a_hole(struct fixture *f)
{
	assert_int_equal(submit(&f->nodes[1], 1, "b"), 0);
	commit_without_first(f);
	assert_int_equal(submit(&f->nodes[0], 1, "a1"), 0);
	assert_true(deliver(f, 1));
	assert_int_equal(submit(&f->nodes[0], 2, "a2"), 0);
	assert_true(deliver(f, 1));
	assert_int_equal(status(&f->nodes[0]).last, 2);
}

static void a_longer_log_behind_a_hole_displaces_nothing(void **state)
{
	struct fixture *f = *state;

	begin(f);
	part_behind_a_hole(f);
	set_view(f, ALL);
	settle(f, ALL);
	pass(f, ALL, RIDE_MS);
	for (unsigned i = 0; i < N_NODES; i++) {
		assert_true(has(&f->nodes[i], "b"));
		assert_true(has(&f->nodes[i], "a1"));
		assert_true(has(&f->nodes[i], "a2"));
		assert_int_equal(status(&f->nodes[i]).commit, 3);
	}
	assert_int_equal(f->nodes[0].answers[0], 0);
	assert_int_equal(f->nodes[0].answers[1], 0);
}

static void a_change_of_view_leaves_what_was_acknowledged_in_time(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	uint64_t first;

	begin(f);
	first = status(node).last;
	assert_int_equal(submit(node, 1, "a"), 0);
	assert_true(deliver(f, 1));
	assert_true(finish_disk(node, 0));
	/* Its acknowledgement comes back to it, and gets to nobody else. */
	while (deliver(f, 1))
		;
	assert_int_equal(submit(node, 2, "b"), 0);
	assert_true(deliver(f, 1));
	assert_true(finish_disk(node, 0));
	assert_int_equal(status(node).last, first + 2);
	set_view(f, 1);
	assert_int_equal(status(node).last, first + 1);
	assert_int_equal(status(node).commit, first);
}

static void the_disk_forgets_with_the_log(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	begin(f);
	part_behind_a_hole(f);
	set_view(f, 1);
	/* The first entry is on its way, and must not stay. */
	assert_int_equal(node->batch->entries->len, 1);
	assert_true(finish_disk(node, 0));
	assert_non_null(node->batch);
	assert_true(node->batch->sync);
	assert_int_equal(node->batch->log_cut, 0);
	assert_int_equal(node->batch->entries->len, 0);
	/* From now on it knows that what is there is certain, whatever happens to it. */
	assert_int_equal(node->batch->scalars.settled, node->batch->scalars.adopted);
	assert_true(finish_disk(node, 0));
	assert_null(node->batch);
}

static void a_promise_is_not_on_the_disk_before_it_has_forgotten(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	begin(f);
	part_behind_a_hole(f);
	set_view(f, 3);
	settle_without(f, 3, 1);
	assert_true(finish_disk(node, 0));
	assert_int_equal(node->batch->log_cut, 0);
	assert_true(node->batch->scalars.promised > node->batch->scalars.adopted);
}

/* Starts the node from what its disk would hold if the batch under way were written. */
static void restart(struct node *node)
{
	g_autoptr(ReplicaBatch) disk = replica_batch_new();

	disk->scalars = node->batch->scalars;
	for (guint i = 0; i < node->batch->entries->len; i++)
		replica_batch_add_entry(disk, g_ptr_array_index(node->batch->entries, i));
	node->batch = NULL;
	node->replica = replica_free(node->replica);
	start(node, node->id + 1000, disk);
}

static void who_has_restarted_believes_those_who_have_not(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	begin(f);
	assert_int_equal(submit(&f->nodes[1], 1, "b"), 0);
	commit_without_first(f);
	assert_int_equal(submit(node, 1, "a1"), 0);
	assert_true(deliver(f, 1));
	assert_non_null(node->batch);
	restart(node);
	assert_int_equal(status(node).last, 1);

	/* Its log is as long as that of the others, and its number is lower. */
	set_view(f, 3);
	settle(f, 3);
	assert_true(has(node, "b"));
	assert_false(has(node, "a1"));
	assert_true(has(&f->nodes[1], "b"));
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
}

static void who_has_restarted_knows_what_it_may_have_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	begin(f);
	/* Its disk has the entry, and so has the second one's: it is committed there. */
	assert_int_equal(submit(&f->nodes[1], 1, "b"), 0);
	assert_true(deliver(f, ALL));
	assert_non_null(node->batch);
	restart(node);
	assert_int_equal(status(node).last, 1);
	assert_int_equal(status(node).commit, 0);

	set_view(f, 5);
	settle(f, 5);
	assert_true(has(node, "b"));
	assert_true(has(&f->nodes[2], "b"));
}

static void who_lost_the_bus_may_have_been_counted_on(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	begin(f);
	assert_int_equal(submit(node, 1, "a"), 0);
	assert_true(deliver(f, 1));
	assert_true(finish_disk(node, 0));
	/* Its acknowledgement may have got to others, but not back. */
	replica_view_changed(node->replica, NULL, 0);
	assert_int_equal(status(node).last, 1);
	set_view(f, 3);
	settle(f, 3);
	assert_true(has(&f->nodes[1], "a"));
}

#define HOLES_TEST(name) cmocka_unit_test_setup_teardown(name, replicas_set_up, replicas_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HOLES_TEST(a_longer_log_behind_a_hole_displaces_nothing),
		HOLES_TEST(a_change_of_view_leaves_what_was_acknowledged_in_time),
		HOLES_TEST(the_disk_forgets_with_the_log),
		HOLES_TEST(a_promise_is_not_on_the_disk_before_it_has_forgotten),
		HOLES_TEST(who_has_restarted_believes_those_who_have_not),
		HOLES_TEST(who_has_restarted_knows_what_it_may_have_acknowledged),
		HOLES_TEST(who_lost_the_bus_may_have_been_counted_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
