/* SPDX-License-Identifier: Apache-2.0 */

/* What an operation would add to the tree, without doing it.
 *
 * The operations of a transaction build on each other: files that earlier ones have made, changed or
 * removed are noted, and later ones find their lengths there before they look into the tree. */

#include "cfs/tree_internal.h"

#include <string.h>

#include "base/macro.h"

/* A rename notes two paths. */
#define NOTES_MAX (2 * OP_TRANSACTION_MAX)

/* What is at a path after the operations that have been looked at. */
typedef struct Note {
	const char *path; /* Borrowed from the operation. */
	bool there;
	uint64_t length;
} Note;

typedef struct Growth {
	const Tree *tree;
	Note notes[NOTES_MAX];
	unsigned n_notes;
	uint64_t length_max; /* Of the longest file that is made. */
	uint64_t grown;      /* Bytes … */
	uint64_t freed;
	uint64_t n_new; /* … and entries. */
	uint64_t n_gone;
} Growth;

static uint64_t name_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strlen(slash ? slash + 1 : path);
}

static void set_length(Growth *growth, const char *path, bool there, uint64_t length)
{
	assert(growth->n_notes < NOTES_MAX);

	growth->notes[growth->n_notes++] = (Note){.path = path, .there = there, .length = length};
	if (there)
		growth->length_max = MAX(growth->length_max, length);
}

/* The length of the file at a path; inode 0: of any. */
static bool find_length(const Growth *growth, const char *path, uint64_t inode, uint64_t *ret)
{
	TreeNode *node;

	for (unsigned i = growth->n_notes; i-- > 0;) {
		const Note *note = &growth->notes[i];

		if (!str_equal(note->path, path))
			continue;
		*ret = note->length;
		return note->there;
	}
	if (tree_find_path(growth->tree, path, &node) < 0 || tree_node_is_directory(node) ||
		(inode != 0 && inode != node->inode))
		return false;
	*ret = tree_node_size(node);
	return true;
}

uint64_t tree_length_after(uint64_t length, const Op *op)
{
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

static void measure_content(Growth *growth, const Op *op)
{
	uint64_t before, after;

	if (!find_length(growth, op->path, op->inode, &before))
		return;
	after = tree_length_after(before, op);
	set_length(growth, op->path, true, after);
	if (after > before)
		growth->grown += after - before;
	else
		growth->freed += before - after;
}

/* The file at a path is gone, or has made room for another one. */
static void measure_loss(Growth *growth, const char *path)
{
	uint64_t length;

	if (!find_length(growth, path, 0, &length))
		return;
	growth->freed += name_length(path) + length;
	growth->n_gone++;
	set_length(growth, path, false, 0);
}

static void measure_rename(Growth *growth, const Op *op)
{
	uint64_t length;

	if (str_equal(op->path, op->target) || !find_length(growth, op->path, 0, &length))
		return;
	measure_loss(growth, op->target);
	growth->grown += name_length(op->target);
	growth->freed += name_length(op->path);
	set_length(growth, op->path, false, 0);
	set_length(growth, op->target, true, length);
}

static void measure(Growth *growth, const Op *op)
{
	uint64_t size = op->data ? g_bytes_get_size(op->data) : 0;

	switch (op->type) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_LOCK:
		growth->grown += name_length(op->path) + size;
		growth->n_new++;
		if (op->type == OP_CREATE)
			set_length(growth, op->path, true, size);
		return;
	case OP_WRITE:
	case OP_REPLACE:
	case OP_TRUNCATE:
		measure_content(growth, op);
		return;
	case OP_RENAME:
		measure_rename(growth, op);
		return;
	case OP_UNLINK:
		measure_loss(growth, op->path);
		return;
	case OP_TRANSACTION:
		for (guint i = 0; i < op->ops->len; i++)
			measure(growth, g_ptr_array_index(op->ops, i));
		return;
	default:
		return;
	}
}

int tree_admit(const Tree *tree, const TreeLimits *limits, const Op *op)
{
	Growth growth = {.tree = tree};
	uint64_t entries;

	assert(tree);
	assert(limits);

	measure(&growth, op);
	entries = tree_total_entries(tree);
	if (growth.length_max > limits->file_max)
		return -EFBIG;
	/* What shrinks is welcome in a tree that is over its limit. */
	if (growth.n_new > growth.n_gone &&
		entries + growth.n_new - growth.n_gone > limits->entries_max)
		return -ENOSPC;
	if (growth.grown > growth.freed &&
		(tree->total_bytes > limits->total_max ||
			growth.grown - growth.freed > limits->total_max - tree->total_bytes))
		return -ENOSPC;
	return 0;
}
