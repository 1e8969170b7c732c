/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/locks.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define NODE      7
#define TTL_S     10
#define TTL_MS    (TTL_S * 1000)
#define CLIENTS   4
#define PENDING_N 8

/* A longer wait than any drift that is allowed for. */
#define LATE_MS (TTL_MS + TTL_MS / 100)

/* One who asks. */
struct client {
	unsigned n_answers;
	LocksResult result;
};

struct pending {
	Op *op; /* NULL: a renewal. */
	ChangeToken *token;
};

struct fixture {
	Locks *locks;
	Tree *tree;
	int64_t now_ms;
	int refusal;     /* Of submit() and renew(); 0: none. */
	bool blind;      /* lease() knows nothing. */
	int64_t seen_ms; /* What it says otherwise. */
	struct pending pending[PENDING_N];
	unsigned n_pending;
	struct client clients[CLIENTS];
};

static int64_t env_now_ms(void *data)
{
	return ((struct fixture *)data)->now_ms;
}

static uint32_t env_wall_s(void *data)
{
	return 1000;
}

static uint32_t env_node(void *data)
{
	return NODE;
}

static const Tree *env_tree(void *data)
{
	return ((struct fixture *)data)->tree;
}

static int ask(struct fixture *f, Op *op, ChangeToken *token)
{
	if (f->refusal < 0)
		return f->refusal;
	assert_true(f->n_pending < PENDING_N);
	f->pending[f->n_pending++] = (struct pending){.op = op, .token = token};
	return 0;
}

static int env_submit(void *data, Op *op, ChangeToken *token)
{
	assert_int_equal(op_check(op), 0);
	return ask(data, op, token);
}

static int env_renew(void *data, uint64_t lock, ChangeToken *token)
{
	return ask(data, NULL, token);
}

static bool env_lease(void *data, uint64_t lock, ReplicaLease *ret)
{
	const struct fixture *f = data;

	*ret = (ReplicaLease){.since_ms = f->seen_ms, .epoch = 3, .renewals = 5};
	return !f->blind;
}

static int set_up(void **state)
{
	static const TreeLimits limits = {.file_max = 100, .total_max = 10000, .entries_max = 100};
	struct fixture *f = g_new0(struct fixture, 1);
	const LocksEnv env = {.data = f,
		.now_ms = env_now_ms,
		.wall_s = env_wall_s,
		.node = env_node,
		.tree = env_tree,
		.submit = env_submit,
		.renew = env_renew,
		.lease = env_lease};
	g_autoptr(Op) private = op_new(OP_MKDIR, "priv");
	g_autoptr(Op) directory = op_new(OP_MKDIR, "priv/lock");

	f->tree = tree_new(&limits);
	assert_int_equal(tree_apply(f->tree, private, NODE, NULL), 0);
	assert_int_equal(tree_apply(f->tree, directory, NODE, NULL), 0);
	f->locks = locks_new(&env);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < f->n_pending; i++)
		op_free(f->pending[i].op);
	locks_free(f->locks);
	tree_free(f->tree);
	g_free(f);
	return 0;
}

/* --- Driving ---------------------------------------------------------------------------------- */

/* Something changes the tree, and the locks hear of it. */
static int apply(struct fixture *f, const Op *op, uint32_t writer)
{
	g_autoptr(GPtrArray) changes = tree_changes_new();
	int r = tree_apply(f->tree, op, writer, changes);

	if (changes->len > 0)
		locks_applied(f->locks, changes);
	return r;
}

/* Another node makes or removes a lock. */
static void foreign(struct fixture *f, OpType type, const char *path)
{
	g_autoptr(Op) op = op_new(type, path);

	if (type == OP_LOCK) {
		op->owner = g_strdup("somebody else");
		op->ttl_s = TTL_S;
	}
	assert_int_equal(apply(f, op, NODE + 1), 0);
	f->seen_ms = f->now_ms;
}

/* Takes the oldest of what was asked for. */
static struct pending pop(struct fixture *f)
{
	struct pending first = f->pending[0];

