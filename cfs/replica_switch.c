/* SPDX-License-Identifier: Apache-2.0 */

/* Putting what a transfer has brought in the place of what we had, when the database holds it (R4).
 *
 * Kernels must forget what differs between the two trees, and changes of this node find their
 * answers in what was applied elsewhere. */

#include "cfs/replica_internal.h"

#include <string.h>

#include "cfs/bytes.h"

Staged *staged_free(Staged *staged)
{
	if (!staged)
		return NULL;

	image_free(staged->image);
	g_clear_pointer(&staged->changed, g_array_unref);
	g_clear_pointer(&staged->entries, g_ptr_array_unref);
	g_free(staged);
	return NULL;
}

/* Of all that a row holds but inode and version.  Returns how many bytes it has looked at. */
uint64_t replica_row_digest(const TreeNode *node, uint8_t *ret)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autoptr(GByteArray) head = g_byte_array_new();
	uint8_t digest[REPLICA_HASH_SIZE];
	gsize digest_size = sizeof(digest);
	ReplicaRow row;
	gsize size = 0;
	const void *data;

	disk_row_of(node, &row);
	data = row.data ? g_bytes_get_data(row.data, &size) : NULL;
	bytes_put_u64(head, row.parent);
	bytes_put_u32(head, row.writer);
	bytes_put_u32(head, row.mtime_s);
	bytes_put_u8(head, row.directory);
	bytes_put_u8(head, row.data != NULL);
	bytes_put(head, row.name, strlen(row.name) + 1);
	g_checksum_update(sum, head->data, (gssize)head->len);
	if (size > 0)
		g_checksum_update(sum, data, (gssize)size);
	g_checksum_get_digest(sum, digest, &digest_size);
	memcpy(ret, digest, WIRE_DIGEST_SIZE);
	return head->len + size;
}

/* --- What differs ----------------------------------------------------------------------------- */

static TreeChange *add_change(GPtrArray *changes, const TreeNode *node)
{
	TreeChange *change = g_new0(TreeChange, 1);

	change->inode = tree_node_inode(node);
	change->parent = tree_node_parent(node);
	change->old_parent = change->parent;
	change->name = g_strdup(tree_node_name(node));
	g_ptr_array_add(changes, change);
	return change;
}

static void add_difference(
	const Tree *old_tree, const Tree *new_tree, uint64_t inode, GPtrArray *changes)
{
	const TreeNode *old = tree_by_inode(old_tree, inode);
	const TreeNode *node = tree_by_inode(new_tree, inode);
	TreeChange *change;

	if (!node) {
		if (old)
			add_change(changes, old)->removed = true;
		return;
	}
	change = add_change(changes, node);
	change->created = !old;
	change->data_changed = true;
	if (!old)
		return;
	change->old_parent = tree_node_parent(old);
	if (change->old_parent != change->parent || !str_equal(tree_node_name(old), change->name))
		change->old_name = g_strdup(tree_node_name(old));
}

static bool is_removed(const Tree *tree, uint64_t inode)
{
	return !tree_by_inode(tree, inode);
}

/* What was removed comes first: its name may be another entry's now. */
static GPtrArray *find_changes(const Tree *old_tree, const Tree *new_tree, const GArray *inodes)
{
	GPtrArray *changes = tree_changes_new();

	for (unsigned pass = 0; pass < 2; pass++)
		for (guint i = 0; i < inodes->len; i++) {
			uint64_t inode = g_array_index(inodes, uint64_t, i);

			if (is_removed(new_tree, inode) == (pass == 0))
				add_difference(old_tree, new_tree, inode, changes);
		}
	return changes;
}

/* --- Switching -------------------------------------------------------------------------------- */

static void switch_tree(Replica *r, Staged *staged)
{
	g_autoptr(Image) old = r->image;
	g_autoptr(GPtrArray) changes =
		find_changes(old->tree, staged->image->tree, staged->changed);

	r->image = g_steal_pointer(&staged->image);
	r->counters.transfers_in++;
	lease_begin(r);
	if (changes->len > 0)
		r->env.applied(r->env.data, changes, NULL);
}

static void switch_log(Replica *r, Staged *staged)
{
	image_cut(r->image, staged->cut);
	g_ptr_array_set_free_func(staged->entries, NULL);
	for (guint i = 0; i < staged->entries->len; i++)
		image_append(r->image, g_ptr_array_index(staged->entries, i));
	r->counters.logs_in++;
}

/* The database holds what was staged; taken. */
void switch_in(Replica *r, Staged *staged)
{
	if (staged->image)
		switch_tree(r, staged);
	else
		switch_log(r, staged);
	staged_free(staged);
	r->adopted = r->written_adopted;

	/* The view may be another one by now; then this is what we tell in it. */
	if (r->state != REPLICA_STATE_CATCHING_UP || r->epoch != r->adopted)
		return;
	r->counters.epochs++;
	replica_set_state(r, REPLICA_STATE_ACTIVE);
	catchup_append_behind(r);
	catchup_stop(r);
	log_commit(r, MIN(r->commit_told, image_last(r->image)));
	submit_resume(r);
}
