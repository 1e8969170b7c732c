/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Locks, as clients of this node use them: taking, waiting, renewing, freeing.
 *
 * A lock is a directory priv/lock/NAME with a lease (cfs/tree.h); its token is the inode.  Whoever
 * waits is woken by the change that frees the lock, or when a full lease has passed in which this node
 * saw no renewal; then it takes the lock over.  On one node, who came first is served first.  Between
 * nodes the log decides.
 *
 * The holder's side: a lock that is taken or renewed with success is good until the told time, which
 * is counted from the moment of asking.  Who needs it for longer renews well before.
 *
 * Pure: the world is LocksEnv. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/change_token.h"
#include "cfs/replica.h"

/* Requests that wait on one node: above, -EAGAIN. */
#define LOCKS_REQUESTS_MAX 4096

typedef struct Locks Locks;
typedef struct LocksRequest LocksRequest;

typedef struct LocksEnv {
	void *data;

	/* Monotonic milliseconds, the replica's; and the time of day, for what is written. */
	int64_t (*now_ms)(void *data);
	uint32_t (*wall_s)(void *data);

	/* Our id. */
	uint32_t (*node)(void *data);

	/* As replica_tree(), replica_submit(), replica_renew() and replica_lease(). */
	const Tree *(*tree)(void *data);
	int (*submit)(void *data, Op *op, ChangeToken *token);
	int (*renew)(void *data, uint64_t lock, ChangeToken *token);
	bool (*lease)(void *data, uint64_t lock, ReplicaLease *ret);
} LocksEnv;

typedef struct LocksResult {
	int result;       /* 0 or negative errno, and then there is nothing else. */
	uint64_t token;   /* Of the lock. */
	int64_t until_ms; /* Taken or renewed: until when it is good, by the env's clock. */
} LocksResult;

/* Called once for a request, perhaps before the call that makes it returns.  The request is no more. */
typedef void (*LocksAnswer)(void *data, const LocksResult *result);

/* env is copied; what it points to must outlive the locks. */
Locks *locks_new(const LocksEnv *env);

/* Requests are not answered any more.  The replica must be gone, or call nobody. */
Locks *locks_free(Locks *locks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Locks, locks_free)

/* --- What clients ask for ---------------------------------------------------------------------
 *
 * Each returns the request for locks_cancel(), or NULL when it has been answered already. */

typedef struct LocksTake {
	const char *name;  /* A file name (op_check_name()). */
	const char *owner; /* For people; see op_check_owner().  Not empty: that is mkdir(2). */
	uint32_t ttl_s;    /* OP_TTL_MIN_S to OP_TTL_MAX_S. */
	bool wait;         /* Otherwise -EEXIST when somebody has it. */
} LocksTake;

/* Strings are borrowed for the call.  Fails with -EINVAL, -ENAMETOOLONG, -EAGAIN; -EROFS without quorum
 * when it is our turn; -EIO when it is not known whether we have it: then nobody has it when its lease
 * has passed. */
LocksRequest *locks_take(Locks *locks, const LocksTake *take, LocksAnswer answer, void *data);

/* Renews by token.  -ESTALE: it is not our lock any more; -EROFS, -EIO: it is good for as long as it was.
 */
LocksRequest *locks_renew(Locks *locks, uint64_t token, LocksAnswer answer, void *data);

/* Frees by token.  -ESTALE as above. */
LocksRequest *locks_unlock(Locks *locks, uint64_t token, LocksAnswer answer, void *data);

/* Nobody wants the answer any more.  A lock that we get all the same is freed. */
void locks_cancel(LocksRequest *request);

/* For utime(2) of a lock's directory with time 0: removes the lock when its lease has run out here;
 * otherwise leaves it, with success.  The token is answered as by replica_submit(); negative errno: not
 * at all. */
int locks_expire(Locks *locks, uint64_t lock, ChangeToken *token);

/* --- What happens in the world ---------------------------------------------------------------- */

/* The tree has changed: changes as in ReplicaEnv.applied. */
void locks_applied(Locks *locks, const GPtrArray *changes);

/* As ReplicaEnv.state_changed. */
void locks_state_changed(Locks *locks);

/* When locks_tick() is wanted, in the env's milliseconds; -1: not at all. */
int64_t locks_deadline_ms(const Locks *locks);
void locks_tick(Locks *locks);
