/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file system: the committed tree, mounted.
 *
 * One thread, which never blocks: a request that changes the tree becomes an operation and is
 * answered when that is committed.  Reads are answered from the tree at once.
 *
 * Nobody waits for longer than 10 s, but is told EIO then.  From there on further changes are refused
 * with EROFS, until what was waited for ends: they would stand behind it in the log.
 *
 * What the kernel may keep: names, attributes, listings and pages, which are taken back by exact
 * invalidation (cfs/inval.h) as changes are applied.  On this node a change is seen by all who look
 * after its answer; on others when their kernel has been told.
 *
 * A file opened for reading shows the content that was committed when it was opened, whole and for as
 * long as it is open, as if every change renamed a new file over the old one.  One opened for writing
 * shows the content as it is now, its own writes included, and is never cached.  How the kernel can
 * keep pages for the former although it has one length for all who have a file open is told in
 * cfs/fuse_nodes.h.  fsync by any descriptor is a barrier: what is opened after it includes
 * everything acknowledged anywhere before.
 *
 * Creating is put off until the first write; see cfs/fuse_create.c.
 *
 * O_TRUNC is a promise to replace: nothing happens until the first write, which then is one
 * operation with the truncation, or fsync, ftruncate or the last close, which make the file empty.
 * The last close, not the first: a shell that redirects duplicates the descriptor and closes one
 * before it writes to the other.  close() itself cannot wait for that; all who look at the file on
 * this node do until it is committed. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/change_token.h"
#include "cfs/guard.h"
#include "cfs/op.h"
#include "cfs/tree.h"

typedef struct StoreFs StoreFs;

/* Files of the root directory that are made when they are opened. */
typedef enum StoreFsView {
	STOREFS_VIEW_CLUSTERLOG,
	STOREFS_VIEW_MEMBERS,
	STOREFS_VIEW_STORE,
	STOREFS_VIEW_VERSION,
	STOREFS_VIEW_VMLIST,
	STOREFS_N_VIEWS,
} StoreFsView;

/* What the file system stands on. */
typedef struct StoreFsBackend {
	void *data; /* Given to each function. */

	/* The committed tree, borrowed until the next change. */
	const Tree *(*tree)(void *data);

	/* 0, or why changes are refused now (-EROFS). */
	int (*writable)(void *data);

	/* As replica_submit(): takes op on success. */
	int (*submit)(void *data, Op *op, ChangeToken *token);

	/* Directories directly below priv/lock are locks.  Their time set to now renews the lease; set to
	 * 0, it removes the lock if its lease has run out here, and otherwise changes nothing, with
	 * success. */
	int (*lock_renew)(void *data, uint64_t inode, ChangeToken *token);
	int (*lock_expire)(void *data, uint64_t inode, ChangeToken *token);

	/* The text of a view of now.  draft: only its length matters, which anybody may ask for; what of
	 * it costs much and has always the same length may be that of an earlier moment. */
	GBytes *(*view)(void *data, StoreFsView view, bool draft);

	/* The file system has been unmounted by somebody else. */
	void (*unmounted)(void *data);
} StoreFsBackend;

typedef struct StoreFsOptions {
	const char *mountpoint; /* Made when missing; borrowed for the call. */
	const char *node_name;  /* Where `local` leads; borrowed for the call. */
	TreeLimits limits;
	Guard *guard; /* Of the mount; borrowed for the file system's life. */
} StoreFsOptions;

/* Mounts, after removing a dead mount that a crash has left there, and serves from the thread's
 * default main context.  Negative errno with reason. */
int storefs_new(
	const StoreFsBackend *backend, const StoreFsOptions *options, StoreFs **ret, GError **err);

/* Unmounts.  Nobody may be waiting in the backend with a token of ours any more. */
StoreFs *storefs_free(StoreFs *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreFs, storefs_free)

/* `local` and `lxc` lead to another node's directories from now. */
void storefs_set_node_name(StoreFs *fs, const char *node_name);

/* The tree has changed: changes (of TreeChange) as tree_apply() gave them; own: asked for by a
 * request of this file system, whose answer follows at once. */
void storefs_applied(StoreFs *fs, const GPtrArray *changes, bool own);

/* Whether the first component of a path is a name that the file system has made itself, so that
 * nothing else may have it. */
bool storefs_path_is_made(const char *path);

/* Reads answered so far. */
uint64_t storefs_reads(const StoreFs *fs);
