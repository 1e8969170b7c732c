/* SPDX-License-Identifier: Apache-2.0 */

/* Renewals and takeovers among three replicas, on a bus and disks in which the test chooses each step. */

#include "cfs/replica.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/wire.h"
#include "tests/unit/test.h"

#define N_NODES    3
#define ALL        7U
#define ANSWER_MAX 64
#define NO_ANSWER  1
#define LOCK       "priv/lock/x"

/* The word of an origin itself is on the bus by then. */
#define RIDE_MS 2

struct fixture;

struct node {
	struct fixture *f;
	uint32_t id;
	Replica *replica;
	bool held;                 /* Its disk does nothing … */
	const ReplicaBatch *batch; /* … and has this to do. */
	unsigned n_batches;
	int answers[ANSWER_MAX]; /* By token - 1. */
	unsigned n_answers;      /* Tokens given out. */
	unsigned n_sent;
};

struct fixture {
	int64_t now_ms;
	struct node nodes[N_NODES];
	GQueue bus; /* Of GBytes, the sender's index in front. */
};

static int64_t env_now_ms(void *data)
{
	return ((const struct node *)data)->f->now_ms;
}

static int env_send(void *data, GBytes *message)
{
	struct node *node = data;
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	uint8_t index = (uint8_t)(node->id - 1);
	gsize size;
	const uint8_t *from = g_bytes_get_data(message, &size);

	g_byte_array_append(bytes, &index, 1);
	g_byte_array_append(bytes, from, (guint)size);
	g_queue_push_tail(&node->f->bus, g_byte_array_free_to_bytes(g_steal_pointer(&bytes)));
	node->n_sent++;
	return 0;
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	struct node *node = data;

	node->n_batches++;
	if (node->held)
		node->batch = batch;
	else
		replica_persisted(node->replica, 0);
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
}

static void env_answer(void *data, void *token, int result)
{
	struct node *node = data;
	unsigned i = GPOINTER_TO_UINT(token) - 1;

	assert_int_equal(node->answers[i], NO_ANSWER);
	node->answers[i] = result;
}

static void env_state_changed(void *data)
{
}

static void bytes_free(void *data)
{
	g_bytes_unref(data);
}

/* --- Driving ---------------------------------------------------------------------------------- */

static void hold(struct node *node)
{
	node->held = true;
}

static void let_go(struct node *node)
{
	const ReplicaBatch *batch = node->batch;

	node->held = false;
	node->batch = NULL;
	if (batch)
		replica_persisted(node->replica, 0);
}

static WireType type_of(GBytes *message)
{
	return ((const uint8_t *)g_bytes_get_data(message, NULL))[2];
}

/* Delivers the oldest message to the nodes of the mask; WIRE_INVALID when there is none. */
static WireType deliver(struct fixture *f, unsigned mask)
{
	g_autoptr(GBytes) message = g_queue_pop_head(&f->bus);
	const uint8_t *bytes;
	gsize size;

	if (!message)
		return WIRE_INVALID;
	bytes = g_bytes_get_data(message, &size);
	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			replica_message(f->nodes[i].replica, bytes[0] + 1U, bytes + 1, size - 1);
	return type_of(message);
}

/* Delivers until the bus is silent, or up to the first message of a type, which stays. */
static void deliver_until(struct fixture *f, unsigned mask, WireType stop)
{
	GBytes *next;

	while ((next = g_queue_peek_head(&f->bus)) && type_of(next) != stop)
		deliver(f, mask);
}

static void wait_ms(struct fixture *f, unsigned mask, int64_t ms)
{
	f->now_ms += ms;
	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			replica_tick(f->nodes[i].replica);
}

/* Delivers and waits until nothing happens any more. */
static void settle(struct fixture *f, unsigned mask)
{
	for (unsigned i = 0; i < 10; i++) {
		deliver_until(f, mask, WIRE_INVALID);
		wait_ms(f, mask, 300);
	}
	assert_true(g_queue_is_empty(&f->bus));
}

