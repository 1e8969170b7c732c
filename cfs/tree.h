/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The replicated tree: directories and small files in memory.
 *
 * A pure value.  tree_apply() is deterministic: the same operations in the same order give the same
 * tree, the same results and the same inode numbers on every node, whatever their clocks, memory
 * layout or history of restarts.  Each change gives the entries it touches the next version; an
 * inode number is the version at creation, so it is never used twice.  The root is inode 0; it has
 * no version and no time of its own.
 *
 * Rules of names live here too: which paths hold guests (a CTID exists once in the whole tree), and
 * limits on size and number. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/op.h"

typedef struct Tree Tree;
typedef struct TreeNode TreeNode;

typedef struct TreeLimits {
	uint64_t file_max;    /* Bytes in one file: -EFBIG. */
	uint64_t total_max;   /* Bytes in all files and names: -ENOSPC. */
	uint64_t entries_max; /* Files and directories: -ENOSPC. */
} TreeLimits;

#define TREE_ROOT_INODE UINT64_C(0)

/* The lease of a lock that was taken by making its directory. */
#define TREE_MKDIR_TTL_S 120

Tree *tree_new(const TreeLimits *limits);
Tree *tree_free(Tree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

/* What one applied operation touched: what to write to the database and what kernels must forget.
 */
typedef struct TreeChange {
	uint64_t inode;      /* Entry that was created, changed or removed. */
	uint64_t parent;     /* Its directory now; of a removed one, its last. */
	uint64_t old_parent; /* Its directory before (equal to parent unless renamed). */
	char *name;          /* Its name now; of a removed one, its last. */
	char *old_name;      /* Its name before (NULL unless renamed). */
	bool removed;
	bool created;
	bool data_changed; /* Content (and length), rather than times or place only. */
} TreeChange;

/* Appends to changes (from tree_changes_new(), may be NULL): the entry that op names last, before it what it
 * replaced and the directories whose time it moved; of a transaction, the same for one operation after the
 * other.  Returns 0 or the errno that POSIX gives for the same call, of a transaction that of the first
 * operation that fails; then nothing has changed, not even the version. */
int tree_apply(Tree *tree, const Op *op, uint32_t writer, GPtrArray *changes);
TreeChange *tree_change_free(TreeChange *change);

/* An empty array for changes, which owns what is put into it. */
GPtrArray *tree_changes_new(void);

/* Number of changes ever applied: the version of the newest entry. */
uint64_t tree_version(const Tree *tree);

/* Lookups; the returned node is borrowed until the next change of the tree.  NULL: not there. */
const TreeNode *tree_by_inode(const Tree *tree, uint64_t inode);
const TreeNode *tree_by_path(const Tree *tree, const char *path);
const TreeNode *tree_child(const Tree *tree, uint64_t parent, const char *name);

uint64_t tree_node_inode(const TreeNode *node);
uint64_t tree_node_parent(const TreeNode *node);
uint64_t tree_node_version(const TreeNode *node);
uint32_t tree_node_writer(const TreeNode *node);
uint32_t tree_node_mtime_s(const TreeNode *node);
bool tree_node_is_directory(const TreeNode *node);
const char *tree_node_name(const TreeNode *node);

/* Content of a file, for the database that of a lock (below), NULL for other directories.  The caller
 * takes a reference of its own if it keeps it. */
GBytes *tree_node_data(const TreeNode *node);

/* Path below the root, owned by the caller; "" for the root. */
char *tree_node_dup_path(const Tree *tree, const TreeNode *node);

/* The same of a name in a directory, whether it is there or not; NULL when the directory is not. */
char *tree_dup_path_at(const Tree *tree, uint64_t parent, const char *name);

/* Whether a path, which may be of nothing, is or lies below priv or nodes/NAME/priv: what is there is for
 * root alone. */
bool tree_path_is_private(const char *path);

/* Calls visit for each child of a directory in byte order of the names, starting behind the name
 * after (NULL: from the start), until it returns false. */
void tree_each_child(const Tree *tree, uint64_t parent, const char *after,
	bool (*visit)(const TreeNode *node, void *data), void *data);

/* Calls visit for each entry but the root, in order of inode numbers. */
void tree_each(const Tree *tree, bool (*visit)(const TreeNode *node, void *data), void *data);

uint64_t tree_total_bytes(const Tree *tree);
uint64_t tree_total_entries(const Tree *tree);

/* SHA-256 over all rows, for comparing trees in tests and `.store`; hex, owned by the caller. */
char *tree_dup_digest(const Tree *tree);

/* Whether the limits leave room for what op adds to the tree as it is: 0, -EFBIG or -ENOSPC.  An
 * operation that will fail for another reason may pass. */
int tree_admit(const Tree *tree, const TreeLimits *limits, const Op *op);

/* Loading from rows of the database or of a transfer: puts the entry as it is, replacing what has
 * the same inode.  Rows may come in any order; tree_check() must succeed before the tree is used.
 * data of a directory is NULL, or the lease of a lock.  -EUCLEAN when the row cannot be part of any
 * tree, or another entry has its place. */
int tree_put_row(Tree *tree, uint64_t inode, uint64_t parent, uint64_t version, uint32_t writer,
	uint32_t mtime_s, bool directory, const char *name, GBytes *data);
void tree_set_version(Tree *tree, uint64_t version);

/* Whether parents exist and are directories, there is no cycle, no version is above the tree's, CTIDs
 * are unique and limits hold; -EUCLEAN with the reason otherwise.  Finds the guests. */
int tree_check(Tree *tree, GError **err);

/* Locks: the directories directly below priv/lock.  Each has a lease, and nothing in it; taking a lock
 * makes its directory with another inode each time, which is the token of who took it.  Nothing but
 * taking and freeing changes them. */
typedef struct TreeLease {
	uint64_t token;    /* Inode and version of the directory. */
	const char *owner; /* Borrowed until the next change. */
	uint32_t ttl_s;
} TreeLease;

/* False when the entry is no lock. */
bool tree_node_lease(const TreeNode *node, TreeLease *ret);

/* Calls visit for everything directly below priv/lock in order of the names (files too, which are no
 * locks), until it returns false. */
void tree_each_lock(const Tree *tree, bool (*visit)(const TreeNode *node, void *data), void *data);

/* The lease as data of its directory's row, for rows that come from elsewhere; owned by the caller. */
GBytes *tree_lease_encode(const char *owner, uint32_t ttl_s);

/* Guests: nodes/NAME/lxc/ID.conf and nodes/NAME/qemu-server/ID.conf. */
typedef struct TreeGuest {
	uint32_t vmid;
	const char *node; /* Borrowed until the next change. */
	bool container;   /* lxc rather than qemu-server. */
	uint64_t version; /* Grows with each change of its file. */
} TreeGuest;

/* False when no guest has the id. */
bool tree_guest(const Tree *tree, uint32_t vmid, TreeGuest *ret);
void tree_each_guest(
	const Tree *tree, bool (*visit)(const TreeGuest *guest, void *data), void *data);
