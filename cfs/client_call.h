/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests to the store that wait for their answer, for workers and commands.
 *
 * All return 0, or a negative errno with a sentence: the store's own, or -ETIMEDOUT when there was no
 * answer in time (a change may have happened or not), -ECONNRESET when the store went away meanwhile
 * (the same), -EACCES when we may not ask.  A store that is being restarted is waited for.  What is
 * returned by pointer is borrowed until the next call. */

#include "cfs/client.h"

typedef struct CfsCaller CfsCaller;

/* timeout_ms: for each call.  Connects with the first one; socket_path as for cfs_client_new(). */
CfsCaller *cfs_caller_new(const char *socket_path, unsigned timeout_ms);
CfsCaller *cfs_caller_free(CfsCaller *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsCaller, cfs_caller_free)

/* Any request; its number is ours to give. */
int cfs_call(CfsCaller *caller, const IpcRequest *request, const IpcAnswer **ret, GError **err);

/* An entry of the tree; path "": the root. */
int cfs_call_read(CfsCaller *caller, const char *path, IpcEntry *ret, GError **err);

/* A change or a transaction (cfs/op.h), borrowed.  *ret_version, unless NULL: the tree's just after it,
 * which is that of the entry that was changed last. */
int cfs_call_change(CfsCaller *caller, const Op *op, uint64_t *ret_version, GError **err);

/* What is read after it includes all that was acknowledged anywhere before. */
int cfs_call_barrier(CfsCaller *caller, GError **err);

int cfs_call_state(CfsCaller *caller, const IpcState **ret, GError **err);

/* One of this node's status keys; value NULL removes it. */
int cfs_call_status_set(CfsCaller *caller, const char *key, GBytes *value, GError **err);

/* Writes to the cluster log. */
int cfs_call_log(CfsCaller *caller, int priority, const char *user, const char *tag,
	const char *message, GError **err);

typedef struct CfsTake {
	const char *name; /* Borrowed for the call, like owner. */
	const char *owner;
	uint32_t ttl_s;
	unsigned wait_ms; /* 0: -EEXIST when somebody has it. */
} CfsTake;

/* Takes a lock.  It is ours until *ret_until_ms (CLOCK_MONOTONIC), if it is not renewed. */
int cfs_call_lock(CfsCaller *caller, const CfsTake *take, uint64_t *ret_token,
	int64_t *ret_until_ms, GError **err);
int cfs_call_renew(CfsCaller *caller, uint64_t token, int64_t *ret_until_ms, GError **err);
int cfs_call_unlock(CfsCaller *caller, uint64_t token, GError **err);
