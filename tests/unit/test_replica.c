/* SPDX-License-Identifier: Apache-2.0 */

/* What one replica does by itself, and what two or three do together; what goes from one to another
 * that differs is in test_replica_transfer.c.  All orders of events are the business of
 * tests/sim/cfs. */

#include "cfs/replica.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/wire.h"
#include "tests/unit/replicas.h"

/* --- Tests ------------------------------------------------------------------------------------ */

static void a_node_alone_writes_with_one_disk(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	const uint32_t id = 1;

	tell_quorum(node, 1, 1, true, false);
	replica_view_changed(node->replica, &id, 1);
	settle(f, 1);
	assert_int_equal(status(node).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(status(node).need, 1);

	assert_int_equal(submit(node, 1, "f"), 0);
	while (deliver(f, 1))
		;
	assert_int_equal(node->answers[0], 1);
	assert_false(has(node, "f"));
	assert_true(finish_disk(node, 0));
	assert_int_equal(node->answers[0], 0);
	assert_true(has(node, "f"));
	assert_int_equal(node->n_own, 1);
}

static void an_idle_node_asks_for_nothing(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 7);
	/* Rows of the last change, and the word of those who were not needed. */
	pass(f, 7, 2000);
	pass(f, 7, 2000);
	for (unsigned i = 0; i < N_NODES; i++) {
		unsigned n_batches = f->nodes[i].n_batches;

		assert_int_equal(replica_deadline_ms(f->nodes[i].replica), -1);
		pass(f, 7, 100000);
		assert_int_equal(f->nodes[i].n_batches, n_batches);
	}
	assert_true(g_queue_is_empty(&f->bus));
}

static void a_write_needs_a_majority_of_disks(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[0]).need, 2);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle_without(f, 7, 6);
	assert_int_equal(f->nodes[0].answers[0], 1);
	assert_false(has(&f->nodes[0], "f"));
	assert_true(finish_disk(&f->nodes[2], 0));
	/* The third speaks when the first two have not. */
	settle_without(f, 7, 6);
	assert_int_equal(f->nodes[0].answers[0], 1);
	f->now_ms += 100;
	replica_tick(f->nodes[2].replica);
	settle_without(f, 7, 6);
	assert_int_equal(f->nodes[0].answers[0], 0);
	assert_true(has(&f->nodes[0], "f"));
}

static void changes_travel_together_and_share_a_sync(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	unsigned n_syncs;

	set_view(f, 7);
	settle(f, 7);
	n_syncs = node->n_syncs;
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *path = g_strdup_printf("f%u", i);

		assert_int_equal(submit(node, i + 1, path), 0);
	}
	settle(f, 7);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(node->answers[i], 0);
	/* The first change alone, the others behind it. */
	assert_int_equal(node->n_syncs, n_syncs + 2);
}

static void results_of_the_tree_are_answers(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	assert_int_equal(submit(&f->nodes[1], 1, "f"), 0);
	settle(f, 7);
	assert_int_equal(f->nodes[0].answers[0] + f->nodes[1].answers[0], -EEXIST);
	assert_int_equal(f->nodes[2].n_applied, 1);
}

static void without_quorum_changes_are_refused_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
	set_view(f, 1);
	settle(f, 1);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
	assert_int_equal(replica_writable(f->nodes[0].replica), -EROFS);
}

static void changes_under_way_fail_unknown_after_a_while(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(node, 1, "f"), 0);
	assert_int_equal(submit(node, 2, "g"), 0);
	set_view(f, 1);
	settle(f, 1);
	/* The second was never sent. */
	assert_int_equal(node->answers[0], 1);
	assert_int_equal(node->answers[1], -EROFS);
	pass(f, 1, REPLICA_WAIT_MS - 1);
	assert_int_equal(node->answers[0], 1);
	pass(f, 1, 1);
	assert_int_equal(node->answers[0], -EIO);
}

static void what_a_view_swept_away_is_sent_again_once(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(node, 1, "f"), 0);
	assert_int_equal(submit(node, 2, "g"), 0);
	/* The first is delivered, and acknowledged by nobody; the second is gone with the view. */
	assert_true(deliver(f, 7));
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(node->answers[0], 0);
	assert_int_equal(node->answers[1], 0);
	assert_int_equal(status(node).commit, 2);
}

