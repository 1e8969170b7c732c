/* SPDX-License-Identifier: Apache-2.0 */

/* What a member that differs gets, and from where. */

#include <string.h>

#include "base/macro.h"
#include "tests/unit/replicas.h"

static void a_member_that_was_away_gets_the_end_of_the_log(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 1);
	set_view(f, 3);
	settle(f, 3);
	create_files(f, 3, 1, 10);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(status(&f->nodes[2]).commit, 11);
	assert_int_equal(status(&f->nodes[2]).counters.logs_in, 1);
	assert_int_equal(status(&f->nodes[0]).counters.logs_out, 1);
	assert_int_equal(status(&f->nodes[0]).counters.transfers_out, 0);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

static void a_member_that_diverged_keeps_what_is_committed(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 1);
	/* Nobody but the third gets this change. */
	assert_int_equal(submit(&f->nodes[2], 1, "lost"), 0);
	settle(f, 4);
	set_view(f, 3);
	settle(f, 3);
	create_files(f, 3, 1, 3);
	assert_int_equal(status(&f->nodes[2]).last, 2);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[2]).counters.logs_in, 1);
	assert_int_equal(status(&f->nodes[2]).counters.transfers_in, 0);
	/* Its own change has gone, and was sent again. */
	pass(f, 7, RIDE_MS);
	assert_int_equal(f->nodes[2].answers[0], 0);
	assert_int_equal(status(&f->nodes[2]).commit, 5);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

static void who_misses_least_is_served_first(void **state)
{
	struct fixture *f = *state;
	unsigned n_steps = 0;

	set_view(f, 7);
	settle(f, 7);
	set_view(f, 3);
	settle(f, 3);
	create_files(f, 3, 0, 20);
	/* The last change is only with the first. */
	assert_int_equal(submit(&f->nodes[0], 21, "f20"), 0);
	settle(f, 1);
	set_view(f, 7);
	while (status(&f->nodes[1]).state != REPLICA_STATE_ACTIVE) {
		(void)deliver(f, 7);
		for (unsigned i = 0; i < N_NODES; i++)
			(void)finish_disk(&f->nodes[i], 0);
		assert_true(n_steps++ < 1000);
	}
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_CATCHING_UP);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[2]).counters.logs_in, 1);
	assert_int_equal(f->nodes[0].answers[20], 0);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

/* Streams that end with a piece, or just behind one. */
static void streams_of_any_length_end(void **state)
{
	struct fixture *f = *state;

	for (unsigned length = 1; length <= 100; length++) {
		g_autofree char *path = g_strnfill(length, 'x');

		set_view(f, 3);
		settle(f, 3);
		f->nodes[0].answers[0] = 1;
		assert_int_equal(replica_submit(f->nodes[0].replica, op_new(OP_UNLINK, path),
					 GUINT_TO_POINTER(1)),
			0);
		settle(f, 3);
		assert_int_equal(f->nodes[0].answers[0], -ENOENT);
		set_view(f, 7);
		settle(f, 7);
		assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_ACTIVE);
		assert_int_equal(status(&f->nodes[2]).last, length);
	}
}

/* The third is away for longer than logs reach back. */
static void be_away_for_long(struct fixture *f)
{
	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 20);
	pass(f, 7, 2000);
	set_view(f, 3);
	settle(f, 3);
	create_files(f, 3, 20, 20);
	assert_int_equal(
		replica_submit(f->nodes[0].replica, op_new(OP_UNLINK, "f3"), GUINT_TO_POINTER(50)),
		0);
	settle(f, 3);
	f->nodes[2].n_rows = 0;
}

static void go_on(struct fixture *f)
{
	(void)deliver(f, 7);
	for (unsigned i = 0; i < N_NODES; i++)
		(void)finish_disk(&f->nodes[i], 0);
}

/* All meet, until the third begins to catch up. */
static void meet(struct fixture *f)
{
	unsigned n_steps = 0;

	set_view(f, 7);
	while (status(&f->nodes[2]).state != REPLICA_STATE_CATCHING_UP) {
		go_on(f);
		assert_true(n_steps++ < 100);
	}
}

static void a_member_that_was_away_for_long_gets_what_differs(void **state)
{
	struct fixture *f = *state;

	be_away_for_long(f);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(status(&f->nodes[2]).counters.transfers_in, 1);
	assert_int_equal(status(&f->nodes[0]).counters.transfers_out, 1);
	assert_int_equal(f->nodes[2].n_rows, 20);
	assert_false(has(&f->nodes[2], "f3"));
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
	/* What follows finds the log where it should be. */
	create_files(f, 7, 40, 1);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

static void what_changes_during_a_transfer_is_in_it(void **state)
{
	static const char *const paths[] = {"f1", "f30", "f39"};
	struct fixture *f = *state;
	unsigned n_steps = 0, n_changes = 0;

	be_away_for_long(f);
	meet(f);
	while (status(&f->nodes[2]).state != REPLICA_STATE_ACTIVE) {
		if (n_steps++ % 4 == 0 && n_changes < 10) {
			Op *op = op_new(n_changes == 7 ? OP_UNLINK : OP_UTIME,
				paths[n_changes % G_N_ELEMENTS(paths)]);

			if (op->type == OP_UTIME)
				op->mtime_s = n_steps;
			n_changes++;
			assert_int_equal(replica_submit(f->nodes[0].replica, op,
						 GUINT_TO_POINTER(50 + n_changes)),
				0);
		}
		go_on(f);
		assert_true(n_steps < 1000);
	}
	settle(f, 7);
	assert_int_equal(n_changes, 10);
	assert_int_equal(status(&f->nodes[2]).counters.transfers_in, 1);
	assert_int_equal(status(&f->nodes[2]).commit, status(&f->nodes[0]).commit);
	assert_false(has(&f->nodes[2], "f30"));
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

static void a_source_that_dies_is_followed_by_another(void **state)
{
	struct fixture *f = *state;

	be_away_for_long(f);
	meet(f);
	for (unsigned i = 0; i < 6; i++)
		go_on(f);
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_CATCHING_UP);
	set_view(f, 6);
	settle(f, 6);
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_ACTIVE);
	assert_same_trees(&f->nodes[1], &f->nodes[2]);
}

