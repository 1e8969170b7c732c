/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What tree.c (structure, look-up, rows), tree_apply.c (operations), tree_lease.c (locks) and
 * tree_limits.c (room for operations) have in common; for nobody else. */

#include "cfs/tree.h"

struct TreeNode {
	uint64_t inode;
	uint64_t parent;
	uint64_t version;
	uint32_t writer;
	uint32_t mtime_s;
	char *name;
	GBytes *data;  /* NULL: a directory. */
	GBytes *lease; /* NULL unless it is a lock. */
};

struct Tree {
	TreeLimits limits;
	GHashTable *by_inode; /* inode -> TreeNode, which it owns. */
	GTree *by_place;      /* TreeNode -> itself, by (parent, name). */
	GTree *guests;        /* Id of a guest -> TreeNode of its file. */
	TreeNode root;
	uint64_t version;
	uint64_t total_bytes;
};

/* The entry, the root for TREE_ROOT_INODE; NULL: there is none. */
TreeNode *tree_find_inode(const Tree *tree, uint64_t inode);
TreeNode *tree_find_child(const Tree *tree, uint64_t parent, const char *name);

/* Finds the directory that holds, or would hold, the last component of path; *ret_name points to
 * that component.  -ENOENT, -ENOTDIR or -ENAMETOOLONG. */
int tree_find_parent(const Tree *tree, const char *path, TreeNode **ret, const char **ret_name);

/* The same for the entry itself. */
int tree_find_path(const Tree *tree, const char *path, TreeNode **ret);

bool tree_has_children(const Tree *tree, const TreeNode *node);

/* Bytes of its content; 0 for a directory. */
uint64_t tree_node_size(const TreeNode *node);

/* The id of the guest whose file is, or would be, at a place; 0: none. */
unsigned tree_guest_id(const Tree *tree, uint64_t parent, const char *name);

TreeNode *tree_node_new(uint64_t inode, uint64_t parent, const char *name);
TreeNode *tree_node_copy(const TreeNode *node);
TreeNode *tree_node_free(TreeNode *node);

/* Puts a new entry, which the tree owns from then, into all indexes; takes it out of them, and frees
 * it. */
void tree_insert(Tree *tree, TreeNode *node);
void tree_remove(Tree *tree, TreeNode *node);

/* Puts an entry into the index by place and that of guests, and takes it out; what it counts goes
 * with it.  Its parent and name must not change in between. */
void tree_link(Tree *tree, TreeNode *node);
void tree_unlink(Tree *tree, TreeNode *node);

/* Gives a file other content; takes data. */
void tree_set_data(Tree *tree, TreeNode *node, GBytes *data);

/* The length of a file, which has one of length, after op; UINT64_MAX when it cannot be told in 64
 * bits. */
uint64_t tree_length_after(uint64_t length, const Op *op);

/* Whether data is the lease of a lock; *ret gets all but the token, owner borrowed from data. */
bool tree_lease_decode(GBytes *data, TreeLease *ret);

/* Whether what is directly in the directory are locks. */
bool tree_holds_locks(const Tree *tree, const TreeNode *directory);
