/* SPDX-License-Identifier: Apache-2.0 */

/* Renewals and takeovers among three replicas whose disks are done at once, unless they are held. */

#include <string.h>

#include "base/macro.h"
#include "tests/unit/replicas.h"

#define LOCK "priv/lock/x"

/* --- Driving ---------------------------------------------------------------------------------- */

/* Delivers the oldest message to the nodes of the mask, and tells what it was. */
static WireType deliver_next(struct fixture *f, unsigned mask)
{
	WireType type = next_type(f);

	(void)deliver(f, mask);
	return type;
}

/* Delivers and waits until nothing happens any more. */
static void rest(struct fixture *f, unsigned mask)
{
	for (unsigned i = 0; i < 10; i++) {
		deliver_until(f, mask, WIRE_INVALID);
		pass_clock(f, mask, 300);
	}
	assert_true(g_queue_is_empty(&f->bus));
}

/* Asks for a change; op is taken. */
static void ask(struct node *node, Op *op)
{
	assert_int_equal(replica_submit(node->replica, op, new_token(node)), 0);
}

static void renew(struct node *node, uint64_t lock)
{
	assert_int_equal(replica_renew(node->replica, lock, new_token(node)), 0);
}

static uint64_t token_of(const struct node *node)
{
	const TreeNode *lock = tree_by_path(replica_tree(node->replica), LOCK);

	return lock ? tree_node_inode(lock) : 0;
}

static ReplicaLease lease_of(const struct node *node)
{
	ReplicaLease lease;

	assert_true(replica_lease(node->replica, token_of(node), &lease));
	return lease;
}

static Op *new_lock(void)
{
	Op *op = op_new(OP_LOCK, LOCK);

	op->owner = g_strdup("owner");
	op->ttl_s = 10;
	return op;
}

/* A takeover of the lock as a node sees it now. */
static Op *new_takeover(const struct node *node)
{
	ReplicaLease lease = lease_of(node);
	Op *op = new_lock();

	op->takeover = (OpTakeover){
		.token = token_of(node), .epoch = lease.epoch, .renewals = lease.renewals};
	return op;
}

static uint64_t last_index(const struct node *node)
{
	return status(node).last;
}

static void assert_equal(struct fixture *f)
{
	for (unsigned i = 1; i < N_NODES; i++) {
		assert_same_trees(&f->nodes[i], &f->nodes[0]);
		assert_int_equal(last_index(&f->nodes[i]), last_index(&f->nodes[0]));
	}
}

/* Three nodes in one view, with a lock that node 1 has taken. */
static int set_up(void **state)
{
	struct fixture *f;

	(void)replicas_set_up(state);
	f = *state;
	f->now_ms = 1000;
	for (unsigned i = 0; i < N_NODES; i++)
		f->nodes[i].at_once = true;
	set_view(f, ALL);
	rest(f, ALL);
	ask(&f->nodes[0], op_new(OP_MKDIR, "priv"));
	ask(&f->nodes[0], op_new(OP_MKDIR, "priv/lock"));
	ask(&f->nodes[0], new_lock());
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), 0);
	return 0;
}

/* --- Renewals --------------------------------------------------------------------------------- */

static void a_renewal_is_good_when_enough_have_confirmed_it(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	assert_int_equal(deliver_next(f, ALL), WIRE_RENEW);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	assert_int_equal(deliver_next(f, ALL), WIRE_CONFIRM);
	assert_int_equal(last_answer(holder), 0);
}

static void renewals_leave_log_and_disks_alone(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];
	uint64_t last = last_index(holder);
	unsigned n_batches[N_NODES];

	for (unsigned i = 0; i < N_NODES; i++)
		n_batches[i] = f->nodes[i].n_batches;
	for (unsigned i = 0; i < 5; i++) {
		renew(holder, token_of(holder));
		rest(f, ALL);
		assert_int_equal(last_answer(holder), 0);
	}
	assert_int_equal(last_index(holder), last);
	for (unsigned i = 0; i < N_NODES; i++)
		assert_int_equal(f->nodes[i].n_batches, n_batches[i]);
}

static void delivery_to_oneself_proves_nothing(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	assert_int_equal(deliver_next(f, 1U), WIRE_RENEW);
	pass_clock(f, 1U, 1000);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	set_view(f, 1U);
	rest(f, 1U);
	assert_int_equal(last_answer(holder), -EROFS);
}