/* The nodes of the mask share the bus from here; what is on it is lost. */
static void set_view(struct fixture *f, unsigned mask)
{
	static const uint32_t configured[] = {1, 2, 3};
	uint32_t ids[N_NODES];
	unsigned n_ids = 0;

	g_queue_clear_full(&f->bus, bytes_free);
	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			ids[n_ids++] = i + 1;
	for (unsigned i = 0; i < N_NODES; i++) {
		const ReplicaQuorum quorum = {.quorate = n_ids > N_NODES / 2,
			.configured = configured,
			.n_configured = N_NODES,
			.n_online = n_ids};

		if (!(mask & 1U << i))
			continue;
		replica_quorum_changed(f->nodes[i].replica, &quorum);
		replica_view_changed(f->nodes[i].replica, ids, n_ids);
	}
}

static void *new_token(struct node *node)
{
	assert_true(node->n_answers < ANSWER_MAX);
	node->answers[node->n_answers] = NO_ANSWER;
	return GUINT_TO_POINTER(++node->n_answers);
}

static int last_answer(const struct node *node)
{
	return node->answers[node->n_answers - 1];
}

/* Asks for a change; op is taken. */
static void submit(struct node *node, Op *op)
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
	ReplicaStatus status;

	replica_status(node->replica, &status);
	return status.last;
}

static void assert_equal(struct fixture *f)
{
	g_autofree char *digest = tree_dup_digest(replica_tree(f->nodes[0].replica));

	for (unsigned i = 1; i < N_NODES; i++) {
		g_autofree char *other = tree_dup_digest(replica_tree(f->nodes[i].replica));

		assert_string_equal(other, digest);
		assert_int_equal(last_index(&f->nodes[i]), last_index(&f->nodes[0]));
	}
}

/* Three nodes in one view, with a lock that node 1 has taken. */
static int set_up(void **state)
{
	static const TreeLimits limits = {.file_max = 100, .total_max = 1000, .entries_max = 50};
	struct fixture *f = g_new0(struct fixture, 1);

	g_queue_init(&f->bus);
	f->now_ms = 1000;
	for (unsigned i = 0; i < N_NODES; i++) {
		struct node *node = &f->nodes[i];
		const ReplicaEnv env = {.data = node,
			.now_ms = env_now_ms,
			.send = env_send,
			.persist = env_persist,
			.applied = env_applied,
			.answer = env_answer,
			.state_changed = env_state_changed};
		const ReplicaOptions options = {
			.node = i + 1, .boot = i + 100, .trusted = true, .limits = limits};
		g_autoptr(ReplicaBatch) empty = replica_batch_new();

		node->f = f;
		node->id = i + 1;
		assert_int_equal(replica_new(&options, &env, empty, &node->replica, NULL), 0);
	}
	set_view(f, ALL);
	settle(f, ALL);
	submit(&f->nodes[0], op_new(OP_MKDIR, "priv"));
	submit(&f->nodes[0], op_new(OP_MKDIR, "priv/lock"));
	submit(&f->nodes[0], new_lock());
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < N_NODES; i++)
		replica_free(f->nodes[i].replica);
	g_queue_clear_full(&f->bus, bytes_free);
	g_free(f);
	return 0;
}

/* --- Renewals --------------------------------------------------------------------------------- */

static void a_renewal_is_good_when_enough_have_confirmed_it(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	assert_int_equal(deliver(f, ALL), WIRE_RENEW);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	assert_int_equal(deliver(f, ALL), WIRE_CONFIRM);
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
		settle(f, ALL);
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
	assert_int_equal(deliver(f, 1U), WIRE_RENEW);
	wait_ms(f, 1U, 1000);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	set_view(f, 1U);
	settle(f, 1U);
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
	settle(f, ALL);
	renew(holder, token_of(holder));
	settle(f, ALL);
	assert_int_equal(last_answer(holder), NO_ANSWER);
	let_go(&f->nodes[2]);
	settle(f, ALL);
	assert_int_equal(last_answer(holder), 0);
	let_go(&f->nodes[1]);
}

static void a_renewal_survives_a_change_of_view(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	set_view(f, 3U);
	settle(f, 3U);
	assert_int_equal(last_answer(holder), 0);
}