	assert_true(f->n_pending > 0);
	f->n_pending--;
	memmove(f->pending, f->pending + 1, f->n_pending * sizeof(f->pending[0]));
	return first;
}

/* The log decides on the oldest change that was asked for. */
static void decide(struct fixture *f)
{
	struct pending pending = pop(f);
	int r = pending.op ? apply(f, pending.op, NODE) : 0;

	op_free(pending.op);
	f->seen_ms = f->now_ms;
	pending.token->answer(pending.token, r);
}

/* The oldest change that was asked for fails. */
static void refuse(struct fixture *f, int result)
{
	struct pending pending = pop(f);

	op_free(pending.op);
	pending.token->answer(pending.token, result);
}

static void answered(void *data, const LocksResult *result)
{
	struct client *client = data;

	client->n_answers++;
	client->result = *result;
}

static LocksRequest *take(struct fixture *f, unsigned client, bool wait)
{
	const LocksTake request = {.name = "x", .owner = "me", .ttl_s = TTL_S, .wait = wait};

	f->clients[client] = (struct client){0};
	return locks_take(f->locks, &request, answered, &f->clients[client]);
}

static void assert_answer(struct fixture *f, unsigned client, int result)
{
	assert_int_equal(f->clients[client].n_answers, 1);
	assert_int_equal(f->clients[client].result.result, result);
}

static void assert_waiting(struct fixture *f, unsigned client)
{
	assert_int_equal(f->clients[client].n_answers, 0);
}

static uint64_t token_of(struct fixture *f)
{
	const TreeNode *node = tree_by_path(f->tree, "priv/lock/x");

	return node ? tree_node_inode(node) : 0;
}

/* --- Tests ------------------------------------------------------------------------------------ */

static void a_free_lock_is_taken_with_a_token_and_a_time(void **state)
{
	struct fixture *f = *state;

	f->now_ms = 500;
	assert_non_null(take(f, 0, false));
	f->now_ms = 900;
	decide(f);
	assert_answer(f, 0, 0);
	assert_int_equal(f->clients[0].result.token, token_of(f));
	assert_int_equal(f->clients[0].result.until_ms, 500 + TTL_MS);
}

static void a_held_lock_is_refused_at_once_to_who_does_not_wait(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	assert_null(take(f, 0, false));
	assert_answer(f, 0, -EEXIST);
	assert_int_equal(f->n_pending, 0);
	assert_int_equal(locks_deadline_ms(f->locks), -1);
}

static void a_waiter_is_woken_by_the_removal(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	assert_non_null(take(f, 0, true));
	assert_waiting(f, 0);
	assert_int_equal(f->n_pending, 0);
	foreign(f, OP_RMDIR, "priv/lock/x");
	assert_int_equal(f->n_pending, 1);
	decide(f);
	assert_answer(f, 0, 0);
}

static void who_came_first_is_served_first(void **state)
{
	struct fixture *f = *state;
	LocksRequest *unlock;

	for (unsigned i = 0; i < 3; i++)
		take(f, i, true);
	assert_int_equal(f->n_pending, 1);
	for (unsigned i = 0; i < 3; i++) {
		decide(f);
		assert_answer(f, i, 0);
		for (unsigned later = i + 1; later < 3; later++)
			assert_waiting(f, later);
		unlock = locks_unlock(f->locks, token_of(f), answered, &f->clients[3]);
		assert_non_null(unlock);
		decide(f);
	}
	assert_int_equal(f->clients[3].n_answers, 3);
	assert_int_equal(f->n_pending, 0);
}

