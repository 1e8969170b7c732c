/* SPDX-License-Identifier: Apache-2.0 */

/* Operations applied to the tree.
 *
 * Each operation is first checked whole, then done: the version is counted when nothing can fail any
 * more, so that an operation with an error leaves no trace, not even a number.
 *
 * A transaction does one operation after the other, and keeps what each entry was before each step.
 * When an operation fails, the steps are taken back, the last one first, so that every entry finds the
 * directories around it that it had before. */

#include "cfs/tree_internal.h"

#include <string.h>

#include "base/macro.h"

/* --- Applying --------------------------------------------------------------------------------- */

/* One operation on its way; the version is counted when it is certain to succeed. */
typedef struct Apply {
	Tree *tree;
	const Op *op;
	uint32_t writer;
	GPtrArray *changes;
	GPtrArray *undo; /* Of Step, in a transaction; otherwise NULL. */
} Apply;

/* An entry before it was changed. */
typedef struct Step {
	uint64_t inode;
	TreeNode *before; /* NULL: it was not there. */
} Step;

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

static void step_destroy(void *data)
{
	Step *step = data;

	tree_node_free(step->before);
	g_free(step);
}

/* To be called before anything is done to an entry, and before it is made. */
static void remember(Apply *apply, uint64_t inode)
{
	const TreeNode *node;
	Step *step;

	if (!apply->undo)
		return;
	node = tree_find_inode(apply->tree, inode);
	step = g_new0(Step, 1);
	step->inode = inode;
	step->before = node ? tree_node_copy(node) : NULL;
	g_ptr_array_add(apply->undo, step);
}

static void take_back(Tree *tree, GPtrArray *undo)
{
	for (guint i = undo->len; i-- > 0;) {
		Step *step = g_ptr_array_index(undo, i);
		TreeNode *node = tree_find_inode(tree, step->inode);

		if (node)
			tree_remove(tree, node);
		if (step->before)
			tree_insert(tree, g_steal_pointer(&step->before));
	}
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
	remember(apply, directory->inode);
	stamp(apply, directory);
	note(apply, directory);
}

/* Makes an entry of the version that was just counted.  data is taken: content of a file, lease of a
 * lock, NULL for other directories. */
static void make_entry(Apply *apply, TreeNode *directory, const char *name, GBytes *data)
{
	Tree *tree = apply->tree;
	TreeNode *node = tree_node_new(tree->version, directory->inode, name);

	if (apply->op->type == OP_CREATE)
		node->data = data;
	else
		node->lease = data;
	stamp(apply, node);
	remember(apply, node->inode);
	tree_insert(tree, node);
	note(apply, node)->created = true;
}

static void remove_node(Apply *apply, TreeNode *node)
{
	remember(apply, node->inode);
	note(apply, node)->removed = true;
	tree_remove(apply->tree, node);
}

static int apply_create(Apply *apply)
{
	Tree *tree = apply->tree;
	const Op *op = apply->op;
	TreeNode *directory;
	GBytes *data = NULL;
	const char *name;
	unsigned id;
	int r;

	r = tree_find_parent(tree, op->path, &directory, &name);
	if (r < 0)
		return r;
	if (tree_find_child(tree, directory->inode, name))
		return -EEXIST;
	if (directory->lease)
		return -EPERM;
	id = op->type == OP_CREATE ? tree_guest_id(tree, directory->inode, name) : 0;
	if (id != 0 && g_tree_lookup(tree->guests, GUINT_TO_POINTER(id)))
		return -EEXIST;
	r = tree_admit(tree, &tree->limits, op);
	if (r < 0)
		return r;

	if (op->type == OP_CREATE)
		data = g_bytes_ref(op->data);
	else if (tree_holds_locks(tree, directory))
		data = tree_lease_encode("", TREE_MKDIR_TTL_S);
	tree->version++;
	touch_directory(apply, directory);
	make_entry(apply, directory, name, data);
	return 0;
}

static bool is_lock(const TreeNode *node, uint64_t token)
{
	return node && node->lease && node->inode == token;
}

