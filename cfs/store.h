/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The database of the store: one sqlite file with the tree, the tail of the log and a few scalars.
 *
 *	tree    one row a file (type 8) or directory (type 4); the root has none.  Row 0 is named
 *	        __version__ and carries the version of the whole tree.
 *	log     one row an entry, by index; with what was known to be committed when it was written.
 *	origin  what has been applied of each node.
 *	scalar  one row a number or hash.
 *
 * A batch is one transaction and, when others rely on it, one fsync.  Nothing is written but by
 * store_write(), store_maintain() and store_set_node().  The functions may block; a store may be
 * used by one thread at a time. */

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

#include <glib.h>

#include "cfs/replica.h"

typedef struct Store Store;

/* Opens the database, makes it (mode 0600) when it is not there, and checks it.  A damaged one is
 * renamed to PATH.damaged-TIME (with its write-ahead log), which is logged, and an empty one takes
 * its place.  -EBUSY when another process serves it; other negative errno with reason, and then
 * nothing is changed.
 *
 * PATH.lock keeps other processes out, and remembers that there was a database: one that is gone
 * or empty counts as damaged, too. */
int store_open(const char *path, Store **ret, GError **err);

/* Keeps every other process from opening the database, until *ret_fd is closed: -EBUSY when one has. */
int store_lock(const char *path, int *ret_fd, GError **err);

/* The process that keeps others out; 0: there is none, or it cannot be told. */
pid_t store_holder(const char *path);

/* Opens what is there, of whatever program and in whatever state, without changing anything; others
 * may use it meanwhile, and it is seen as it is at the first read.  For store_check(), store_load(), store_load_tree() and store_salvage(). */
int store_open_to_read(const char *path, Store **ret, GError **err);

/* Closes; what is committed stays committed.  NULL is fine. */
Store *store_close(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

/* Renames the database away as damaged, and starts with an empty one: for the caller that finds a
 * contradiction which sqlite cannot see. */
int store_set_aside(Store *store, const char *reason, GError **err);

/* Where store_open() or store_set_aside() has put a damaged database; NULL: there was none. */
const char *store_kept(const Store *store);

/* Checks all pages, and what hangs on them: -EUCLEAN with the first thing that is wrong. */
int store_check(Store *store, GError **err);

/* Everything that is in the database; *ret is owned by the caller.  -EUCLEAN when rows make no
 * sense. */
int store_load(Store *store, ReplicaBatch **ret, GError **err);

/* The rows of the tree and its version, nothing else: also from a database of pmxcfs, which has the
 * same table. */
int store_load_tree(Store *store, ReplicaBatch **ret, GError **err);

/* As many rows of a damaged tree as can be read.  *ret_n_bad counts those that were found and make no
 * sense; others may be missing without a trace. */
int store_salvage(Store *store, ReplicaBatch **ret, unsigned *ret_n_bad, GError **err);

/* Writes a batch as its definition says (cfs/replica.h).  0, or a negative errno and nothing of it
 * is in the database: -ENOSPC, -EBUSY (a foreign writer holds it), -EIO and the like.
 * -ENOTRECOVERABLE when fsync failed, after which nobody can tell what is on the disk. */
int store_write(Store *store, const ReplicaBatch *batch);

/* Copies the write-ahead log into the database file when it has grown long, or cannot grow.  To be
 * called after store_write(), when nobody waits. */
void store_maintain(Store *store);

/* The node id that this database belongs to; 0: not known yet. */
uint32_t store_node(const Store *store);
int store_set_node(Store *store, uint32_t node);

/* The operator's word that the database, though empty, has lost nothing (ReplicaOptions.trusted). */
bool store_trusted(const Store *store);
int store_set_trusted(Store *store);

/* Bytes given to the disk by transactions and copies since the store was opened. */
uint64_t store_bytes_written(const Store *store);