static void a_voter_confirms_only_with_the_epoch_on_its_disk(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	set_view(f, ALL);
	deliver_until(f, ALL, WIRE_PROMISE);
	/* All promises are on the disks; the adoptions will not be. */
	for (unsigned i = 1; i < N_NODES; i++)
		hold(&f->nodes[i]);
	rest(f, ALL);
	renew(holder, token_of(holder));
	rest(f, ALL);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	let_go(&f->nodes[2]);
	rest(f, ALL);
	assert_int_equal(last_answer(holder), 0);
	let_go(&f->nodes[1]);
}

static void a_renewal_survives_a_change_of_view(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	set_view(f, 3U);
	rest(f, 3U);
	assert_int_equal(last_answer(holder), 0);
}

static void a_renewal_without_enough_voters_fails_in_time(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	deliver(f, 1U);
	pass_clock(f, 1U, REPLICA_WAIT_MS);
	assert_int_equal(last_answer(holder), -EIO);
}

static void what_is_no_lock_cannot_be_renewed(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];
	void *token = new_token(holder);

	assert_int_equal(replica_renew(holder->replica, 1, token), -ESTALE);
	assert_int_equal(replica_renew(holder->replica, 99, token), -ESTALE);
}

static void a_lock_that_is_removed_meanwhile_is_stale(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];
	uint64_t lock = token_of(holder);

	ask(&f->nodes[1], op_new(OP_RMDIR, LOCK));
	assert_int_equal(deliver_next(f, ALL), WIRE_OPS);
	/* The acknowledgements are on the bus before the renewal. */
	pass_clock(f, ALL, RIDE_MS);
	renew(holder, lock);
	rest(f, ALL);
	assert_int_equal(last_answer(holder), -ESTALE);
}

static void many_renewals_share_few_messages(void **state)
{
	struct fixture *f = *state;
	uint64_t n_before = 0;
	uint64_t n_after = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		n_before += status(&f->nodes[i]).counters.sent;
	/* Ten seconds in which every node renews ten times a second. */
	for (unsigned tenth = 0; tenth < 100; tenth++) {
		for (unsigned i = 0; i < N_NODES; i++) {
			f->nodes[i].n_tokens = 10 + tenth % 20;
			renew(&f->nodes[i], token_of(&f->nodes[i]));
		}
		for (unsigned i = 0; i < 10; i++) {
			deliver_until(f, ALL, WIRE_INVALID);
			pass_clock(f, ALL, 10);
		}
	}
	for (unsigned i = 0; i < N_NODES; i++)
		n_after += status(&f->nodes[i]).counters.sent;
	/* Each renewal is a message; two nodes confirm five times a second. */
	assert_true(n_after - n_before <= 300 + 110);
}

/* --- Takeovers -------------------------------------------------------------------------------- */

static void a_takeover_replaces_the_lock(void **state)
{
	struct fixture *f = *state;
	uint64_t old = token_of(&f->nodes[0]);

	ask(&f->nodes[1], new_takeover(&f->nodes[1]));
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[1]), 0);
	assert_true(token_of(&f->nodes[0]) > old);
	assert_equal(f);
}

static void a_renewal_that_it_does_not_cite_refuses_a_takeover(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[0]);
	uint64_t last = last_index(&f->nodes[0]);
	Op *takeover = new_takeover(&f->nodes[1]);

	renew(&f->nodes[0], lock);
	ask(&f->nodes[1], takeover);
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), 0);
	assert_int_equal(last_answer(&f->nodes[1]), -ESTALE);
	assert_int_equal(token_of(&f->nodes[2]), lock);
	assert_int_equal(last_index(&f->nodes[0]), last);
	assert_equal(f);
}

static void a_takeover_that_was_first_makes_the_renewal_void(void **state)
{
	struct fixture *f = *state;

	ask(&f->nodes[1], new_takeover(&f->nodes[1]));
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), -ESTALE);
	assert_int_equal(last_answer(&f->nodes[1]), 0);
}

static void a_takeover_holds_in_its_epoch_only(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[1]);
	Op *takeover = new_takeover(&f->nodes[1]);

	set_view(f, ALL);
	rest(f, ALL);
	ask(&f->nodes[1], takeover);
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[1]), -ESTALE);
	assert_int_equal(token_of(&f->nodes[1]), lock);
}

