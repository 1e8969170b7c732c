/* SPDX-License-Identifier: Apache-2.0 */

/* Who takes a lock stands in the queue of its name.  Only the first of a queue does anything: it asks
 * the log for the lock when that is free, or when its lease has run out as this node saw it; otherwise
 * it sleeps until the lock's directory changes or the lease would run out.  Each time it wakes it looks
 * at the tree anew, so it does not matter why it was woken.
 *
 * Clocks of different nodes are not compared, but they must run at about the same speed: a
 * challenger waits CLOCK_DRIFT_PPM longer than the ttl, and a millisecond for the rounding of both. */

#include "cfs/locks.h"

#include <string.h>

#include "base/macro.h"

/* What two clocks may differ by while a lease runs: NTP corrects by at most 500 ppm each. */
#define CLOCK_DRIFT_PPM 2000

#define LOCK_DIRECTORY "priv/lock/"

struct Locks {
	LocksEnv env;
	GTree *queues;    /* Name of a lock -> GQueue of LocksRequest that want it, never empty. */
	GQueue requests;  /* All, of LocksRequest. */
	GSequence *wakes; /* Of LocksRequest that want to look again, the first in front. */
};

typedef enum RequestKind {
	REQUEST_TAKE,
	REQUEST_RENEW,
	REQUEST_UNLOCK,
	REQUEST_EXPIRE,
} RequestKind;

struct LocksRequest {
	ChangeToken token; /* First. */
	Locks *locks;
	GList *link; /* In locks->requests. */
	RequestKind kind;
	LocksAnswer answer; /* NULL: cancelled, or REQUEST_EXPIRE. */
	void *data;
	bool *answered; /* Tells the call that made the request; NULL: it has returned. */

	bool under_way;   /* At the replica … */
	int64_t asked_ms; /* … since then. */
	uint64_t lock;    /* Its token; REQUEST_TAKE: 0. */
	uint32_t ttl_s;

	char *name; /* The rest is of REQUEST_TAKE. */
	char *owner;
	bool wait;
	int64_t wake_ms;     /* When to look again, and … */
	GSequenceIter *wake; /* … its place in locks->wakes; NULL: when it is woken only. */

	ChangeToken *expire; /* REQUEST_EXPIRE: whom to tell. */
};

/* --- Life ------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b, void *data)
{
	return strcmp(a, b);
}

static void queue_destroy(void *queue)
{
	g_queue_free(queue);
}

Locks *locks_new(const LocksEnv *env)
{
	Locks *locks;

	assert(env);

	locks = g_new0(Locks, 1);
	locks->env = *env;
	locks->queues = g_tree_new_full(compare_names, NULL, g_free, queue_destroy);
	g_queue_init(&locks->requests);
	locks->wakes = g_sequence_new(NULL);
	return locks;
}

static void request_destroy(void *data)
{
	LocksRequest *request = data;

	g_free(request->name);
	g_free(request->owner);
	g_free(request);
}

Locks *locks_free(Locks *locks)
{
	if (!locks)
		return NULL;

	g_tree_destroy(locks->queues);
	g_sequence_free(locks->wakes);
	g_queue_clear_full(&locks->requests, request_destroy);
	g_free(locks);
	return NULL;
}

static int64_t now(const Locks *locks)
{
	return locks->env.now_ms(locks->env.data);
}

/* --- Requests --------------------------------------------------------------------------------- */

static void on_answer(ChangeToken *token, int result);

static LocksRequest *request_new(Locks *locks, RequestKind kind, LocksAnswer answer, void *data)
{
	LocksRequest *request = g_new0(LocksRequest, 1);

	request->token.answer = on_answer;
	request->locks = locks;
	request->kind = kind;
	request->answer = answer;
	request->data = data;
	g_queue_push_tail(&locks->requests, request);
	request->link = locks->requests.tail;
	return request;
}

static int compare_wakes(const void *a, const void *b, void *data)
{
	const LocksRequest *left = a, *right = b;

	return (left->wake_ms > right->wake_ms) - (left->wake_ms < right->wake_ms);
}

/* Until something wakes it. */
static void sleep_on(LocksRequest *request)
{
	g_clear_pointer(&request->wake, g_sequence_remove);
}

/* That time wakes it, if nothing else does. */
static void wake_at(LocksRequest *request, int64_t ms)
{
	sleep_on(request);
	request->wake_ms = ms;
	request->wake =
		g_sequence_insert_sorted(request->locks->wakes, request, compare_wakes, NULL);
}

