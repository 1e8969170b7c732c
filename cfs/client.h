/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The store, as other programs of the node see it: requests to atoll-cfs over its socket.
 *
 * Daemons give the client a main context and get answers and events from it; nothing blocks.
 * Workers and commands use the calls of cfs/client_call.h, which wait.
 *
 * A restart of atoll-cfs is normal.  The client notices, says so, and connects again by itself, for
 * as long as it takes; subscriptions and locks outlive it.  After connected() everything else must be
 * read anew: what happened in between was told to nobody.
 *
 * Functions of this header may be called from callbacks, but for cfs_client_free(); a subscription or lock may
 * be freed from its own. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/ipc_wire.h"

typedef struct CfsClient CfsClient;
typedef struct CfsSubscription CfsSubscription;

typedef struct CfsClientHandler {
	void *data; /* Given to each function; each may be NULL. */

	/* The store serves us: subscriptions are in force, state is to be read anew. */
	void (*connected)(void *data, bool may_change);

	/* It does so no longer, or cannot be reached in the first place: then -ENOENT or
	 * -ECONNREFUSED when it does not run, -EACCES when we may not come in, -EUSERS when there are
	 * too many clients.  Told once until the next connected(). */
	void (*disconnected)(void *data, int reason);
} CfsClientHandler;

/* Connects, from context (NULL: the thread's default, a reference is taken), to socket_path (NULL:
 * that of the node's store).  handler is copied. */
CfsClient *cfs_client_new(
	const char *socket_path, GMainContext *context, const CfsClientHandler *handler);

/* No callback comes any more.  Subscriptions and locks must be gone. */
CfsClient *cfs_client_free(CfsClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsClient, cfs_client_free)

bool cfs_client_is_connected(const CfsClient *client);

/* --- Requests --------------------------------------------------------------------------------- */

/* The answer to a request, borrowed for the call.  result -ECONNRESET: the connection was lost; a
 * change may have happened or not. */
typedef void (*CfsAnswer)(void *data, const IpcAnswer *answer);

/* Sends a request (whose number is ours to give) and returns its number.  answer, unless it is NULL,
 * is called once, never before this function returns.  -ENOTCONN: there is no connection; -EMSGSIZE:
 * the request is too large; -EAGAIN: too much is waiting to be sent. */
int64_t cfs_client_send(CfsClient *client, const IpcRequest *request, CfsAnswer answer, void *data);

/* The same for a change or a transaction (cfs/op.h); op is borrowed.  -EINVAL and others of
 * op_check(). */
int64_t cfs_client_change(CfsClient *client, const Op *op, CfsAnswer answer, void *data);

/* The answer to a request, if it has not come yet, goes to another from now (NULL: to nobody).  What
 * was asked for may be done all the same. */
void cfs_client_redirect(CfsClient *client, int64_t number, CfsAnswer answer, void *data);

/* --- Events ----------------------------------------------------------------------------------- */

typedef void (*CfsEvent)(void *data, const Event *event);

/* Calls told for each event that passes the filter, whose text is copied, whenever there is a
 * connection. */
CfsSubscription *cfs_client_subscribe(
	CfsClient *client, const EventFilter *filter, CfsEvent told, void *data);
CfsSubscription *cfs_subscription_free(CfsSubscription *subscription);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsSubscription, cfs_subscription_free)

/* --- Locks ------------------------------------------------------------------------------------ */

typedef struct CfsLock CfsLock;

typedef struct CfsLockOptions {
	const char *name;  /* A file name. */
	const char *owner; /* For people. */
	uint32_t ttl_s;    /* OP_TTL_MIN_S to OP_TTL_MAX_S. */
	void *data;        /* Given to both. */

	/* The lock is ours.  token grows with each taking: whoever guards a resource refuses those
	 * that come with a lower one than he has seen. */
	void (*held)(void *data, uint64_t token);

	/* It is not, or no longer, and will not be: -ESTALE, somebody else may have it; -ETIME, its
	 * lease could not be renewed and has a sixth of ttl_s left, in which whatever the lock
	 * guards must end; others: it cannot be had. */
	void (*lost)(void *data, int reason);
} CfsLockOptions;

/* Waits for the lock, for as long as it takes, and renews it until it is freed or lost.  Strings are
 * copied. */
CfsLock *cfs_client_lock(CfsClient *client, const CfsLockOptions *options);

/* Frees the lock, or gives up waiting. */
CfsLock *cfs_lock_free(CfsLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsLock, cfs_lock_free)