static int apply_lock(Apply *apply)
{
	Tree *tree = apply->tree;
	const Op *op = apply->op;
	uint64_t token = op->takeover.token;
	TreeNode *directory, *old;
	const char *name;
	int r;

	r = tree_find_parent(tree, op->path, &directory, &name);
	if (r < 0)
		return r;
	assert(tree_holds_locks(tree, directory));
	old = tree_find_child(tree, directory->inode, name);
	if (token != 0 && !is_lock(old, token))
		return -ESTALE;
	if (token == 0 && old)
		return -EEXIST;
	r = token == 0 ? tree_admit(tree, &tree->limits, op) : 0;
	if (r < 0)
		return r;

	tree->version++;
	touch_directory(apply, directory);
	if (old)
		remove_node(apply, old);
	make_entry(apply, directory, name, tree_lease_encode(op->owner, op->ttl_s));
	return 0;
}

/* What is in a file after OP_WRITE or OP_TRUNCATE: the old bytes, cut or filled up with zeros, and
 * the new ones in their place. */
static GBytes *edited_data(const TreeNode *file, const Op *op)
{
	uint64_t length = tree_length_after(tree_node_size(file), op);
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
	remember(apply, file->inode);
	tree_set_data(
		tree, file, op->type == OP_REPLACE ? g_bytes_ref(op->data) : edited_data(file, op));
	stamp(apply, file);
	note(apply, file)->data_changed = true;
	return 0;
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
	if (apply->op->takeover.token != 0 && !is_lock(node, apply->op->takeover.token))
		return -ESTALE;
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
	/* A lock is what was taken, where it was taken. */
	if (node->lease || directory->lease ||
		(tree_node_is_directory(node) && tree_holds_locks(tree, directory)))
		return -EPERM;
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

	remember(apply, node->inode);
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

	if (node->lease)
		return -EPERM;

	apply->tree->version++;
	remember(apply, node->inode);
	stamp(apply, node);
	note(apply, node);
	return 0;
}

static int check_condition(const Tree *tree, const Op *op)
{
	TreeNode *node;
	int r;

	if (op->condition == OP_IF_ANY)
		return 0;
	r = tree_find_path(tree, op->path, &node);
	if (op->condition == OP_IF_ABSENT)
		return r == 0 ? -EEXIST : 0;
	if (r < 0)
		return r;
	return node->version == op->if_version ? 0 : -ESTALE;
}

static int apply_op(Apply *apply)
{
	int r;

	r = check_condition(apply->tree, apply->op);
	if (r < 0)
		return r;

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
	case OP_LOCK:
		return apply_lock(apply);
	case OP_BARRIER:
		return 0;
	case OP_TRANSACTION:
	case OP_INVALID:
	case OP_N_TYPES:
		break;
	}
	g_assert_not_reached();
}

static int apply_transaction(Apply *apply, const GPtrArray *ops)
{
	g_autoptr(GPtrArray) undo = g_ptr_array_new_with_free_func(step_destroy);
	uint64_t version = apply->tree->version;
	guint n_changes = apply->changes->len;
	int r;

	apply->undo = undo;
	for (guint i = 0; i < ops->len; i++) {
		apply->op = g_ptr_array_index(ops, i);
		r = apply_op(apply);
		if (r == 0)
			continue;
		take_back(apply->tree, undo);
		apply->tree->version = version;
		g_ptr_array_set_size(apply->changes, (gint)n_changes);
		return r;
	}
	return 0;
}

int tree_apply(Tree *tree, const Op *op, uint32_t writer, GPtrArray *changes)
{
	g_autoptr(GPtrArray) unwanted = changes ? NULL : tree_changes_new();
	Apply apply = {.tree = tree, .op = op, .writer = writer};

	assert(tree);
	assert(op_check(op) == 0);

	apply.changes = changes ? changes : unwanted;
	return op->type == OP_TRANSACTION ? apply_transaction(&apply, op->ops) : apply_op(&apply);
}