static void leave_queue(LocksRequest *request)
{
	Locks *locks = request->locks;
	GQueue *queue = request->name ? g_tree_lookup(locks->queues, request->name) : NULL;

	if (!queue)
		return;
	g_queue_remove(queue, request);
	if (g_queue_is_empty(queue))
		g_tree_remove(locks->queues, request->name);
}

static void wake(Locks *locks, const char *name);

/* The request is over.  Who is behind it in its queue is first now, and looks at the lock. */
static void finish(LocksRequest *request, const LocksResult *result)
{
	Locks *locks = request->locks;
	g_autofree char *name = g_strdup(request->name);
	LocksAnswer answer = request->answer;
	void *data = request->data;

	leave_queue(request);
	sleep_on(request);
	g_queue_delete_link(&locks->requests, request->link);
	if (request->answered)
		*request->answered = true;
	request_destroy(request);
	if (answer)
		answer(data, result);
	if (name)
		wake(locks, name);
}

static void fail(LocksRequest *request, int result)
{
	const LocksResult failed = {.result = result};

	finish(request, &failed);
}

static void succeed(LocksRequest *request)
{
	const LocksResult done = {.token = request->lock,
		.until_ms = request->asked_ms + (int64_t)request->ttl_s * 1000};

	finish(request, &done);
}

/* Asks the replica; op is taken.  The request may be gone when this returns. */
static void submit(LocksRequest *request, Op *op)
{
	Locks *locks = request->locks;
	int r;

	op->mtime_s = locks->env.wall_s(locks->env.data);
	request->under_way = true;
	request->asked_ms = now(locks);
	r = locks->env.submit(locks->env.data, op, &request->token);
	if (r == 0)
		return;
	op_free(op);
	on_answer(&request->token, r);
}

/* What a call that made a request returns. */
static LocksRequest *begin(LocksRequest *request, void (*first_step)(LocksRequest *request))
{
	bool answered = false;

	request->answered = &answered;
	first_step(request);
	if (answered)
		return NULL;
	request->answered = NULL;
	return request;
}

static Op *new_op(OpType type, const char *name)
{
	g_autofree char *path = g_strconcat(LOCK_DIRECTORY, name, NULL);

	return op_new(type, path);
}

/* --- Looking ---------------------------------------------------------------------------------- */

static const TreeNode *find_name(const Locks *locks, const char *name)
{
	g_autofree char *path = g_strconcat(LOCK_DIRECTORY, name, NULL);

	return tree_by_path(locks->env.tree(locks->env.data), path);
}

static const TreeNode *find_lock(const Locks *locks, uint64_t token, TreeLease *ret)
{
	const TreeNode *node = tree_by_inode(locks->env.tree(locks->env.data), token);

	return node && tree_node_lease(node, ret) ? node : NULL;
}

/* When a lease has run out for this node, and what a takeover cites then; false: not known now. */
static bool runs_out(const Locks *locks, const TreeLease *lease, int64_t *ret_ms, OpTakeover *ret)
{
	int64_t ttl_ms = (int64_t)lease->ttl_s * 1000;
	ReplicaLease seen;

	if (!locks->env.lease(locks->env.data, lease->token, &seen))
		return false;
	*ret_ms = seen.since_ms + ttl_ms + ttl_ms * CLOCK_DRIFT_PPM / 1000000 + 1;
	*ret = (OpTakeover){.token = lease->token, .epoch = seen.epoch, .renewals = seen.renewals};
	return true;
}

/* --- Taking ----------------------------------------------------------------------------------- */

static bool is_first(const LocksRequest *request)
{
	GQueue *queue = g_tree_lookup(request->locks->queues, request->name);

	return g_queue_peek_head(queue) == request;
}

static void ask_for_lock(LocksRequest *request, const OpTakeover *takeover)
{
	Op *op = new_op(OP_LOCK, request->name);

	op->owner = g_strdup(request->owner);
	op->ttl_s = request->ttl_s;
	op->takeover = *takeover;
	submit(request, op);
}