static void a_repeated_change_is_applied_once(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	g_autoptr(GBytes) copy = NULL;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(node, 1, "f"), 0);
	copy = g_bytes_ref(g_queue_peek_head(&f->bus));
	settle(f, 7);
	g_queue_push_tail(&f->bus, g_steal_pointer(&copy));
	settle(f, 7);
	assert_int_equal(status(node).commit, 2);
	assert_int_equal(tree_version(replica_tree(node->replica)), 1);
	assert_int_equal(node->n_applied, 1);
}

static void others_write_while_one_catches_up(void **state)
{
	struct fixture *f = *state;

	set_view(f, 3);
	settle(f, 3);
	assert_int_equal(submit(&f->nodes[0], 1, "old"), 0);
	settle(f, 3);
	set_view(f, 7);
	settle_without(f, 7, 4);
	/* Its disk does not take the promise, and later not the tree. */
	assert_int_equal(status(&f->nodes[2]).state, REPLICA_STATE_CATCHING_UP);
	assert_int_equal(submit(&f->nodes[0], 2, "new"), 0);
	settle_without(f, 7, 4);
	assert_int_equal(f->nodes[0].answers[1], 0);
	assert_false(has(&f->nodes[2], "old"));
	settle(f, 7);
	assert_true(has(&f->nodes[2], "old"));
	assert_true(has(&f->nodes[2], "new"));
}

static void a_failed_batch_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	const uint32_t id = 1;

	tell_quorum(node, 1, 1, true, false);
	replica_view_changed(node->replica, &id, 1);
	settle(f, 1);
	assert_int_equal(submit(node, 1, "f"), 0);
	while (deliver(f, 1))
		;
	assert_true(finish_disk(node, -ENOSPC));
	assert_null(node->batch);
	assert_int_equal(node->answers[0], 1);
	f->now_ms = replica_deadline_ms(node->replica);
	replica_tick(node->replica);
	assert_true(finish_disk(node, 0));
	assert_int_equal(node->answers[0], 0);
}

static void a_full_bus_only_delays(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	f->nodes[0].bus_full = true;
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 7);
	assert_int_equal(f->nodes[0].answers[0], 1);
	f->nodes[0].bus_full = false;
	pass(f, 7, replica_deadline_ms(f->nodes[0].replica) - f->now_ms);
	assert_int_equal(f->nodes[0].answers[0], 0);
}

static void the_operators_word_lets_fewer_write(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	const uint32_t id = 1;

	tell_quorum(node, 3, 1, true, false);
	replica_view_changed(node->replica, &id, 1);
	settle(f, 1);
	assert_int_equal(status(node).need, 1);
	assert_true(status(node).reduced);
	assert_int_equal(submit(node, 1, "f"), 0);
	settle(f, 1);
	assert_int_equal(node->answers[0], 0);
}

static void the_operators_word_counts_all_who_are_online(void **state)
{
	struct fixture *f = *state;
	const uint32_t id = 1;

	/* Another node is online, but its store does not run: one disk is not enough. */
	tell_quorum(&f->nodes[0], 5 - 2, 2, true, false);
	replica_view_changed(f->nodes[0].replica, &id, 1);
	settle(f, 1);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_GATHERING);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
}

static void two_node_mode_is_no_word_of_the_operator(void **state)
{
	struct fixture *f = *state;
	const uint32_t id = 1;

	tell_quorum(&f->nodes[0], 2, 1, true, true);
	replica_view_changed(f->nodes[0].replica, &id, 1);
	settle(f, 1);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
}

static void a_member_that_does_not_tell_is_left_behind(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	/* The third stands still: it gets its messages later. */
	settle(f, 3);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_GATHERING);
	pass(f, 3, 2000);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 3);
	assert_int_equal(f->nodes[0].answers[0], 0);
}

