/* SPDX-License-Identifier: Apache-2.0 */

/* Operations applied to the tree.
 *
 * Each operation is first checked whole, then done: the version is counted when nothing can fail any
 * more, so that an operation with an error leaves no trace, not even a number. */

#include "cfs/tree_internal.h"

#include <string.h>

#include "base/macro.h"

/* --- Limits ----------------------------------------------------------------------------------- */

/* The regular file that an operation is about. */
static int find_file(const Tree *tree, const Op *op, TreeNode **ret)
{
	TreeNode *node;
	int r;

	r = tree_find_path(tree, op->path, &node);
	if (r < 0)
		return r;
	if (tree_node_is_directory(node))
		return -EISDIR;
	if (op->inode != 0 && op->inode != node->inode)
		return -ENOENT;
	*ret = node;
	return 0;
}

/* Length of a file after op; UINT64_MAX when it cannot be told in 64 bits. */
static uint64_t length_after(const TreeNode *file, const Op *op)
{
	uint64_t length = tree_node_size(file);
	uint64_t size = op->data ? g_bytes_get_size(op->data) : 0;
	uint64_t start;

	switch (op->type) {
	case OP_REPLACE:
		return size;
	case OP_TRUNCATE:
		return op->offset;
	case OP_WRITE:
		start = op->flags & OP_FLAG_APPEND ? length : op->offset;
		return start > UINT64_MAX - size ? UINT64_MAX : MAX(length, start + size);
	default:
		return length;
	}
}

/* What op would do to the sums, in bytes and entries; *ret_length is the length of its file. */
static void measure(const Tree *tree, const Op *op, uint64_t *ret_length, uint64_t *ret_grown,
	uint64_t *ret_freed, unsigned *ret_n_new)
{
	const char *name = strrchr(op->path, '/');
	TreeNode *file, *target;

	*ret_length = 0;
	*ret_grown = 0;
	*ret_freed = 0;
	*ret_n_new = 0;

	switch (op->type) {
	case OP_CREATE:
	case OP_MKDIR:
		*ret_length = op->data ? g_bytes_get_size(op->data) : 0;
		*ret_grown = strlen(name ? name + 1 : op->path) + *ret_length;
		*ret_n_new = 1;
		return;
	case OP_WRITE:
	case OP_REPLACE:
	case OP_TRUNCATE:
		if (find_file(tree, op, &file) < 0)
			return;
		*ret_length = length_after(file, op);
		*ret_grown = *ret_length;
		*ret_freed = tree_node_size(file);
		return;
	case OP_RENAME:
		if (tree_find_path(tree, op->path, &file) < 0)
			return;
		name = strrchr(op->target, '/');
		*ret_grown = strlen(name ? name + 1 : op->target);
		*ret_freed = strlen(file->name);
		if (tree_find_path(tree, op->target, &target) == 0)
			*ret_freed += strlen(target->name) + tree_node_size(target);
		return;
	default:
		return;
	}
}

int tree_admit(const Tree *tree, const TreeLimits *limits, const Op *op)
{
	uint64_t length, grown, freed;
	unsigned n_new;

	assert(tree);
	assert(limits);

	measure(tree, op, &length, &grown, &freed, &n_new);
	if (length > limits->file_max)
		return -EFBIG;
	if (n_new > 0 && tree_total_entries(tree) >= limits->entries_max)
		return -ENOSPC;
	/* What shrinks is welcome in a tree that is over its limit. */
	if (grown > freed && (tree->total_bytes > limits->total_max ||
				     grown - freed > limits->total_max - tree->total_bytes))
		return -ENOSPC;
	return 0;
}

/* --- Applying --------------------------------------------------------------------------------- */

/* One operation on its way; the version is counted when it is certain to succeed. */
typedef struct Apply {
	Tree *tree;
	const Op *op;
	uint32_t writer;
	GPtrArray *changes;
} Apply;

TreeChange *tree_change_free(TreeChange *change)
{
	if (!change)
		return NULL;

	g_free(change->name);
	g_free(change->old_name);
	g_free(change);
	return NULL;
}

static void change_destroy(void *change)
{
	tree_change_free(change);
}

GPtrArray *tree_changes_new(void)
{
	return g_ptr_array_new_with_free_func(change_destroy);
}