/* Does what is possible now.  The request may be gone when this returns. */
static void try_take(LocksRequest *request)
{
	const OpTakeover none = {0};
	OpTakeover takeover;
	const TreeNode *node;
	TreeLease lease;
	int64_t out_ms;

	if (request->under_way)
		return;
	sleep_on(request);
	node = find_name(request->locks, request->name);
	if (is_first(request) && !node) {
		ask_for_lock(request, &none);
		return;
	}
	if (is_first(request) && tree_node_lease(node, &lease) &&
		runs_out(request->locks, &lease, &out_ms, &takeover)) {
		if (now(request->locks) >= out_ms) {
			ask_for_lock(request, &takeover);
			return;
		}
		wake_at(request, out_ms);
	}
	/* A file in the place of a lock has no lease, and nobody waits for it. */
	if (!request->wait || (node && !tree_node_is_directory(node)))
		fail(request, -EEXIST);
}

/* The first who wants a lock looks at it. */
static void wake(Locks *locks, const char *name)
{
	GQueue *queue = g_tree_lookup(locks->queues, name);

	if (queue)
		try_take(g_queue_peek_head(queue));
}

static int check_take(const LocksTake *take)
{
	g_autoptr(Op) op = NULL;
	int r;

	if (take->owner[0] == '\0')
		return -EINVAL;
	r = op_check_name(take->name);
	if (r < 0)
		return r;
	op = new_op(OP_LOCK, take->name);
	op->owner = g_strdup(take->owner);
	op->ttl_s = take->ttl_s;
	return op_check(op);
}

static LocksRequest *refuse(int r, LocksAnswer answer, void *data)
{
	const LocksResult refused = {.result = r};

	answer(data, &refused);
	return NULL;
}

static int check_room(const Locks *locks)
{
	return locks->requests.length < LOCKS_REQUESTS_MAX ? 0 : -EAGAIN;
}

LocksRequest *locks_take(Locks *locks, const LocksTake *take, LocksAnswer answer, void *data)
{
	LocksRequest *request;
	GQueue *queue;
	int r;

	assert(answer);

	r = check_take(take);
	if (r == 0)
		r = check_room(locks);
	if (r < 0)
		return refuse(r, answer, data);

	request = request_new(locks, REQUEST_TAKE, answer, data);
	request->name = g_strdup(take->name);
	request->owner = g_strdup(take->owner);
	request->ttl_s = take->ttl_s;
	request->wait = take->wait;
	queue = g_tree_lookup(locks->queues, take->name);
	if (!queue) {
		queue = g_queue_new();
		g_tree_insert(locks->queues, g_strdup(take->name), queue);
	}
	g_queue_push_tail(queue, request);
	return begin(request, try_take);
}

/* --- Renewing and freeing --------------------------------------------------------------------- */

static void ask_for_renewal(LocksRequest *request)
{
	Locks *locks = request->locks;
	TreeLease lease;
	int r;

	if (!find_lock(locks, request->lock, &lease)) {
		fail(request, -ESTALE);
		return;
	}
	request->ttl_s = lease.ttl_s;
	request->under_way = true;
	request->asked_ms = now(locks);
	r = locks->env.renew(locks->env.data, request->lock, &request->token);
	if (r < 0)
		on_answer(&request->token, r);
}

static void ask_for_removal(LocksRequest *request)
{
	TreeLease lease;
	const TreeNode *node = find_lock(request->locks, request->lock, &lease);
	Op *op;

	if (!node) {
		fail(request, -ESTALE);
		return;
	}
	op = new_op(OP_RMDIR, tree_node_name(node));
	op->condition = OP_IF_VERSION;
	op->if_version = request->lock;
	submit(request, op);
}

static LocksRequest *with_token(Locks *locks, RequestKind kind, uint64_t token, LocksAnswer answer,
	void *data, void (*first_step)(LocksRequest *request))
{
	LocksRequest *request;
	int r = check_room(locks);

	assert(answer);

	if (r < 0)
		return refuse(r, answer, data);
	request = request_new(locks, kind, answer, data);
	request->lock = token;
	return begin(request, first_step);
}

LocksRequest *locks_renew(Locks *locks, uint64_t token, LocksAnswer answer, void *data)
{
	return with_token(locks, REQUEST_RENEW, token, answer, data, ask_for_renewal);
}

LocksRequest *locks_unlock(Locks *locks, uint64_t token, LocksAnswer answer, void *data)
{
	return with_token(locks, REQUEST_UNLOCK, token, answer, data, ask_for_removal);
}

void locks_cancel(LocksRequest *request)
{
	request->answer = NULL;
	/* What is under way goes on; on_answer() undoes it. */
	if (!request->under_way)
		fail(request, -ECANCELED);
}