static void a_takeover_that_waits_from_an_earlier_epoch_makes_renewals_void(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[0]);

	/* It gets into all logs; one member acknowledges it, and knows that others may count on that. */
	hold(&f->nodes[0]);
	hold(&f->nodes[2]);
	ask(&f->nodes[1], new_takeover(&f->nodes[1]));
	assert_int_equal(deliver_next(f, ALL), WIRE_OPS);
	pass_clock(f, ALL, RIDE_MS);
	deliver_until(f, ALL, WIRE_INVALID);
	assert_int_equal(token_of(&f->nodes[0]), lock);
	set_view(f, ALL);
	let_go(&f->nodes[0]);
	let_go(&f->nodes[2]);
	deliver_until(f, ALL, WIRE_PROMISE);
	/* Our disk alone is to hold it in the next epoch. */
	hold(&f->nodes[1]);
	hold(&f->nodes[2]);
	rest(f, ALL);
	assert_int_equal(token_of(&f->nodes[0]), lock);

	renew(&f->nodes[0], lock);
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), -ESTALE);
	for (unsigned i = 0; i < N_NODES; i++)
		let_go(&f->nodes[i]);
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[1]), 0);
	assert_equal(f);
}

static void the_wait_begins_with_taking_renewal_and_epoch(void **state)
{
	struct fixture *f = *state;
	struct node *challenger = &f->nodes[1];
	int64_t taken_ms = lease_of(challenger).since_ms;

	assert_true(taken_ms > 1000 && taken_ms < f->now_ms);
	f->now_ms += 5000;
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	deliver_until(f, ALL, WIRE_INVALID);
	assert_int_equal(lease_of(challenger).since_ms, f->now_ms);
	assert_int_equal(lease_of(challenger).renewals, 1);

	f->now_ms += 5000;
	set_view(f, ALL);
	deliver_until(f, ALL, WIRE_INVALID);
	assert_int_equal(lease_of(challenger).since_ms, f->now_ms);
	assert_int_equal(lease_of(challenger).renewals, 0);
}

static void without_an_open_epoch_nothing_is_known_of_a_lease(void **state)
{
	struct fixture *f = *state;
	ReplicaLease lease;

	set_view(f, 1U);
	rest(f, 1U);
	assert_false(replica_lease(f->nodes[0].replica, token_of(&f->nodes[0]), &lease));
}

static void who_is_catching_up_judges_alike(void **state)
{
	struct fixture *f = *state;
	Op *stale;

	set_view(f, 3U);
	rest(f, 3U);
	ask(&f->nodes[0], op_new(OP_MKDIR, "d"));
	rest(f, 3U);
	hold(&f->nodes[2]);
	replica_view_changed(f->nodes[2].replica, NULL, 0);
	let_go(&f->nodes[2]);
	set_view(f, ALL);
	deliver_until(f, ALL, WIRE_PROMISE);
	while (next_type(f) == WIRE_PROMISE)
		deliver(f, ALL);

	/* Node 3 has no tree of this epoch yet, and its disk lets it wait. */
	hold(&f->nodes[2]);
	rest(f, ALL);
	assert_null(tree_by_path(replica_tree(f->nodes[2].replica), "d"));
	stale = new_takeover(&f->nodes[1]);
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	rest(f, ALL);
	ask(&f->nodes[1], stale);
	ask(&f->nodes[1], op_new(OP_MKDIR, "e"));
	rest(f, ALL);
	assert_int_equal(f->nodes[1].answers[f->nodes[1].n_tokens - 2], -ESTALE);
	ask(&f->nodes[1], new_takeover(&f->nodes[1]));
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[1]), 0);

	let_go(&f->nodes[2]);
	rest(f, ALL);
	assert_equal(f);
}

static void a_lock_travels_to_who_was_away(void **state)
{
	struct fixture *f = *state;
	TreeLease lease;

	set_view(f, 3U);
	rest(f, 3U);
	ask(&f->nodes[1], new_takeover(&f->nodes[1]));
	rest(f, 3U);
	f->now_ms += 1000;
	set_view(f, ALL);
	rest(f, ALL);
	assert_equal(f);
	assert_true(tree_node_lease(tree_by_path(replica_tree(f->nodes[2].replica), LOCK), &lease));
	assert_string_equal(lease.owner, "owner");
	assert_true(lease_of(&f->nodes[2]).since_ms > f->now_ms - 4000);
	renew(&f->nodes[2], lease.token);
	rest(f, ALL);
	assert_int_equal(last_answer(&f->nodes[2]), 0);
}