/* Notes that node has changed; the caller sets what is special about it. */
static TreeChange *note(Apply *apply, const TreeNode *node)
{
	TreeChange *change = g_new0(TreeChange, 1);

	change->inode = node->inode;
	change->parent = node->parent;
	change->old_parent = node->parent;
	change->name = g_strdup(node->name);
	g_ptr_array_add(apply->changes, change);
	return change;
}

static void stamp(Apply *apply, TreeNode *node)
{
	node->version = apply->tree->version;
	node->writer = apply->writer;
	node->mtime_s = apply->op->mtime_s;
}

/* The time of a directory moves with its list of names. */
static void touch_directory(Apply *apply, TreeNode *directory)
{
	if (directory->inode == TREE_ROOT_INODE)
		return;
	stamp(apply, directory);
	note(apply, directory);
}

static int apply_create(Apply *apply)
{
	Tree *tree = apply->tree;
	const Op *op = apply->op;
	TreeNode *directory, *node;
	const char *name;
	unsigned id;
	int r;

	r = tree_find_parent(tree, op->path, &directory, &name);
	if (r < 0)
		return r;
	if (tree_find_child(tree, directory->inode, name))
		return -EEXIST;
	id = op->type == OP_CREATE ? tree_guest_id(tree, directory->inode, name) : 0;
	if (id != 0 && g_tree_lookup(tree->guests, GUINT_TO_POINTER(id)))
		return -EEXIST;
	r = tree_admit(tree, &tree->limits, op);
	if (r < 0)
		return r;

	tree->version++;
	touch_directory(apply, directory);
	node = g_new0(TreeNode, 1);
	node->inode = tree->version;
	node->parent = directory->inode;
	node->name = g_strdup(name);
	if (op->type == OP_CREATE)
		node->data = g_bytes_ref(op->data);
	stamp(apply, node);
	g_hash_table_insert(tree->by_inode, &node->inode, node);
	tree_link(tree, node);
	note(apply, node)->created = true;
	return 0;
}

/* What is in a file after OP_WRITE or OP_TRUNCATE: the old bytes, cut or filled up with zeros, and
 * the new ones in their place. */
static GBytes *edited_data(const TreeNode *file, const Op *op, uint64_t length)
{
	uint8_t *bytes = g_malloc(MAX(length, 1));
	gsize old_size;
	const uint8_t *old = g_bytes_get_data(file->data, &old_size);
	uint64_t n_kept = MIN(old_size, length);

	if (n_kept > 0)
		memcpy(bytes, old, n_kept);
	memset(bytes + n_kept, 0, length - n_kept);
	if (op->type == OP_WRITE) {
		gsize size;
		const void *data = g_bytes_get_data(op->data, &size);
		uint64_t start = op->flags & OP_FLAG_APPEND ? old_size : op->offset;

		if (size > 0)
			memcpy(bytes + start, data, size);
	}
	return g_bytes_new_take(bytes, length);
}

static int apply_content(Apply *apply)
{
	Tree *tree = apply->tree;
	const Op *op = apply->op;
	TreeNode *file;
	int r;

	r = find_file(tree, op, &file);
	if (r < 0)
		return r;
	r = tree_admit(tree, &tree->limits, op);
	if (r < 0)
		return r;

	tree->version++;
	tree_set_data(tree, file,
		op->type == OP_REPLACE ? g_bytes_ref(op->data)
				       : edited_data(file, op, length_after(file, op)));
	stamp(apply, file);
	note(apply, file)->data_changed = true;
	return 0;
}

static void remove_node(Apply *apply, TreeNode *node)
{
	note(apply, node)->removed = true;
	tree_unlink(apply->tree, node);
	g_hash_table_remove(apply->tree->by_inode, &node->inode);
}

static int apply_remove(Apply *apply)
{
	Tree *tree = apply->tree;
	TreeNode *node;
	int r;

	r = tree_find_path(tree, apply->op->path, &node);
	if (r < 0)
		return r;
	if (apply->op->type == OP_UNLINK && tree_node_is_directory(node))
		return -EISDIR;
	if (apply->op->type == OP_RMDIR && !tree_node_is_directory(node))
		return -ENOTDIR;
	if (tree_has_children(tree, node))
		return -ENOTEMPTY;

	tree->version++;
	touch_directory(apply, tree_find_inode(tree, node->parent));
	remove_node(apply, node);
	return 0;
}