int locks_expire(Locks *locks, uint64_t lock, ChangeToken *token)
{
	LocksRequest *request;
	OpTakeover takeover;
	const TreeNode *node;
	TreeLease lease;
	int64_t out_ms;
	Op *op;
	int r;

	node = find_lock(locks, lock, &lease);
	if (!node || !runs_out(locks, &lease, &out_ms, &takeover) || now(locks) < out_ms) {
		token->answer(token, 0);
		return 0;
	}
	r = check_room(locks);
	if (r < 0)
		return r;

	op = new_op(OP_RMDIR, tree_node_name(node));
	op->takeover = takeover;
	request = request_new(locks, REQUEST_EXPIRE, NULL, NULL);
	request->lock = lock;
	request->expire = token;
	submit(request, op);
	return 0;
}

/* --- Answers of the replica ------------------------------------------------------------------- */

/* Whether the lock of that name is what we asked for: a node that was catching up is told that its change
 * was applied when the tree is further already.  Of one node, only one taking of a name at a time has
 * an owner (the others are of mkdir(2)). */
static bool find_taken(LocksRequest *request)
{
	const Locks *locks = request->locks;
	const TreeNode *node = find_name(locks, request->name);
	TreeLease lease;

	if (!node || !tree_node_lease(node, &lease) || lease.ttl_s != request->ttl_s ||
		!str_equal(lease.owner, request->owner) ||
		tree_node_writer(node) != locks->env.node(locks->env.data))
		return false;
	request->lock = lease.token;
	return true;
}

/* We have got a lock that nobody wants any more. */
static void free_taken(LocksRequest *request)
{
	Locks *locks = request->locks;
	g_autofree char *name = g_strdup(request->name);

	leave_queue(request);
	g_clear_pointer(&request->name, g_free);
	request->kind = REQUEST_UNLOCK;
	ask_for_removal(request);
	wake(locks, name);
}

static void take_answered(LocksRequest *request, int result)
{
	if (result == 0 && !find_taken(request))
		result = -EIO;
	if (result == 0 && request->answer)
		succeed(request);
	else if (result == 0)
		free_taken(request);
	else if (request->answer && (result == -EEXIST || result == -ESTALE))
		try_take(request); /* Somebody was faster, or has renewed. */
	else
		fail(request, result);
}

/* That it was renewed, taken over or removed meanwhile is no failure of a wish to have it removed. */
static void expire_answered(LocksRequest *request, int result)
{
	ChangeToken *token = request->expire;

	fail(request, result);
	token->answer(token, result == -ESTALE || result == -ENOENT ? 0 : result);
}

static void on_answer(ChangeToken *token, int result)
{
	LocksRequest *request = (LocksRequest *)token;

	request->under_way = false;
	switch (request->kind) {
	case REQUEST_TAKE:
		take_answered(request, result);
		return;
	case REQUEST_EXPIRE:
		expire_answered(request, result);
		return;
	case REQUEST_RENEW:
	case REQUEST_UNLOCK:
		if (result == 0)
			succeed(request);
		else
			fail(request, result == -ENOENT ? -ESTALE : result);
		return;
	}
	g_assert_not_reached();
}

/* --- What happens in the world ---------------------------------------------------------------- */

void locks_applied(Locks *locks, const GPtrArray *changes)
{
	for (guint i = 0; i < changes->len; i++) {
		const TreeChange *change = g_ptr_array_index(changes, i);

		if (change->removed || change->created)
			wake(locks, change->name);
	}
}

/* Whoever is first in his queue looks again. */
static gboolean wake_first(void *name, void *queue, void *data)
{
	LocksRequest *first = g_queue_peek_head(queue);

	if (!first->under_way)
		wake_at(first, 0);
	return FALSE;
}

void locks_state_changed(Locks *locks)
{
	g_tree_foreach(locks->queues, wake_first, NULL);
	locks_tick(locks);
}

/* The request that wants to look first; NULL: none. */
static LocksRequest *first_to_wake(const Locks *locks)
{
	GSequenceIter *first = g_sequence_get_begin_iter(locks->wakes);

	return g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);
}

int64_t locks_deadline_ms(const Locks *locks)
{
	const LocksRequest *first = first_to_wake(locks);

	return first ? first->wake_ms : -1;
}

void locks_tick(Locks *locks)
{
	LocksRequest *request;

	/* Who has looked sleeps until later, has asked, or is gone. */
	while ((request = first_to_wake(locks)) && request->wake_ms <= now(locks))
		try_take(request);
}