static void a_waiter_takes_over_after_the_full_lease_only(void **state)
{
	struct fixture *f = *state;
	uint64_t old;

	f->now_ms = 1000;
	foreign(f, OP_LOCK, "priv/lock/x");
	old = token_of(f);
	f->now_ms = 3000;
	take(f, 0, true);
	f->now_ms = 1000 + TTL_MS;
	locks_tick(f->locks);
	assert_int_equal(f->n_pending, 0);
	assert_true(locks_deadline_ms(f->locks) > 1000 + TTL_MS);
	assert_true(locks_deadline_ms(f->locks) < 1000 + LATE_MS);

	f->now_ms = locks_deadline_ms(f->locks);
	locks_tick(f->locks);
	assert_int_equal(f->n_pending, 1);
	assert_int_equal(f->pending[0].op->takeover.token, old);
	assert_int_equal(f->pending[0].op->takeover.epoch, 3);
	assert_int_equal(f->pending[0].op->takeover.renewals, 5);
	decide(f);
	assert_answer(f, 0, 0);
	assert_true(token_of(f) > old);
}

static void a_renewal_makes_a_waiter_wait_anew(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	take(f, 0, true);
	f->seen_ms = 4000;
	f->now_ms = locks_deadline_ms(f->locks);
	locks_tick(f->locks);
	assert_int_equal(f->n_pending, 0);
	assert_true(locks_deadline_ms(f->locks) > 4000 + TTL_MS);
}

static void a_takeover_that_comes_too_late_goes_on_waiting(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	take(f, 0, true);
	f->now_ms = LATE_MS;
	locks_tick(f->locks);
	f->seen_ms = f->now_ms;
	refuse(f, -ESTALE);
	assert_waiting(f, 0);
	assert_int_equal(f->n_pending, 0);
	assert_true(locks_deadline_ms(f->locks) > LATE_MS + TTL_MS);
}

static void who_does_not_wait_takes_over_what_has_run_out(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	f->now_ms = LATE_MS;
	assert_non_null(take(f, 0, false));
	decide(f);
	assert_answer(f, 0, 0);
}

static void without_knowledge_of_the_lease_nobody_takes_over(void **state)
{
	struct fixture *f = *state;

	foreign(f, OP_LOCK, "priv/lock/x");
	f->blind = true;
	take(f, 0, true);
	assert_int_equal(locks_deadline_ms(f->locks), -1);
	f->now_ms = LATE_MS;
	locks_tick(f->locks);
	assert_int_equal(f->n_pending, 0);
	f->blind = false;
	f->seen_ms = f->now_ms;
	locks_state_changed(f->locks);
	assert_int_equal(f->n_pending, 0);
	assert_true(locks_deadline_ms(f->locks) > LATE_MS + TTL_MS);
}

static void renewing_moves_the_time_and_counts_from_asking(void **state)
{
	struct fixture *f = *state;
	uint64_t token;

	take(f, 0, false);
	decide(f);
	token = f->clients[0].result.token;
	f->now_ms = 5000;
	assert_non_null(locks_renew(f->locks, token, answered, &f->clients[1]));
	f->now_ms = 5300;
	decide(f);
	assert_answer(f, 1, 0);
	assert_int_equal(f->clients[1].result.until_ms, 5000 + TTL_MS);
	assert_int_equal(f->clients[1].result.token, token);
}

static void a_lock_that_is_gone_is_stale(void **state)
{
	struct fixture *f = *state;

	assert_null(locks_renew(f->locks, 99, answered, &f->clients[0]));
	assert_answer(f, 0, -ESTALE);
	assert_null(locks_unlock(f->locks, 2, answered, &f->clients[1]));
	assert_answer(f, 1, -ESTALE);
}

static void unlocking_frees_no_lock_but_the_own(void **state)
{
	struct fixture *f = *state;
	uint64_t token;

	take(f, 0, false);
	decide(f);
	token = f->clients[0].result.token;
	locks_unlock(f->locks, token, answered, &f->clients[1]);
	foreign(f, OP_RMDIR, "priv/lock/x");
	foreign(f, OP_LOCK, "priv/lock/x");
	decide(f);
	assert_answer(f, 1, -ESTALE);
	assert_true(token_of(f) > token);
}

static void no_quorum_is_told(void **state)
{
	struct fixture *f = *state;

	f->refusal = -EROFS;
	assert_null(take(f, 0, true));
	assert_answer(f, 0, -EROFS);
	f->refusal = 0;
	take(f, 1, true);
	refuse(f, -EIO);
	assert_answer(f, 1, -EIO);
}