/* The entry is on the disks of 1 and 2; 2 loses its disk while 1 is away. */
static void a_member_that_has_lost_its_disk_is_no_witness(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	set_view(f, 3);
	settle(f, 3);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 3);
	assert_int_equal(f->nodes[0].answers[0], 0);

	forget(&f->nodes[1]);
	set_view(f, 6);
	settle(f, 6);
	assert_int_equal(status(&f->nodes[1]).state, REPLICA_STATE_GATHERING);
	assert_true(status(&f->nodes[2]).forgetful);
	assert_true(status(&f->nodes[2]).members[0].blank);
	assert_int_equal(submit(&f->nodes[2], 1, "g"), -EROFS);

	set_view(f, 7);
	settle(f, 7);
	assert_true(has(&f->nodes[1], "f"));
	assert_true(has(&f->nodes[2], "f"));
	assert_false(status(&f->nodes[2]).members[1].blank);
}

static void who_has_got_everything_back_is_a_witness_again(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	forget(&f->nodes[1]);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 7);
	set_view(f, 6);
	settle(f, 6);
	assert_int_equal(submit(&f->nodes[1], 1, "g"), 0);
	settle(f, 6);
	assert_int_equal(f->nodes[1].answers[0], 0);
}

static void nobody_can_have_forgotten_when_all_are_there(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < N_NODES; i++)
		forget(&f->nodes[i]);
	set_view(f, 3);
	settle(f, 3);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_GATHERING);
	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_ACTIVE);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 7);
	assert_int_equal(f->nodes[0].answers[0], 0);
}

/* `pvecm add` to a cluster of one: the majority is two, and one of them is new. */
static void the_second_node_of_a_cluster_may_be_empty(void **state)
{
	struct fixture *f = *state;
	const uint32_t ids[] = {1, 2};

	forget(&f->nodes[0]);
	tell_quorum(&f->nodes[0], 1, 1, true, false);
	replica_view_changed(f->nodes[0].replica, ids, 1);
	settle(f, 1);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	settle(f, 1);

	forget(&f->nodes[1]);
	for (unsigned i = 0; i < 2; i++) {
		tell_quorum(&f->nodes[i], 2, 2, true, false);
		replica_view_changed(f->nodes[i].replica, ids, 2);
	}
	settle(f, 3);
	assert_int_equal(status(&f->nodes[1]).state, REPLICA_STATE_ACTIVE);
	assert_true(has(&f->nodes[1], "f"));
}

static void the_operators_word_makes_no_empty_cluster(void **state)
{
	struct fixture *f = *state;
	const uint32_t id = 1;

	forget(&f->nodes[0]);
	tell_quorum(&f->nodes[0], 3, 1, true, false);
	replica_view_changed(f->nodes[0].replica, &id, 1);
	settle(f, 1);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
	assert_true(status(&f->nodes[0]).forgetful);
}

static void loss_of_quorum_without_a_new_view_stops_writing(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	for (unsigned i = 0; i < N_NODES; i++)
		tell_quorum(&f->nodes[i], 3, 3, false, false);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_GATHERING);
	for (unsigned i = 0; i < N_NODES; i++)
		tell_quorum(&f->nodes[i], 3, 3, true, false);
	settle(f, 7);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_ACTIVE);
}

static void limits_are_held_where_a_change_is_asked_for(void **state)
{
	struct fixture *f = *state;
	g_autoptr(Op) op = op_new(OP_CREATE, "big");

	set_view(f, 7);
	settle(f, 7);
	op->data = g_bytes_new_take(
		g_malloc0(replicas_limits.file_max + 1), replicas_limits.file_max + 1);
	assert_int_equal(replica_submit(f->nodes[0].replica, op, f), -EFBIG);
}

static void a_barrier_waits_for_what_is_before_it(void **state)
{
	struct fixture *f = *state;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	assert_int_equal(
		replica_submit(f->nodes[1].replica, op_new(OP_BARRIER, ""), GUINT_TO_POINTER(1)),
		0);
	settle(f, 7);
	assert_int_equal(f->nodes[1].answers[0], 0);
	assert_true(has(&f->nodes[1], "f"));
	assert_int_equal(tree_version(replica_tree(f->nodes[1].replica)), 1);
}