static void who_was_cut_off_takes_no_refusal_for_success(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[0]);
	struct node *challenger = &f->nodes[1];

	/* The first change is on its way when the next two are asked for, so they travel together. */
	ask(challenger, op_new(OP_MKDIR, "d"));
	ask(challenger, new_takeover(challenger));
	ask(challenger, op_new(OP_MKDIR, "e"));
	renew(&f->nodes[0], lock);
	assert_int_equal(deliver_next(f, ALL), WIRE_OPS);
	while (deliver_next(f, 5U) != WIRE_OPS)
		continue;
	set_view(f, 5U);
	rest(f, 5U);
	set_view(f, ALL);
	rest(f, ALL);
	assert_int_equal(challenger->answers[challenger->n_tokens - 3], 0);
	assert_int_equal(challenger->answers[challenger->n_tokens - 2], -ESTALE);
	assert_int_equal(challenger->answers[challenger->n_tokens - 1], 0);
	assert_int_equal(token_of(&f->nodes[0]), lock);
	assert_equal(f);
}

static void what_was_sent_with_a_refusal_is_not_sent_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t last = last_index(&f->nodes[0]);
	struct node *challenger = &f->nodes[2];

	/* The first change is on its way when the next two are asked for, so they travel together. */
	ask(challenger, op_new(OP_MKDIR, "d"));
	ask(challenger, new_takeover(challenger));
	ask(challenger, op_new(OP_MKDIR, "e"));
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	assert_int_equal(deliver_next(f, ALL), WIRE_OPS);
	/* Then the challenger is cut off.  Of the two that remain, one acknowledges what was not refused. */
	hold(&f->nodes[1]);
	deliver_until(f, 3U, WIRE_INVALID);
	assert_int_equal(last_index(&f->nodes[0]), last + 2);

	/* It comes back, and finds that in the log before it is committed. */
	set_view(f, ALL);
	let_go(&f->nodes[1]);
	deliver_until(f, ALL, WIRE_PROMISE);
	hold(&f->nodes[0]);
	hold(&f->nodes[1]);
	rest(f, ALL);
	assert_int_equal(last_index(challenger), last + 2);
	assert_null(tree_by_path(replica_tree(challenger->replica), "e"));
	let_go(&f->nodes[0]);
	let_go(&f->nodes[1]);
	rest(f, ALL);
	assert_int_equal(challenger->answers[challenger->n_tokens - 3], 0);
	assert_int_equal(challenger->answers[challenger->n_tokens - 2], -ESTALE);
	assert_int_equal(challenger->answers[challenger->n_tokens - 1], 0);
	assert_int_equal(last_index(&f->nodes[0]), last + 2);

	/* Nothing waits for what is not under way. */
	ask(challenger, op_new(OP_MKDIR, "g"));
	rest(f, ALL);
	assert_int_equal(last_answer(challenger), 0);
	assert_equal(f);
}

#define LEASE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, replicas_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LEASE_TEST(a_renewal_is_good_when_enough_have_confirmed_it),
		LEASE_TEST(renewals_leave_log_and_disks_alone),
		LEASE_TEST(delivery_to_oneself_proves_nothing),
		LEASE_TEST(a_voter_confirms_only_with_the_epoch_on_its_disk),
		LEASE_TEST(a_renewal_survives_a_change_of_view),
		LEASE_TEST(a_renewal_without_enough_voters_fails_in_time),
		LEASE_TEST(what_is_no_lock_cannot_be_renewed),
		LEASE_TEST(a_lock_that_is_removed_meanwhile_is_stale),
		LEASE_TEST(many_renewals_share_few_messages),
		LEASE_TEST(a_takeover_replaces_the_lock),
		LEASE_TEST(a_renewal_that_it_does_not_cite_refuses_a_takeover),
		LEASE_TEST(a_takeover_that_was_first_makes_the_renewal_void),
		LEASE_TEST(a_takeover_holds_in_its_epoch_only),
		LEASE_TEST(a_takeover_that_waits_from_an_earlier_epoch_makes_renewals_void),
		LEASE_TEST(the_wait_begins_with_taking_renewal_and_epoch),
		LEASE_TEST(without_an_open_epoch_nothing_is_known_of_a_lease),
		LEASE_TEST(who_is_catching_up_judges_alike),
		LEASE_TEST(a_lock_travels_to_who_was_away),
		LEASE_TEST(who_was_cut_off_takes_no_refusal_for_success),
		LEASE_TEST(what_was_sent_with_a_refusal_is_not_sent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