static void who_cancels_leaves_the_queue(void **state)
{
	struct fixture *f = *state;
	LocksRequest *second;

	foreign(f, OP_LOCK, "priv/lock/x");
	take(f, 0, true);
	second = take(f, 1, true);
	take(f, 2, true);
	locks_cancel(second);
	foreign(f, OP_RMDIR, "priv/lock/x");
	decide(f);
	assert_answer(f, 0, 0);
	locks_unlock(f->locks, token_of(f), answered, &f->clients[3]);
	decide(f);
	decide(f);
	assert_answer(f, 2, 0);
	assert_waiting(f, 1);
}

static void a_lock_that_nobody_wants_any_more_is_freed(void **state)
{
	struct fixture *f = *state;

	locks_cancel(take(f, 0, true));
	take(f, 1, true);
	decide(f); /* The lock is taken … */
	assert_int_equal(f->n_pending, 1);
	decide(f); /* … and freed … */
	assert_int_equal(f->n_pending, 1);
	decide(f); /* … for the next. */
	assert_waiting(f, 0);
	assert_answer(f, 1, 0);
}

static void success_without_the_lock_is_no_success(void **state)
{
	struct fixture *f = *state;

	take(f, 0, false);
	foreign(f, OP_LOCK, "priv/lock/x");
	refuse(f, 0);
	assert_answer(f, 0, -EIO);
}

static void a_file_in_the_place_of_a_lock_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	g_autoptr(Op) op = op_new(OP_CREATE, "priv/lock/x");

	op->data = g_bytes_new_static("", 0);
	assert_int_equal(apply(f, op, NODE), 0);
	assert_null(take(f, 0, true));
	assert_answer(f, 0, -EEXIST);
}

static void bad_requests_are_refused(void **state)
{
	struct fixture *f = *state;
	static const LocksTake cases[] = {
		{.name = "", .owner = "me", .ttl_s = 1},
		{.name = "a/b", .owner = "me", .ttl_s = 1},
		{.name = "..", .owner = "me", .ttl_s = 1},
		{.name = "a", .owner = "", .ttl_s = 1},
		{.name = "a", .owner = "\n", .ttl_s = 1},
		{.name = "a", .owner = "me", .ttl_s = 0},
		{.name = "a", .owner = "me", .ttl_s = OP_TTL_MAX_S + 1},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		f->clients[0] = (struct client){0};
		assert_null(locks_take(f->locks, &cases[i], answered, &f->clients[0]));
		assert_answer(f, 0, -EINVAL);
	}
}

static void many_waiters_wake_as_their_leases_run_out(void **state)
{
	enum { N = 50 };
	struct fixture *f = *state;
	int64_t last_ms = 0;

	/* In an order of its own, by a step that has no common divisor with N; the ttl is in the name. */
	for (unsigned i = 0; i < N; i++) {
		unsigned ttl_s = i * 37 % N + 1;
		g_autofree char *path = g_strdup_printf("priv/lock/%u", ttl_s);
		const LocksTake request = {.name = path + strlen("priv/lock/"),
			.owner = "me",
			.ttl_s = TTL_S,
			.wait = true};
		g_autoptr(Op) op = op_new(OP_LOCK, path);

		op->owner = g_strdup("somebody else");
		op->ttl_s = ttl_s;
		assert_int_equal(apply(f, op, NODE + 1), 0);
		assert_non_null(locks_take(f->locks, &request, answered, &f->clients[0]));
	}
	assert_int_equal(f->n_pending, 0);
	for (unsigned ttl_s = 1; ttl_s <= N; ttl_s++) {
		g_autofree char *path = g_strdup_printf("priv/lock/%u", ttl_s);

		/* All have looked again meanwhile, and sleep on. */
		locks_state_changed(f->locks);
		f->now_ms = locks_deadline_ms(f->locks);
		assert_true(f->now_ms > last_ms && f->now_ms >= ttl_s * 1000);
		last_ms = f->now_ms;
		locks_tick(f->locks);
		assert_int_equal(f->n_pending, 1);
		assert_string_equal(f->pending[0].op->path, path);
		refuse(f, -EIO);
		assert_int_equal(f->clients[0].n_answers, ttl_s);
	}
	assert_int_equal(locks_deadline_ms(f->locks), -1);
}