static void what_is_not_a_message_is_ignored(void **state)
{
	struct fixture *f = *state;
	static const uint8_t noise[] = {WIRE_VERSION, WIRE_ACK, 0, 0, 1};

	set_view(f, 7);
	settle(f, 7);
	replica_message(f->nodes[0].replica, 2, noise, sizeof(noise));
	replica_message(f->nodes[0].replica, 9, noise, 0);
	assert_int_equal(f->nodes[0].n_bad, 2);
	assert_int_equal(f->nodes[0].bad_error, -EBADMSG);
	assert_int_equal(status(&f->nodes[0]).state, REPLICA_STATE_ACTIVE);
}

static void a_newer_format_stops_writing_until_it_is_gone(void **state)
{
	struct fixture *f = *state;
	static const uint8_t newer[] = {WIRE_VERSION + 1, 200};

	set_view(f, 7);
	settle(f, 7);
	for (unsigned i = 0; i < 2; i++) {
		replica_message(f->nodes[i].replica, 3, newer, sizeof(newer));
		assert_int_equal(f->nodes[i].bad_error, -EPROTONOSUPPORT);
		assert_int_equal(status(&f->nodes[i]).newer, 3);
		assert_int_equal(submit(&f->nodes[i], 1, "f"), -EROFS);
	}
	/* It stays so in every view with that node, however it behaves. */
	set_view(f, 7);
	settle(f, 7);
	pass(f, 7, 10000);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), -EROFS);
	set_view(f, 3);
	settle(f, 3);
	assert_int_equal(status(&f->nodes[0]).newer, 0);
	create_files(f, 3, 0, 1);
	pass(f, 3, RIDE_MS);
	assert_true(has(&f->nodes[1], "f0"));
}

static void an_operation_of_a_newer_format_stops_writing(void **state)
{
	struct fixture *f = *state;
	static const uint8_t newer[40] = {200, 1};
	WireMessage message = {.type = WIRE_OPS, .ops = {.boot = 1, .n_ops = 1}};
	g_autoptr(GBytes) ops = NULL;
	gsize size;
	const uint8_t *bytes;

	set_view(f, 7);
	settle(f, 7);
	assert_int_equal(submit(&f->nodes[0], 1, "f"), 0);
	message.view = current_view(f);
	message.ops.epoch = status(&f->nodes[0]).epoch;
	message.ops.ops[0] = (WireOp){.seq = 1, .bytes = newer, .size = sizeof(newer)};
	ops = wire_encode(&message);
	bytes = g_bytes_get_data(ops, &size);
	replica_message(f->nodes[0].replica, 2, bytes, size);
	assert_int_equal(status(&f->nodes[0]).newer, 2);
	assert_int_equal(status(&f->nodes[0]).last, 0);
}

static void another_nodelist_starts_another_epoch(void **state)
{
	struct fixture *f = *state;
	uint64_t epoch;

	for (unsigned i = 0; i < 2; i++)
		tell_quorum(&f->nodes[i], 2, 2, true, false);
	for (unsigned i = 0; i < 2; i++)
		replica_view_changed(f->nodes[i].replica, (const uint32_t[]){1, 2}, 2);
	settle(f, 3);
	epoch = status(&f->nodes[0]).epoch;
	assert_int_equal(status(&f->nodes[0]).need, 2);
	create_files(f, 3, 0, 2);
	/* A third node is added; it is not there yet. */
	for (unsigned i = 0; i < 2; i++)
		tell_quorum(&f->nodes[i], 3, 2, true, false);
	settle(f, 3);
	assert_true(status(&f->nodes[0]).epoch > epoch);
	assert_int_equal(status(&f->nodes[0]).need, 2);
	create_files(f, 3, 2, 2);
	set_view(f, 7);
	settle(f, 7);
	assert_same_trees(&f->nodes[0], &f->nodes[2]);
	/* And two are removed: what is left is a majority of itself. */
	epoch = status(&f->nodes[0]).epoch;
	for (unsigned i = 0; i < N_NODES; i++)
		tell_quorum(&f->nodes[i], 1, 1, true, false);
	settle(f, 7);
	assert_true(status(&f->nodes[0]).epoch > epoch);
	assert_int_equal(status(&f->nodes[0]).need, 1);
}

