/* SPDX-License-Identifier: Apache-2.0 */

/* How the tree of the source differs from that of a member, found range by range while the source's
 * goes on changing.  Why the sum of it is the tree of one moment is told at the top of
 * replica_source.c. */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/stream.h"

struct Difference {
	GArray *inodes; /* Of uint64_t, ascending: ours when it began … */
	guint inode;    /* … and the next that is to be compared. */
	GTree *touched; /* Inodes that have changed since; NULL: the picture is taken. */

	uint64_t compared; /* Up to here all is. */
	GBytes *list;      /* The member's range that is being compared; NULL: none … */
	uint32_t n_rows;   /* … with so many rows … */
	uint32_t row;      /* … and this the next of them … */
	uint64_t upto;     /* … and its end. */

	ReplicaBatch *rest; /* What follows the picture … */
	guint at[4];        /* … and the next row, removed inode, origin, entry. */
};

static int compare_inodes(const void *a, const void *b, void *data)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static bool collect_inode(const TreeNode *node, void *data)
{
	uint64_t inode = tree_node_inode(node);

	g_array_append_val((GArray *)data, inode);
	return true;
}

Difference *difference_new(const Tree *tree)
{
	Difference *difference = g_new0(Difference, 1);

	difference->inodes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	difference->touched = g_tree_new_full(compare_inodes, NULL, g_free, NULL);
	tree_each(tree, collect_inode, difference->inodes);
	return difference;
}

Difference *difference_free(Difference *difference)
{
	if (!difference)
		return NULL;

	g_array_unref(difference->inodes);
	g_clear_pointer(&difference->touched, g_tree_destroy);
	g_clear_pointer(&difference->list, g_bytes_unref);
	replica_batch_free(difference->rest);
	g_free(difference);
	return NULL;
}

/* An entry of the tree has changed. */
void difference_mark(Difference *difference, uint64_t inode)
{
	uint64_t *key;

	if (!difference->touched)
		return;
	key = g_new(uint64_t, 1);
	*key = inode;
	g_tree_insert(difference->touched, key, key);
}

/* The inode up to which all is compared; UINT64_MAX: everything. */
uint64_t difference_compared(const Difference *difference)
{
	return difference->compared;
}

/* The member has listed its next range. */
void difference_set_list(Difference *difference, const WireMessage *message)
{
	assert(!difference->list);
	assert(message->list.after == difference->compared);

	difference->list =
		g_bytes_new(message->list.bytes, (gsize)message->list.n_rows * WIRE_LIST_ROW_SIZE);
	difference->n_rows = message->list.n_rows;
	difference->row = 0;
	difference->upto = message->list.upto;
}

/* --- Comparing -------------------------------------------------------------------------------- */

/* The next inode of ours, and of the list, in the range that is compared; UINT64_MAX: there is none,
 * as no inode is. */
static uint64_t next_own(const Difference *difference)
{
	uint64_t inode;

	if (difference->inode == difference->inodes->len)
		return UINT64_MAX;
	inode = g_array_index(difference->inodes, uint64_t, difference->inode);
	return inode <= difference->upto ? inode : UINT64_MAX;
}

static uint64_t next_listed(const Difference *difference, WireListRow *ret)
{
	if (difference->row == difference->n_rows)
		return UINT64_MAX;
	wire_get_list_row(g_bytes_get_data(difference->list, NULL), difference->row, ret);
	return ret->inode;
}

static bool is_same(const TreeNode *node, const WireListRow *row)
{
	uint8_t digest[WIRE_DIGEST_SIZE];

	if (tree_node_version(node) != row->version)
		return false;
	(void)replica_row_digest(node, digest);
	return memcmp(digest, row->digest, sizeof(digest)) == 0;
}

static void put_removed(GByteArray *out, uint64_t inode)
{
	const StreamItem item = {.type = STREAM_REMOVED, .inode = inode};

	stream_put(out, &item);
}

static void put_node(GByteArray *out, const TreeNode *node)
{
	StreamItem item = {.type = STREAM_ROW};

	disk_row_of(node, &item.row);
	stream_put(out, &item);
}

/* Compares the next inode of the range, and writes what differs.  False when the range is over. */
bool difference_put_next(Difference *difference, const Tree *tree, GByteArray *out)
{
	WireListRow row;
	uint64_t own = next_own(difference);
	uint64_t listed = next_listed(difference, &row);
	const TreeNode *node;

	if (own == UINT64_MAX && listed == UINT64_MAX) {
		g_clear_pointer(&difference->list, g_bytes_unref);
		difference->compared = difference->upto;
		return false;
	}

	difference->inode += own <= listed;
	difference->row += listed <= own;
	if (listed < own) {
		put_removed(out, listed);
		return true;
	}
	/* What has changed meanwhile follows with the picture. */
	if (g_tree_lookup(difference->touched, &own))
		return true;
	node = tree_by_inode(tree, own);
	assert(node);
	if (own != listed || !is_same(node, &row))
		put_node(out, node);
	return true;
}

/* --- The rest --------------------------------------------------------------------------------- */

typedef struct Taking {
	ReplicaBatch *rest;
	const Tree *tree;
} Taking;

static gboolean take_touched(gpointer key, gpointer value, gpointer data)
{
	const Taking *taking = data;

	disk_add_row(taking->rest, taking->tree, *(const uint64_t *)key);
	return FALSE;
}

/* All is compared: writes the picture, and takes what follows it: what has changed since it began, all
 * origins, and the log behind the commit index up to end. */
void difference_take_rest(Difference *difference, const Image *image, uint64_t end, GByteArray *out)
{
	StreamItem item = {.type = STREAM_PICTURE,
		.picture = {.commit = image->commit,
			.version = tree_version(image->tree),
			.n_entries = tree_total_entries(image->tree),
			.n_bytes = tree_total_bytes(image->tree)}};
	Taking taking = {.rest = replica_batch_new(), .tree = image->tree};

	assert(!difference->rest);

	memcpy(item.picture.commit_hash, image->commit_hash, REPLICA_HASH_SIZE);
	stream_put(out, &item);
	g_tree_foreach(difference->touched, take_touched, &taking);
	g_clear_pointer(&difference->touched, g_tree_destroy);
	disk_add_origins(taking.rest, image);
	for (uint64_t index = image->commit + 1; index <= end; index++)
		replica_batch_add_entry(taking.rest, &image_entry(image, index)->entry);
	difference->rest = taking.rest;
}

/* Writes the next item of the rest; false when there is none. */
bool difference_put_rest(Difference *difference, GByteArray *out)
{
	const ReplicaBatch *rest = difference->rest;
	guint *at = difference->at;
	StreamItem item;

	if (at[0] < rest->rows->len) {
		item.type = STREAM_ROW;
		item.row = *(const ReplicaRow *)g_ptr_array_index(rest->rows, at[0]++);
	} else if (at[1] < rest->removed->len) {
		item.type = STREAM_REMOVED;
		item.inode = g_array_index(rest->removed, uint64_t, at[1]++);
	} else if (at[2] < rest->origins->len) {
		item.type = STREAM_ORIGIN;
		item.origin = *(const ReplicaOrigin *)g_ptr_array_index(rest->origins, at[2]++);
	} else if (at[3] < rest->entries->len) {
		item.type = STREAM_ENTRY;
		item.entry = *(const ReplicaEntry *)g_ptr_array_index(rest->entries, at[3]++);
	} else {
		return false;
	}
	stream_put(out, &item);
	return true;
}
