/* SPDX-License-Identifier: Apache-2.0 */

/* A lock that a daemon waits for and keeps.
 *
 *	WAITING  there is a request for it, or there will be when there is a connection and quorum
 *	HELD     it is ours until until_ms; it is renewed after each third of its time
 *	OVER     the owner was told that it is lost
 *
 * The lease belongs to the lock, not to the connection: a restart of the store takes nothing away
 * that is renewed in time. */

#include "base/clock.h"
#include "base/macro.h"
#include "cfs/client_internal.h"

/* Parts of the ttl: after which it is renewed, after which it is tried again when that failed, and
 * that are left to the owner when it is lost. */
#define RENEW_PART  3
#define RETRY_PART  12
#define MARGIN_PART 6

/* Pause after a failure that nobody tells the end of. */
#define AGAIN_MS 1000

typedef enum LockState {
	LOCK_WAITING,
	LOCK_HELD,
	LOCK_OVER,
} LockState;

struct CfsLock {
	CfsWatcher watcher; /* First. */
	CfsClient *client;
	CfsLockOptions options; /* Its strings are ours. */
	CfsSubscription *quorum;
	LockState state;
	int64_t request; /* Number of the one that is under way; 0: none. */
	uint64_t token;
	int64_t until_ms;
	int64_t renew_ms; /* When it is to be renewed. */
	GSource *timer;
};

static void lock_ask(CfsLock *lock);
static void lock_renew(CfsLock *lock);

static int64_t now_ms(void)
{
	return clock_system()->monotonic_ms(clock_system());
}

/* A part of the ttl, in milliseconds. */
static int64_t lock_part(const CfsLock *lock, int part)
{
	return (int64_t)lock->options.ttl_s * 1000 / part;
}

static void timer_clear(CfsLock *lock)
{
	if (!lock->timer)
		return;
	g_source_destroy(lock->timer);
	g_source_unref(lock->timer);
	lock->timer = NULL;
}

static void timer_set(CfsLock *lock, int64_t at_ms, GSourceFunc function)
{
	timer_clear(lock);
	lock->timer = g_timeout_source_new((guint)CLAMP(at_ms - now_ms(), 0, G_MAXINT));
	g_source_set_callback(lock->timer, function, lock, NULL);
	(void)g_source_attach(lock->timer, client_context(lock->client));
}

/* An answer that is still to come is nobody's: the lock may be freed from now on. */
static void lock_lose(CfsLock *lock, int reason)
{
	timer_clear(lock);
	cfs_client_redirect(lock->client, lock->request, NULL, NULL);
	lock->request = 0;
	lock->state = LOCK_OVER;
	lock->options.lost(lock->options.data, reason);
}

/* --- Giving up ---------------------------------------------------------------------------------- */

static void client_unlock(CfsClient *client, uint64_t token)
{
	IpcRequest request = {.type = IPC_UNLOCK};

	/* Where it cannot be told, the lease runs out. */
	request.unlock.token = token;
	(void)cfs_client_send(client, &request, NULL, NULL);
}

/* It became ours when nobody wanted it any more. */
static void on_taken_too_late(void *data, const IpcAnswer *answer)
{
	if (answer->result == 0)
		client_unlock(data, answer->lock.token);
}

void client_cancel_lock(CfsClient *client, int64_t number)
{
	IpcRequest request = {.type = IPC_CANCEL};

	request.cancel.number = (uint64_t)number;
	(void)cfs_client_send(client, &request, NULL, NULL);
	cfs_client_redirect(client, number, on_taken_too_late, client);
}

/* --- Keeping ---------------------------------------------------------------------------------- */

static int64_t lock_lost_ms(const CfsLock *lock)
{
	return lock->until_ms - lock_part(lock, MARGIN_PART);
}

static gboolean on_held_timer(gpointer data)
{
	CfsLock *lock = data;

	timer_clear(lock);
	if (now_ms() >= lock_lost_ms(lock))
		lock_lose(lock, -ETIME);
	else
		lock_renew(lock);
	return G_SOURCE_REMOVE;
}

/* Waits until it is to be renewed, or is lost. */
static void lock_keep(CfsLock *lock)
{
	int64_t lost_ms = lock_lost_ms(lock);

	timer_set(lock, lock->request ? lost_ms : MIN(lock->renew_ms, lost_ms), on_held_timer);
}