static void a_renewal_without_enough_voters_fails_in_time(void **state)
{
	struct fixture *f = *state;
	struct node *holder = &f->nodes[0];

	renew(holder, token_of(holder));
	deliver(f, 1U);
	wait_ms(f, 1U, REPLICA_WAIT_MS);
	assert_int_equal(last_answer(holder), -EIO);
	g_queue_clear_full(&f->bus, bytes_free);
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

	submit(&f->nodes[1], op_new(OP_RMDIR, LOCK));
	assert_int_equal(deliver(f, ALL), WIRE_OPS);
	/* The acknowledgements are on the bus before the renewal. */
	wait_ms(f, ALL, RIDE_MS);
	renew(holder, lock);
	settle(f, ALL);
	assert_int_equal(last_answer(holder), -ESTALE);
}

static void many_renewals_share_few_messages(void **state)
{
	struct fixture *f = *state;
	unsigned n_before = 0;
	unsigned n_after = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		n_before += f->nodes[i].n_sent;
	/* Ten seconds in which every node renews ten times a second. */
	for (unsigned tenth = 0; tenth < 100; tenth++) {
		for (unsigned i = 0; i < N_NODES; i++) {
			f->nodes[i].n_answers = 10 + tenth % 20;
			renew(&f->nodes[i], token_of(&f->nodes[i]));
		}
		for (unsigned i = 0; i < 10; i++) {
			deliver_until(f, ALL, WIRE_INVALID);
			wait_ms(f, ALL, 10);
		}
	}
	for (unsigned i = 0; i < N_NODES; i++)
		n_after += f->nodes[i].n_sent;
	/* Each renewal is a message; two nodes confirm five times a second. */
	assert_true(n_after - n_before <= 300 + 110);
}

/* --- Takeovers -------------------------------------------------------------------------------- */

static void a_takeover_replaces_the_lock(void **state)
{
	struct fixture *f = *state;
	uint64_t old = token_of(&f->nodes[0]);

	submit(&f->nodes[1], new_takeover(&f->nodes[1]));
	settle(f, ALL);
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
	submit(&f->nodes[1], takeover);
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), 0);
	assert_int_equal(last_answer(&f->nodes[1]), -ESTALE);
	assert_int_equal(token_of(&f->nodes[2]), lock);
	assert_int_equal(last_index(&f->nodes[0]), last);
	assert_equal(f);
}

static void a_takeover_that_was_first_makes_the_renewal_void(void **state)
{
	struct fixture *f = *state;

	submit(&f->nodes[1], new_takeover(&f->nodes[1]));
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), -ESTALE);
	assert_int_equal(last_answer(&f->nodes[1]), 0);
}

static void a_takeover_holds_in_its_epoch_only(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[1]);
	Op *takeover = new_takeover(&f->nodes[1]);

	set_view(f, ALL);
	settle(f, ALL);
	submit(&f->nodes[1], takeover);
	settle(f, ALL);
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
	submit(&f->nodes[1], new_takeover(&f->nodes[1]));
	assert_int_equal(deliver(f, ALL), WIRE_OPS);
	wait_ms(f, ALL, RIDE_MS);
	deliver_until(f, ALL, WIRE_INVALID);
	assert_int_equal(token_of(&f->nodes[0]), lock);
	set_view(f, ALL);
	let_go(&f->nodes[0]);
	let_go(&f->nodes[2]);
	deliver_until(f, ALL, WIRE_PROMISE);
	/* Our disk alone is to hold it in the next epoch. */
	hold(&f->nodes[1]);
	hold(&f->nodes[2]);
	settle(f, ALL);
	assert_int_equal(token_of(&f->nodes[0]), lock);

	renew(&f->nodes[0], lock);
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[0]), -ESTALE);
	for (unsigned i = 0; i < N_NODES; i++)
		let_go(&f->nodes[i]);
	settle(f, ALL);
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
	settle(f, 1U);
	assert_false(replica_lease(f->nodes[0].replica, token_of(&f->nodes[0]), &lease));
}

