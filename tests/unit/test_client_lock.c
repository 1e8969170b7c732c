/* SPDX-License-Identifier: Apache-2.0 */

/* Locks that a daemon waits for and keeps.  The test is the store that gives them, and what it does not
 * answer is not known to the client.  A lock of one second is renewed after a third of it, tried again
 * after a twelfth, and lost when a sixth is left. */

#include "base/clock.h"
#include "base/macro.h"
#include "tests/unit/served.h"

#define TTL_MS    1000
#define RENEW_MS  (TTL_MS / 3)
#define RETRY_MS  (TTL_MS / 12)
#define MARGIN_MS (TTL_MS / 6)

/* A timer of the loop may come that much too early by the clock in milliseconds. */
#define EARLY_MS 2

/* The owner of a lock. */
typedef struct Owner {
	CfsLock *lock;
	unsigned n_held;
	unsigned n_lost;
	uint64_t token;
	int reason;
	bool frees; /* The lock, in whatever it is told. */
} Owner;

static int64_t now_ms(void)
{
	return clock_system()->monotonic_ms(clock_system());
}

static void on_held(void *data, uint64_t token)
{
	Owner *owner = data;

	owner->n_held++;
	owner->token = token;
	if (owner->frees)
		owner->lock = cfs_lock_free(owner->lock);
}

static void on_lost(void *data, int reason)
{
	Owner *owner = data;

	owner->n_lost++;
	owner->reason = reason;
	if (owner->frees)
		owner->lock = cfs_lock_free(owner->lock);
}

static void want(CfsClient *client, Owner *owner)
{
	const CfsLockOptions options = {.name = "l",
		.owner = "me",
		.ttl_s = TTL_MS / 1000,
		.data = owner,
		.held = on_held,
		.lost = on_lost};

	*owner = (Owner){0};
	owner->lock = cfs_client_lock(client, &options);
}

/* Gives what is asked for next; returns when its time began. */
static int64_t give(struct fixture *f, uint64_t token)
{
	const Asked asked = next_asked(f, IPC_LOCK);
	int64_t at_ms = now_ms();

	answer(f, &asked, (IpcAnswer){.lock.token = token, .lock.until_ms = at_ms + TTL_MS});
	return at_ms;
}

/* An owner who holds the lock `token` from now on. */
static int64_t hold(struct fixture *f, CfsClient *client, Owner *owner, uint64_t token)
{
	int64_t at_ms;

	want(client, owner);
	at_ms = give(f, token);
	WAIT_UNTIL(owner->n_held > 0);
	assert_int_equal(owner->token, token);
	return at_ms;
}

/* The store goes, and comes back. */
static void restart(struct fixture *f, Heard *heard)
{
	unsigned n_connected = heard->n_connected, n_disconnected = heard->n_disconnected;

	served_stop(f);
	WAIT_UNTIL(heard->n_disconnected > n_disconnected);
	served_start(f);
	WAIT_UNTIL(heard->n_connected > n_connected);
}

static void a_lock_is_asked_for_when_there_is_a_connection(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	assert_int_equal(heard.n_connected, 0);
	(void)give(f, 7);
	WAIT_UNTIL(owner.n_held > 0);
	assert_int_equal(owner.token, 7);
	owner.lock = cfs_lock_free(owner.lock);
	assert_int_equal(next_asked(f, IPC_UNLOCK).about, 7);
}

static void it_is_renewed_after_a_third_of_its_time(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);
	int64_t since_ms = hold(f, client, &owner, 7);

	/* For longer than it was given for at first. */
	for (unsigned i = 0; i < 5; i++) {
		const Asked asked = next_asked(f, IPC_RENEW);

		assert_int_equal(asked.about, 7);
		assert_true(now_ms() - since_ms >= RENEW_MS - EARLY_MS);
		since_ms = now_ms();
		answer(f, &asked, (IpcAnswer){.renew.until_ms = since_ms + TTL_MS});
	}
	assert_int_equal(owner.n_lost, 0);
	assert_int_equal(owner.n_held, 1);
	owner.lock = cfs_lock_free(owner.lock);
}

static void a_renewal_that_failed_is_tried_again(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	int64_t since_ms;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	(void)hold(f, client, &owner, 7);
	answer_next(f, IPC_RENEW, -EROFS);
	since_ms = now_ms();
	answer_next(f, IPC_RENEW, -EIO);
	assert_true(now_ms() - since_ms >= RETRY_MS - EARLY_MS);
	assert_int_equal(owner.n_lost, 0);
	owner.lock = cfs_lock_free(owner.lock);
}

static void what_cannot_be_renewed_is_lost_before_its_end(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	Asked late;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);
	int64_t at_ms = hold(f, client, &owner, 7);

	/* One renewal is refused, and the next is not answered. */
	answer_next(f, IPC_RENEW, -EROFS);
	late = next_asked(f, IPC_RENEW);
	WAIT_UNTIL(owner.n_lost > 0);
	assert_int_equal(owner.reason, -ETIME);
	assert_true(now_ms() - at_ms >= TTL_MS - MARGIN_MS - EARLY_MS);

	/* It stays lost, whatever the answer. */
	answer(f, &late, (IpcAnswer){.renew.until_ms = now_ms() + TTL_MS});
	settle();
	owner.lock = cfs_lock_free(owner.lock);
	settle();
	assert_int_equal(owner.n_held + owner.n_lost, 2);
	assert_int_equal(f->n_asked[IPC_UNLOCK], 0);
}