/* Whether directory is node or lies below it. */
static bool is_inside(const Tree *tree, const TreeNode *directory, const TreeNode *node)
{
	for (; directory != node; directory = tree_find_inode(tree, directory->parent))
		if (directory->inode == TREE_ROOT_INODE)
			return false;
	return true;
}

/* Whether node may take the place of what is there; NULL: nothing. */
static int check_replace(const Tree *tree, const Op *op, const TreeNode *node, const TreeNode *old)
{
	if (!old)
		return 0;
	if (op->flags & OP_FLAG_NOREPLACE)
		return -EEXIST;
	if (tree_node_is_directory(old) && !tree_node_is_directory(node))
		return -EISDIR;
	if (!tree_node_is_directory(old) && tree_node_is_directory(node))
		return -ENOTDIR;
	return tree_has_children(tree, old) ? -ENOTEMPTY : 0;
}

static int check_rename(const Tree *tree, const Op *op, const TreeNode *node,
	const TreeNode *directory, const char *name, const TreeNode *old)
{
	const TreeNode *owner;
	unsigned id;
	int r;

	if (is_inside(tree, directory, node))
		return -EINVAL;
	r = check_replace(tree, op, node, old);
	if (r < 0)
		return r;
	/* The paths of everything inside would change with it, guests' too. */
	if (tree_has_children(tree, node))
		return -EPERM;

	id = tree_node_is_directory(node) ? 0 : tree_guest_id(tree, directory->inode, name);
	owner = id != 0 ? g_tree_lookup(tree->guests, GUINT_TO_POINTER(id)) : NULL;
	if (owner && owner != node && owner != old)
		return -EEXIST;
	return tree_admit(tree, &tree->limits, op);
}

static int apply_rename(Apply *apply)
{
	Tree *tree = apply->tree;
	const Op *op = apply->op;
	TreeNode *node, *directory, *old;
	uint64_t old_parent;
	TreeChange *change;
	const char *name;
	int r;

	r = tree_find_path(tree, op->path, &node);
	if (r < 0)
		return r;
	r = tree_find_parent(tree, op->target, &directory, &name);
	if (r < 0)
		return r;
	old = tree_find_child(tree, directory->inode, name);
	if (old == node)
		return op->flags & OP_FLAG_NOREPLACE ? -EEXIST : 0;
	r = check_rename(tree, op, node, directory, name, old);
	if (r < 0)
		return r;

	tree->version++;
	old_parent = node->parent;
	touch_directory(apply, tree_find_inode(tree, old_parent));
	if (directory->inode != old_parent)
		touch_directory(apply, directory);
	if (old)
		remove_node(apply, old);

	tree_unlink(tree, node);
	change = note(apply, node);
	change->old_name = g_steal_pointer(&node->name);
	g_free(change->name);
	change->name = g_strdup(name);
	change->parent = directory->inode;
	node->name = g_strdup(name);
	node->parent = directory->inode;
	node->version = tree->version;
	node->writer = apply->writer;
	tree_link(tree, node);
	return 0;
}

static int apply_utime(Apply *apply)
{
	TreeNode *node;
	int r;

	r = tree_find_path(apply->tree, apply->op->path, &node);
	if (r < 0)
		return r;

	apply->tree->version++;
	stamp(apply, node);
	note(apply, node);
	return 0;
}

static int apply_op(Apply *apply)
{
	switch (apply->op->type) {
	case OP_CREATE:
	case OP_MKDIR:
		return apply_create(apply);
	case OP_WRITE:
	case OP_REPLACE:
	case OP_TRUNCATE:
		return apply_content(apply);
	case OP_RENAME:
		return apply_rename(apply);
	case OP_UNLINK:
	case OP_RMDIR:
		return apply_remove(apply);
	case OP_UTIME:
		return apply_utime(apply);
	case OP_BARRIER:
		return 0;
	case OP_INVALID:
	case OP_N_TYPES:
		break;
	}
	g_assert_not_reached();
}

int tree_apply(Tree *tree, const Op *op, uint32_t writer, GPtrArray *changes)
{
	g_autoptr(GPtrArray) unwanted = changes ? NULL : tree_changes_new();
	Apply apply = {.tree = tree, .op = op, .writer = writer};

	assert(tree);
	assert(op_check(op) == 0);

	apply.changes = changes ? changes : unwanted;
	return apply_op(&apply);
}