static void a_database_that_contradicts_itself_is_refused(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	const ReplicaEnv env = {.data = node, .now_ms = env_now_ms};
	const ReplicaOptions options = {.node = 1, .boot = 1, .limits = replicas_limits};
	g_autoptr(ReplicaBatch) image = replica_batch_new();
	g_autoptr(GBytes) op = g_bytes_new_static("junk", 4);
	const ReplicaEntry entry = {
		.index = 1, .epoch = 1, .boot = 1, .seq = 1, .origin = 1, .op = op};
	g_autoptr(GError) err = NULL;
	Replica *replica = NULL;

	replica_batch_add_entry(image, &entry);
	assert_int_equal(replica_new(&options, &env, image, &replica, &err), -EUCLEAN);
	assert_string_equal(err->message, "entry 1 of the log is not valid");
	assert_null(replica);
}

static void a_log_that_does_not_hang_together_is_refused(void **state)
{
	struct fixture *f = *state;
	const ReplicaEnv env = {.data = &f->nodes[0], .now_ms = env_now_ms};
	const ReplicaOptions options = {.node = 1, .boot = 1, .limits = replicas_limits};
	g_autoptr(ReplicaBatch) image = replica_batch_new();
	g_autoptr(Op) op = op_new(OP_UNLINK, "f");
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autoptr(GBytes) encoded = NULL;
	ReplicaEntry entry = {.index = 1, .epoch = 1, .boot = 1, .seq = 1, .origin = 1};
	Replica *replica = NULL;

	op_encode(op, bytes);
	encoded = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
	entry.op = encoded;
	entry.hash[0] = 1;
	replica_batch_add_entry(image, &entry);
	assert_int_equal(replica_new(&options, &env, image, &replica, NULL), -EUCLEAN);
	assert_null(replica);
}

static void a_database_that_counts_beyond_reason_is_refused(void **state)
{
	struct fixture *f = *state;
	const ReplicaEnv env = {.data = &f->nodes[0], .now_ms = env_now_ms};
	const ReplicaOptions options = {.node = 1, .boot = 1, .limits = replicas_limits};
	g_autoptr(ReplicaBatch) image = replica_batch_new();
	Replica *replica = NULL;

	image->scalars.promised = REPLICA_NUMBER_MAX + 1;
	assert_int_equal(replica_new(&options, &env, image, &replica, NULL), -EUCLEAN);
	assert_null(replica);
}

static void the_log_that_is_kept_is_bounded(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GBytes) data =
		g_bytes_new_take(g_malloc0(replicas_limits.file_max), replicas_limits.file_max);

	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 1);
	for (unsigned i = 1; i < 40; i++) {
		Op *op = op_new(OP_REPLACE, "f0");

		op->data = g_bytes_ref(data);
		assert_int_equal(
			replica_submit(f->nodes[0].replica, op, GUINT_TO_POINTER(i + 1)), 0);
		settle(f, 7);
		assert_int_equal(f->nodes[0].answers[i], 0);
	}
	for (unsigned i = 0; i < N_NODES; i++) {
		assert_true(status(&f->nodes[i]).log_bytes <= REPLICA_LOG_BYTES_MAX +
								      REPLICA_LOG_BYTES_MAX / 8 +
								      2 * replicas_limits.file_max);
		assert_true(status(&f->nodes[i]).first > 20);
	}
}

/* Rows follow the log when it is quiet; what they lack is applied again by who starts. */
static void the_tree_survives_a_restart_before_its_rows_are_written(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	g_autoptr(ReplicaBatch) image = replica_batch_new();

	set_view(f, 3);
	settle(f, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(submit(node, i + 1, i == 0 ? "a" : "b"), 0);
		(void)deliver(f, 3);
		assert_non_null(node->batch);
		assert_int_equal(node->batch->rows->len, 0);
		assert_int_equal(node->batch->entries->len, 1);
		replica_batch_add_entry(image, g_ptr_array_index(node->batch->entries, 0));
		image->scalars = node->batch->scalars;
		if (i == 0)
			settle(f, 3);
	}
	assert_int_equal(image->scalars.commit, 0);
	assert_int_equal(image->scalars.known, 1);

	node->batch = NULL;
	node->replica = replica_free(node->replica);
	start(node, 1001, image);
	assert_true(has(node, "a"));
	assert_false(has(node, "b"));
	assert_int_equal(status(node).commit, 1);
}