/* --- utime(dir, 0) ---------------------------------------------------------------------------- */

struct expiry {
	ChangeToken token; /* First. */
	int result;        /* 1: none yet. */
};

static void on_expired(ChangeToken *token, int result)
{
	((struct expiry *)token)->result = result;
}

static void a_lease_that_runs_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct expiry expiry = {.token.answer = on_expired, .result = 1};

	foreign(f, OP_MKDIR, "priv/lock/x");
	f->now_ms = TREE_MKDIR_TTL_S * 1000;
	assert_int_equal(locks_expire(f->locks, token_of(f), &expiry.token), 0);
	assert_int_equal(expiry.result, 0);
	assert_int_equal(f->n_pending, 0);
}

static void a_lease_that_has_run_out_is_removed(void **state)
{
	struct fixture *f = *state;
	struct expiry expiry = {.token.answer = on_expired, .result = 1};

	foreign(f, OP_MKDIR, "priv/lock/x");
	f->now_ms = TREE_MKDIR_TTL_S * 1010;
	assert_int_equal(locks_expire(f->locks, token_of(f), &expiry.token), 0);
	assert_int_equal(expiry.result, 1);
	decide(f);
	assert_int_equal(expiry.result, 0);
	assert_int_equal(token_of(f), 0);
}

static void a_renewal_that_is_faster_saves_the_lock(void **state)
{
	struct fixture *f = *state;
	struct expiry expiry = {.token.answer = on_expired, .result = 1};

	foreign(f, OP_MKDIR, "priv/lock/x");
	f->now_ms = TREE_MKDIR_TTL_S * 1010;
	assert_int_equal(locks_expire(f->locks, token_of(f), &expiry.token), 0);
	refuse(f, -ESTALE);
	assert_int_equal(expiry.result, 0);

	f->refusal = -EROFS;
	assert_int_equal(locks_expire(f->locks, token_of(f), &expiry.token), 0);
	assert_int_equal(expiry.result, -EROFS);
}

#define LOCKS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LOCKS_TEST(a_free_lock_is_taken_with_a_token_and_a_time),
		LOCKS_TEST(a_held_lock_is_refused_at_once_to_who_does_not_wait),
		LOCKS_TEST(a_waiter_is_woken_by_the_removal),
		LOCKS_TEST(who_came_first_is_served_first),
		LOCKS_TEST(a_waiter_takes_over_after_the_full_lease_only),
		LOCKS_TEST(a_renewal_makes_a_waiter_wait_anew),
		LOCKS_TEST(a_takeover_that_comes_too_late_goes_on_waiting),
		LOCKS_TEST(who_does_not_wait_takes_over_what_has_run_out),
		LOCKS_TEST(without_knowledge_of_the_lease_nobody_takes_over),
		LOCKS_TEST(renewing_moves_the_time_and_counts_from_asking),
		LOCKS_TEST(a_lock_that_is_gone_is_stale),
		LOCKS_TEST(unlocking_frees_no_lock_but_the_own),
		LOCKS_TEST(no_quorum_is_told),
		LOCKS_TEST(who_cancels_leaves_the_queue),
		LOCKS_TEST(a_lock_that_nobody_wants_any_more_is_freed),
		LOCKS_TEST(success_without_the_lock_is_no_success),
		LOCKS_TEST(a_file_in_the_place_of_a_lock_is_not_waited_for),
		LOCKS_TEST(bad_requests_are_refused),
		LOCKS_TEST(many_waiters_wake_as_their_leases_run_out),
		LOCKS_TEST(a_lease_that_runs_is_left_alone),
		LOCKS_TEST(a_lease_that_has_run_out_is_removed),
		LOCKS_TEST(a_renewal_that_is_faster_saves_the_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