static void on_renewed(void *data, const IpcAnswer *answer)
{
	CfsLock *lock = data;

	lock->request = 0;
	if (answer->result == -ESTALE) {
		lock_lose(lock, -ESTALE);
		return;
	}
	if (answer->result == 0) {
		lock->until_ms = answer->renew.until_ms;
		lock->renew_ms = now_ms() + lock_part(lock, RENEW_PART);
	} else {
		lock->renew_ms = now_ms() + lock_part(lock, RETRY_PART);
	}
	lock_keep(lock);
}

static void lock_renew(CfsLock *lock)
{
	IpcRequest request = {.type = IPC_RENEW};
	int64_t number;

	request.renew.token = lock->token;
	number = cfs_client_send(lock->client, &request, on_renewed, lock);
	lock->request = MAX(number, 0);
	if (number < 0)
		lock->renew_ms = now_ms() + lock_part(lock, RETRY_PART);
	lock_keep(lock);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static gboolean on_again(gpointer data)
{
	CfsLock *lock = data;

	timer_clear(lock);
	lock_ask(lock);
	return G_SOURCE_REMOVE;
}

static void on_taken(void *data, const IpcAnswer *answer)
{
	CfsLock *lock = data;

	lock->request = 0;
	switch (answer->result) {
	case 0:
		lock->state = LOCK_HELD;
		lock->token = answer->lock.token;
		lock->until_ms = answer->lock.until_ms;
		lock->renew_ms = now_ms() + lock_part(lock, RENEW_PART);
		lock_keep(lock);
		lock->options.held(lock->options.data, lock->token);
		break;
	case -EROFS:      /* The event of quorum follows … */
	case -ECONNRESET: /* … or the connection comes back. */
		break;
	case -EIO:
	case -EAGAIN:
	case -ENOSPC:
		timer_set(lock, now_ms() + AGAIN_MS, on_again);
		break;
	default:
		lock_lose(lock, answer->result);
	}
}

static void lock_ask(CfsLock *lock)
{
	IpcRequest request = {.type = IPC_LOCK};
	int64_t number;

	if (lock->state != LOCK_WAITING || lock->request)
		return;
	timer_clear(lock);
	request.lock.name = lock->options.name;
	request.lock.owner = lock->options.owner;
	request.lock.ttl_s = lock->options.ttl_s;
	request.lock.wait = true;
	number = cfs_client_send(lock->client, &request, on_taken, lock);
	if (number > 0)
		lock->request = number;
	else if (number != -ENOTCONN)
		timer_set(lock, now_ms() + AGAIN_MS, on_again);
}

static void on_quorum(void *data, const Event *event)
{
	if (event->on)
		lock_ask(data);
}

static void on_connected(CfsWatcher *watcher)
{
	CfsLock *lock = (CfsLock *)watcher;

	if (lock->state == LOCK_WAITING)
		lock_ask(lock);
	else if (lock->state == LOCK_HELD && !lock->request)
		lock_renew(lock);
}

/* --- Life ------------------------------------------------------------------------------------- */

CfsLock *cfs_client_lock(CfsClient *client, const CfsLockOptions *options)
{
	const EventFilter quorum = {.kinds = EVENT_QUORUM, .text = ""};
	CfsLock *lock = g_new0(CfsLock, 1);

	assert(options->held && options->lost);

	lock->watcher.connected = on_connected;
	lock->client = client;
	lock->options = *options;
	lock->options.name = g_strdup(options->name);
	lock->options.owner = g_strdup(options->owner);
	client_add_watcher(client, &lock->watcher);
	lock->quorum = cfs_client_subscribe(client, &quorum, on_quorum, lock);
	lock_ask(lock);
	return lock;
}

CfsLock *cfs_lock_free(CfsLock *lock)
{
	if (!lock)
		return NULL;

	if (lock->state == LOCK_WAITING && lock->request) {
		client_cancel_lock(lock->client, lock->request);
	} else if (lock->state == LOCK_HELD) {
		cfs_client_redirect(lock->client, lock->request, NULL, NULL);
		client_unlock(lock->client, lock->token);
	}
	timer_clear(lock);
	client_remove_watcher(lock->client, &lock->watcher);
	lock->quorum = cfs_subscription_free(lock->quorum);
	g_free((char *)lock->options.name);
	g_free((char *)lock->options.owner);
	g_free(lock);
	return NULL;
}