/* One node, which is all there are. */
static void be_alone(struct fixture *f)
{
	const uint32_t id = 1;

	tell_quorum(&f->nodes[0], 1, 1, true, false);
	replica_view_changed(f->nodes[0].replica, &id, 1);
	settle(f, 1);
}

static void assert_writes_rows(struct fixture *f, uint64_t commit)
{
	const ReplicaBatch *batch = f->nodes[0].batch;

	assert_non_null(batch);
	assert_false(batch->sync);
	assert_int_equal(batch->rows->len, 1);
	assert_int_equal(batch->entries->len, 0);
	assert_int_equal(batch->scalars.commit, commit);
	settle(f, 1);
	/* And then nothing more. */
	assert_int_equal(replica_deadline_ms(f->nodes[0].replica), -1);
}

static void rows_are_written_when_it_is_quiet(void **state)
{
	struct fixture *f = *state;

	be_alone(f);
	create_files(f, 1, 0, 1);
	f->now_ms += 499;
	replica_tick(f->nodes[0].replica);
	assert_null(f->nodes[0].batch);
	f->now_ms += 1;
	replica_tick(f->nodes[0].replica);
	assert_writes_rows(f, 1);
}

static void rows_are_written_when_asked_for(void **state)
{
	struct fixture *f = *state;

	be_alone(f);
	replica_flush(f->nodes[0].replica);
	assert_null(f->nodes[0].batch);
	create_files(f, 1, 0, 1);
	assert_null(f->nodes[0].batch);
	replica_flush(f->nodes[0].replica);
	assert_writes_rows(f, 1);
}

static void rows_do_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;

	be_alone(f);
	for (unsigned i = 0; i < 30; i++) {
		create_files(f, 1, i, 1);
		assert_int_equal(f->nodes[0].n_rows, i < 25 ? 0 : 25);
		pass(f, 1, 400);
	}
}

/* The log is short here, so rows may not wait for many entries. */
static void rows_do_not_keep_the_log_long(void **state)
{
	struct fixture *f = *state;

	be_alone(f);
	for (unsigned i = 0; i < 40; i++) {
		create_files(f, 1, i, 1);
		assert_true(status(&f->nodes[0]).last - status(&f->nodes[0]).first <= 2 * 8 + 2);
	}
}

/* The log grows, but nothing more is committed; so rows do not follow, and the log, though it is long,
 * lets go of nothing: replicas.c looks at each batch. */
static void the_log_keeps_what_rows_lack(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];

	set_view(f, 7);
	settle(f, 7);
	create_files(f, 7, 0, 6);
	for (unsigned i = 6; i < 22; i++) {
		g_autofree char *path = g_strdup_printf("f%u", i);

		assert_int_equal(submit(node, i + 1, path), 0);
		settle(f, 1);
	}
	assert_int_equal(status(node).commit, 6);
	assert_int_equal(status(node).last, 22);
	assert_int_equal(status(node).first, 1);
}

static void the_log_end_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct node *node = &f->nodes[0];
	g_autoptr(ReplicaBatch) disk = replica_batch_new();
	const uint32_t id = 1;

	tell_quorum(node, 1, 1, true, false);
	replica_view_changed(node->replica, &id, 1);
	settle(f, 1);
	assert_int_equal(submit(node, 1, "f"), 0);
	while (deliver(f, 1))
		;
	/* The entry is on the disk; the process ends before it is applied. */
	disk->scalars = node->batch->scalars;
	replica_batch_add_entry(disk, g_ptr_array_index(node->batch->entries, 0));
	node->batch = NULL;
	node->replica = replica_free(node->replica);
	start(node, 200, disk);
	assert_false(has(node, "f"));
	tell_quorum(node, 1, 1, true, false);
	replica_view_changed(node->replica, &id, 1);
	settle(f, 1);
	assert_true(has(node, "f"));
	assert_int_equal(status(node).commit, 1);
}

#define REPLICA_TEST(name) \
	cmocka_unit_test_setup_teardown(name, replicas_set_up, replicas_tear_down)