static void who_is_catching_up_judges_alike(void **state)
{
	struct fixture *f = *state;
	Op *stale;

	set_view(f, 3U);
	settle(f, 3U);
	submit(&f->nodes[0], op_new(OP_MKDIR, "d"));
	settle(f, 3U);
	hold(&f->nodes[2]);
	replica_view_changed(f->nodes[2].replica, NULL, 0);
	let_go(&f->nodes[2]);
	set_view(f, ALL);
	deliver_until(f, ALL, WIRE_PROMISE);
	while (g_queue_get_length(&f->bus) > 0 &&
		type_of(g_queue_peek_head(&f->bus)) == WIRE_PROMISE)
		deliver(f, ALL);

	/* Node 3 has no tree of this epoch yet, and its disk lets it wait. */
	hold(&f->nodes[2]);
	settle(f, ALL);
	assert_null(tree_by_path(replica_tree(f->nodes[2].replica), "d"));
	stale = new_takeover(&f->nodes[1]);
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	settle(f, ALL);
	submit(&f->nodes[1], stale);
	submit(&f->nodes[1], op_new(OP_MKDIR, "e"));
	settle(f, ALL);
	assert_int_equal(f->nodes[1].answers[f->nodes[1].n_answers - 2], -ESTALE);
	submit(&f->nodes[1], new_takeover(&f->nodes[1]));
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[1]), 0);

	let_go(&f->nodes[2]);
	settle(f, ALL);
	assert_equal(f);
}

static void a_lock_travels_to_who_was_away(void **state)
{
	struct fixture *f = *state;
	TreeLease lease;

	set_view(f, 3U);
	settle(f, 3U);
	submit(&f->nodes[1], new_takeover(&f->nodes[1]));
	settle(f, 3U);
	f->now_ms += 1000;
	set_view(f, ALL);
	settle(f, ALL);
	assert_equal(f);
	assert_true(tree_node_lease(tree_by_path(replica_tree(f->nodes[2].replica), LOCK), &lease));
	assert_string_equal(lease.owner, "owner");
	assert_true(lease_of(&f->nodes[2]).since_ms > f->now_ms - 4000);
	renew(&f->nodes[2], lease.token);
	settle(f, ALL);
	assert_int_equal(last_answer(&f->nodes[2]), 0);
}

static void who_was_cut_off_takes_no_refusal_for_success(void **state)
{
	struct fixture *f = *state;
	uint64_t lock = token_of(&f->nodes[0]);
	struct node *challenger = &f->nodes[1];

	/* The first change is on its way when the next two are asked for, so they travel together. */
	submit(challenger, op_new(OP_MKDIR, "d"));
	submit(challenger, new_takeover(challenger));
	submit(challenger, op_new(OP_MKDIR, "e"));
	renew(&f->nodes[0], lock);
	assert_int_equal(deliver(f, ALL), WIRE_OPS);
	while (deliver(f, 5U) != WIRE_OPS)
		continue;
	set_view(f, 5U);
	settle(f, 5U);
	set_view(f, ALL);
	settle(f, ALL);
	assert_int_equal(challenger->answers[challenger->n_answers - 3], 0);
	assert_int_equal(challenger->answers[challenger->n_answers - 2], -ESTALE);
	assert_int_equal(challenger->answers[challenger->n_answers - 1], 0);
	assert_int_equal(token_of(&f->nodes[0]), lock);
	assert_equal(f);
}

static void what_was_sent_with_a_refusal_is_not_sent_twice(void **state)
{
	struct fixture *f = *state;
	uint64_t last = last_index(&f->nodes[0]);
	struct node *challenger = &f->nodes[2];

	/* The first change is on its way when the next two are asked for, so they travel together. */
	submit(challenger, op_new(OP_MKDIR, "d"));
	submit(challenger, new_takeover(challenger));
	submit(challenger, op_new(OP_MKDIR, "e"));
	renew(&f->nodes[0], token_of(&f->nodes[0]));
	assert_int_equal(deliver(f, ALL), WIRE_OPS);
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
	settle(f, ALL);
	assert_int_equal(last_index(challenger), last + 2);
	assert_null(tree_by_path(replica_tree(challenger->replica), "e"));
	let_go(&f->nodes[0]);
	let_go(&f->nodes[1]);
	settle(f, ALL);
	assert_int_equal(challenger->answers[challenger->n_answers - 3], 0);
	assert_int_equal(challenger->answers[challenger->n_answers - 2], -ESTALE);
	assert_int_equal(challenger->answers[challenger->n_answers - 1], 0);
	assert_int_equal(last_index(&f->nodes[0]), last + 2);

	/* Nothing waits for what is not under way. */
	submit(challenger, op_new(OP_MKDIR, "g"));
	settle(f, ALL);
	assert_int_equal(last_answer(challenger), 0);
	assert_equal(f);
}

#define LEASE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
