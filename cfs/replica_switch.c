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

/* --- What a stream has brought ---------------------------------------------------------------- */

/* Makes *ret of entries (borrowed: a reference is taken) behind index common of our log.  -EBADMSG when
 * they do not lead from there to the end of the source's log, by their hashes. */
int staged_new_log(const Replica *r, uint64_t common, GPtrArray *entries, Staged **ret)
{
	const WireState *source = &replica_peer(r, r->source)->state;
	const Image *image = r->image;
	const uint8_t *hash;

	if (common < image->commit || common > image_last(image) ||
		common + entries->len != source->last)
		return -EBADMSG;
	hash = common == image->commit ? image->commit_hash
				       : image_entry(image, common)->entry.hash;
	for (guint i = 0; i < entries->len; i++) {
		const LogEntry *entry = g_ptr_array_index(entries, i);

		if (!log_follows(hash, &entry->entry))
			return -EBADMSG;
		hash = entry->entry.hash;
	}
	if (memcmp(hash, source->last_hash, REPLICA_HASH_SIZE) != 0)
		return -EBADMSG;

	*ret = g_new0(Staged, 1);
	(*ret)->cut = common;
	(*ret)->entries = g_ptr_array_ref(entries);
	return 0;
}

/* Whether the log that an image ends with is the epoch's: that of the source when the epoch began, or
 * one that what has been delivered since leads to. */
static bool is_of_epoch(const Replica *r, const Image *image, const GQueue *behind)
{
	const WireState *source = &replica_peer(r, r->source)->state;
	uint8_t hash[REPLICA_HASH_SIZE];
	uint64_t index = source->last;

	memcpy(hash, source->last_hash, sizeof(hash));
	for (const GList *at = behind->head; at && index < image_last(image); at = at->next) {
		uint8_t next[REPLICA_HASH_SIZE];

		log_hash(hash, &((const LogEntry *)at->data)->entry, next);
		memcpy(hash, next, sizeof(hash));
		index++;
	}
	return image_last(image) == index &&
	       memcmp(image_last_hash(image), hash, sizeof(hash)) == 0;
}

typedef struct Merging {
	GTree *rows;
	ReplicaBatch *whole;
	GArray *changed;
} Merging;

static bool keep_row(const TreeNode *node, void *data)
{
	const Merging *merging = data;
	uint64_t inode = tree_node_inode(node);

	if (!g_tree_lookup_extended(merging->rows, &inode, NULL, NULL))
		disk_add_node(merging->whole, node);
	return true;
}

static gboolean put_row(gpointer key, gpointer value, gpointer data)
{
	const Merging *merging = data;
	const ReplicaRow *row = value;

	g_array_append_vals(merging->changed, key, 1);
	if (row)
		replica_batch_add_row(merging->whole, row->inode, row->parent, row->version,
			row->writer, row->mtime_s, row->directory, row->name, row->data);
	return FALSE;
}

/* Makes *ret of the difference of the trees: rows by inode (NULL: removed), the picture, and what
 * follows it, to which our own rows are added.  -EBADMSG or -EUCLEAN when it does not fit, -EPROTONOSUPPORT
 * when there is something newer in it. */
int staged_new_tree(const Replica *r, GTree *rows, const StreamItem *picture, ReplicaBatch *rest,
	const GQueue *behind, Staged **ret)
{
	g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	Merging merging = {.rows = rows, .whole = rest, .changed = changed};
	g_autoptr(Image) image = NULL;
	int result;

	rest->scalars.commit = picture->picture.commit;
	rest->scalars.version = picture->picture.version;
	memcpy(rest->scalars.commit_hash, picture->picture.commit_hash, REPLICA_HASH_SIZE);
	tree_each(r->image->tree, keep_row, &merging);
	g_tree_foreach(rows, put_row, &merging);
	result = image_load(rest, &image, NULL);
	if (result < 0)
		return result;
	if (tree_total_entries(image->tree) != picture->picture.n_entries ||
		tree_total_bytes(image->tree) != picture->picture.n_bytes ||
		!is_of_epoch(r, image, behind))
		return -EBADMSG;

	*ret = g_new0(Staged, 1);
	(*ret)->changed = g_steal_pointer(&changed);
	(*ret)->image = g_steal_pointer(&image);
	return 0;
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
	r->proven = image_last(r->image);
	r->unsure = false;

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