static void a_disk_that_takes_nothing_lets_the_log_not_grow(void **state)
{
	struct fixture *f = *state;
	struct node *slow = &f->nodes[2];
	const ReplicaBatch *batch;

	set_view(f, ALL);
	settle(f, ALL);
	create_files(f, ALL, 0, 4);
	hold(slow);
	create_files(f, ALL, 4, 42);
	pass(f, ALL, RIDE_MS);
	assert_true(has(slow, "f45"));
	assert_true(status(slow).last - status(slow).first < 36);

	/* What it lets go of is in its rows when the disk goes on, and nothing before that is left. */
	assert_true(finish_disk(slow, 0));
	batch = slow->batch;
	assert_non_null(batch);
	assert_int_equal(batch->scalars.commit, status(slow).commit);
	assert_int_equal(batch->log_cut, 0);
	assert_int_equal(((const ReplicaEntry *)g_ptr_array_index(batch->entries, 0))->index,
		status(slow).first);
	let_go(slow);
	settle(f, ALL);
	pass(f, ALL, 2000);
	assert_int_equal(status(slow).members[2].acknowledged, status(&f->nodes[0]).last);
	assert_same_trees(slow, &f->nodes[0]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		REPLICA_TEST(a_node_alone_writes_with_one_disk),
		REPLICA_TEST(an_idle_node_asks_for_nothing),
		REPLICA_TEST(a_write_needs_a_majority_of_disks),
		REPLICA_TEST(changes_travel_together_and_share_a_sync),
		REPLICA_TEST(results_of_the_tree_are_answers),
		REPLICA_TEST(without_quorum_changes_are_refused_at_once),
		REPLICA_TEST(changes_under_way_fail_unknown_after_a_while),
		REPLICA_TEST(what_a_view_swept_away_is_sent_again_once),
		REPLICA_TEST(a_repeated_change_is_applied_once),
		REPLICA_TEST(others_write_while_one_catches_up),
		REPLICA_TEST(a_failed_batch_is_tried_again),
		REPLICA_TEST(a_full_bus_only_delays),
		REPLICA_TEST(the_operators_word_lets_fewer_write),
		REPLICA_TEST(the_operators_word_counts_all_who_are_online),
		REPLICA_TEST(two_node_mode_is_no_word_of_the_operator),
		REPLICA_TEST(a_member_that_does_not_tell_is_left_behind),
		REPLICA_TEST(a_member_that_has_lost_its_disk_is_no_witness),
		REPLICA_TEST(who_has_got_everything_back_is_a_witness_again),
		REPLICA_TEST(nobody_can_have_forgotten_when_all_are_there),
		REPLICA_TEST(the_second_node_of_a_cluster_may_be_empty),
		REPLICA_TEST(the_operators_word_makes_no_empty_cluster),
		REPLICA_TEST(loss_of_quorum_without_a_new_view_stops_writing),
		REPLICA_TEST(limits_are_held_where_a_change_is_asked_for),
		REPLICA_TEST(a_barrier_waits_for_what_is_before_it),
		REPLICA_TEST(what_is_not_a_message_is_ignored),
		REPLICA_TEST(a_newer_format_stops_writing_until_it_is_gone),
		REPLICA_TEST(an_operation_of_a_newer_format_stops_writing),
		REPLICA_TEST(another_nodelist_starts_another_epoch),
		REPLICA_TEST(a_database_that_contradicts_itself_is_refused),
		REPLICA_TEST(a_database_that_counts_beyond_reason_is_refused),
		REPLICA_TEST(a_log_that_does_not_hang_together_is_refused),
		REPLICA_TEST(the_log_that_is_kept_is_bounded),
		REPLICA_TEST(the_tree_survives_a_restart_before_its_rows_are_written),
		REPLICA_TEST(rows_are_written_when_it_is_quiet),
		REPLICA_TEST(rows_are_written_when_asked_for),
		REPLICA_TEST(rows_do_not_wait_for_ever),
		cmocka_unit_test_setup_teardown(
			rows_do_not_keep_the_log_long, replicas_set_up_small, replicas_tear_down),
		cmocka_unit_test_setup_teardown(
			the_log_keeps_what_rows_lack, replicas_set_up_small, replicas_tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_takes_nothing_lets_the_log_not_grow,
			replicas_set_up_small, replicas_tear_down),
		REPLICA_TEST(the_log_end_survives_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