static void what_somebody_else_has_is_lost_at_once(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	(void)hold(f, client, &owner, 7);
	answer_next(f, IPC_RENEW, -ESTALE);
	WAIT_UNTIL(owner.n_lost > 0);
	assert_int_equal(owner.reason, -ESTALE);
	owner.lock = cfs_lock_free(owner.lock);
	settle();
	assert_int_equal(f->n_asked[IPC_UNLOCK], 0);
}

static void a_held_lock_outlives_the_connection(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);
	int64_t at_ms = hold(f, client, &owner, 7);

	restart(f, &heard);
	while (now_ms() <= at_ms + TTL_MS) {
		const Asked asked = next_asked(f, IPC_RENEW);

		assert_int_equal(asked.about, 7);
		answer(f, &asked, (IpcAnswer){.renew.until_ms = now_ms() + TTL_MS});
	}
	assert_int_equal(owner.n_lost, 0);
	assert_int_equal(f->n_asked[IPC_LOCK], 1);
	owner.lock = cfs_lock_free(owner.lock);
}

static void who_waits_asks_each_store_that_comes(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	for (unsigned i = 0; i < 2; i++) {
		(void)next_asked(f, IPC_LOCK);
		restart(f, &heard);
	}
	(void)give(f, 9);
	WAIT_UNTIL(owner.n_held > 0);
	owner.lock = cfs_lock_free(owner.lock);
}

static void without_quorum_its_event_is_waited_for(void **state)
{
	const Event without = {.kind = EVENT_QUORUM, .on = false, .text = ""};
	const Event with = {.kind = EVENT_QUORUM, .on = true, .text = ""};
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	Asked quorum;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	quorum = next_asked(f, IPC_SUBSCRIBE);
	assert_int_equal(quorum.filter.kinds, EVENT_QUORUM);
	answer_next(f, IPC_LOCK, -EROFS);
	tell(f, &quorum, &without);
	settle();
	assert_int_equal(f->n_asked[IPC_LOCK], 1);
	tell(f, &quorum, &with);
	(void)give(f, 9);
	WAIT_UNTIL(owner.n_held > 0);
	owner.lock = cfs_lock_free(owner.lock);
}

static void after_a_failure_it_is_asked_for_again(void **state)
{
	static const int failures[] = {-EIO, -EAGAIN};
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	for (unsigned i = 0; i < G_N_ELEMENTS(failures); i++)
		answer_next(f, IPC_LOCK, failures[i]);
	(void)give(f, 9);
	WAIT_UNTIL(owner.n_held > 0);
	assert_int_equal(owner.n_lost, 0);
	owner.lock = cfs_lock_free(owner.lock);
}

static void what_cannot_be_had_is_lost(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	answer_next(f, IPC_LOCK, -EPERM);
	WAIT_UNTIL(owner.n_lost > 0);
	assert_int_equal(owner.reason, -EPERM);
	assert_int_equal(owner.n_held, 0);
	restart(f, &heard);
	settle();
	assert_int_equal(f->n_asked[IPC_LOCK], 1);
	owner.lock = cfs_lock_free(owner.lock);
}

static void who_gives_up_waiting_takes_nothing(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	Asked asked;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	asked = next_asked(f, IPC_LOCK);
	owner.lock = cfs_lock_free(owner.lock);
	assert_int_equal(next_asked(f, IPC_CANCEL).about, asked.number);
	/* It was given in the same moment. */
	answer(f, &asked, (IpcAnswer){.lock.token = 11, .lock.until_ms = now_ms() + TTL_MS});
	assert_int_equal(next_asked(f, IPC_UNLOCK).about, 11);
	assert_int_equal(owner.n_held + owner.n_lost, 0);
}

static void a_lock_may_be_freed_in_its_own_callback(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Owner owner;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	want(client, &owner);
	owner.frees = true;
	(void)give(f, 7);
	assert_int_equal(next_asked(f, IPC_UNLOCK).about, 7);

	want(client, &owner);
	owner.frees = true;
	answer_next(f, IPC_LOCK, -EINVAL);
	WAIT_UNTIL(owner.n_lost > 0);
	assert_null(owner.lock);
	settle();
	assert_int_equal(f->n_asked[IPC_UNLOCK], 1);
}

#define LOCK_TEST(name) cmocka_unit_test_setup_teardown(name, served_set_up, served_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LOCK_TEST(a_lock_is_asked_for_when_there_is_a_connection),
		LOCK_TEST(it_is_renewed_after_a_third_of_its_time),
		LOCK_TEST(a_renewal_that_failed_is_tried_again),
		LOCK_TEST(what_cannot_be_renewed_is_lost_before_its_end),
		LOCK_TEST(what_somebody_else_has_is_lost_at_once),
		LOCK_TEST(a_held_lock_outlives_the_connection),
		LOCK_TEST(who_waits_asks_each_store_that_comes),
		LOCK_TEST(without_quorum_its_event_is_waited_for),
		LOCK_TEST(after_a_failure_it_is_asked_for_again),
		LOCK_TEST(what_cannot_be_had_is_lost),
		LOCK_TEST(who_gives_up_waiting_takes_nothing),
		LOCK_TEST(a_lock_may_be_freed_in_its_own_callback),
	};

	served_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