static void a_transfer_that_the_disk_refuses_leaves_what_was(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[2];

	be_away_for_long(f);
	set_view(f, 7);
	settle_without(f, 7, 4);
	/* Its promise, and then what differs. */
	assert_true(finish_disk(node, 0));
	assert_non_null(node->batch);
	assert_true(node->batch->new_origins);
	assert_true(finish_disk(node, -ENOSPC));
	assert_false(has(node, "f39"));
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
	assert_same_trees(&f->nodes[0], node);
}

static void a_stream_without_sense_is_asked_for_anew(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[2];
	WireMessage message = {
		.type = WIRE_PIECE, .piece = {.bytes = (const uint8_t *)"?", .size = 1}};
	g_autoptr(GBytes) nonsense = NULL;
	gsize size;
	const uint8_t *bytes;

	be_away_for_long(f);
	meet(f);
	message.view = current_view(f);
	message.piece.epoch = status(&f->nodes[0]).epoch;
	nonsense = wire_encode(&message);
	bytes = g_bytes_get_data(nonsense, &size);
	g_queue_clear_full(&f->bus, (GDestroyNotify)g_bytes_unref);
	replica_message(node->replica, 1, bytes, size);
	assert_int_equal(node->n_bad, 1);
	assert_int_equal(node->bad_error, -EBADMSG);
	settle(f, 7);
	assert_int_equal(status(node).state, REPLICA_STATE_CATCHING_UP);
	/* The source's own piece is lost for it; the member asks when it has waited. */
	replica_message(f->nodes[0].replica, 1, bytes, size);
	pass(f, 7, 600);
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
	assert_same_trees(&f->nodes[0], node);
}

static void a_silent_source_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[2];

	be_away_for_long(f);
	meet(f);
	/* The first stands still, with what it has sent. */
	g_queue_clear_full(&f->bus, (GDestroyNotify)g_bytes_unref);
	pass(f, 6, 10000);
	pass(f, 6, 2000);
	assert_int_equal(status(&f->nodes[1]).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
	assert_same_trees(&f->nodes[1], node);
}

static void a_member_that_stands_still_holds_up_no_other(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[2];
	const uint32_t alone = 1;

	/* The second and the third are away; the first writes on the operator's word. */
	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 5);
	tell_quorum(&f->nodes[0], N_NODES, 1, true, false);
	replica_view_changed(f->nodes[0].replica, &alone, 1);
	settle(f, 1);
	create_files(f, 1, 5, 30);
	meet(f);
	/* The second, whose turn it is, gets nothing more. */
	settle(f, 5);
	assert_int_equal(status(node).state, REPLICA_STATE_CATCHING_UP);
	pass(f, 5, 2000);
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
	assert_same_trees(&f->nodes[0], node);
}

/* After the operator's word on both sides of a cut, entries of one number need not be equal. */
static void histories_that_have_parted_become_one(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 3);
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *path = g_strdup_printf("own%u", i);

		tell_quorum(&f->nodes[i], N_NODES, 1, true, false);
		replica_view_changed(f->nodes[i].replica, &f->nodes[i].id, 1);
		settle(f, 1U << i);
		assert_int_equal(submit(&f->nodes[i], 60, path), 0);
		settle(f, 1U << i);
		assert_int_equal(f->nodes[i].answers[59], 0);
	}
	create_files(f, 3, 0, 0);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[0]).counters.transfers_in +
				 status(&f->nodes[1]).counters.transfers_in,
		1);
	assert_same_trees(&f->nodes[0], &f->nodes[1]);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
}

#define TRANSFER_TEST(name) \
	cmocka_unit_test_setup_teardown(name, replicas_set_up, replicas_tear_down)
#define TRANSFER_TEST_SMALL(name) \
	cmocka_unit_test_setup_teardown(name, replicas_set_up_small, replicas_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRANSFER_TEST(a_member_that_was_away_gets_the_end_of_the_log),
		TRANSFER_TEST(a_member_that_diverged_keeps_what_is_committed),
		TRANSFER_TEST(who_misses_least_is_served_first),
		TRANSFER_TEST_SMALL(streams_of_any_length_end),
		TRANSFER_TEST_SMALL(a_member_that_was_away_for_long_gets_what_differs),
		TRANSFER_TEST_SMALL(what_changes_during_a_transfer_is_in_it),
		TRANSFER_TEST_SMALL(a_source_that_dies_is_followed_by_another),
		TRANSFER_TEST_SMALL(a_transfer_that_the_disk_refuses_leaves_what_was),
		TRANSFER_TEST_SMALL(a_stream_without_sense_is_asked_for_anew),
		TRANSFER_TEST_SMALL(a_silent_source_is_not_waited_for),
		TRANSFER_TEST_SMALL(a_member_that_stands_still_holds_up_no_other),
		TRANSFER_TEST(histories_that_have_parted_become_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
