/* SPDX-License-Identifier: Apache-2.0 */

/* The database: what to write next, what is there, and how all begins.
 *
 * At most one batch is under way.  While it is, everything that changes is only marked; the next
 * batch takes all of it as it is then, so a row that has changed twice is written once, and one fsync
 * serves all entries that have arrived during the one before.
 *
 * Entries, promises and adoptions are needed by others and start a batch at once.  Rows follow from
 * entries that are safe already.  They are written when it is quiet, or from time to time: a file
 * that is changed again and again is then one row, where its content is in the log each time anyway.
 * Rows, results of origins and the commit index go together; a process that starts applies to them
 * what the log knows to be committed behind them (R15).
 *
 * The results of an origin are stored as pairs (u64 seq, u16 errno) of those that are not 0. */

#include "cfs/replica_internal.h"

#include <string.h>

#include "base/err.h"
#include "cfs/bytes.h"

/* --- Batches ---------------------------------------------------------------------------------- */

static void row_destroy(void *data)
{
	ReplicaRow *row = data;

	g_free(row->name);
	g_clear_pointer(&row->data, g_bytes_unref);
	g_free(row);
}

static void entry_destroy(void *data)
{
	ReplicaEntry *entry = data;

	g_clear_pointer(&entry->op, g_bytes_unref);
	g_free(entry);
}

static void origin_destroy(void *data)
{
	ReplicaOrigin *origin = data;

	g_bytes_unref(origin->results);
	g_free(origin);
}

ReplicaBatch *replica_batch_new(void)
{
	ReplicaBatch *batch = g_new0(ReplicaBatch, 1);

	batch->rows = g_ptr_array_new_with_free_func(row_destroy);
	batch->removed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	batch->entries = g_ptr_array_new_with_free_func(entry_destroy);
	batch->origins = g_ptr_array_new_with_free_func(origin_destroy);
	batch->log_cut = UINT64_MAX;
	batch->log_first = 1;
	return batch;
}

ReplicaBatch *replica_batch_free(ReplicaBatch *batch)
{
	if (!batch)
		return NULL;

	g_ptr_array_unref(batch->rows);
	g_array_unref(batch->removed);
	g_ptr_array_unref(batch->entries);
	g_ptr_array_unref(batch->origins);
	g_free(batch);
	return NULL;
}

void replica_batch_add_row(ReplicaBatch *batch, uint64_t inode, uint64_t parent, uint64_t version,
	uint32_t writer, uint32_t mtime_s, bool directory, const char *name, GBytes *data)
{
	ReplicaRow *row = g_new0(ReplicaRow, 1);

	assert(name);

	row->inode = inode;
	row->parent = parent;
	row->version = version;
	row->writer = writer;
	row->mtime_s = mtime_s;
	row->directory = directory;
	row->name = g_strdup(name);
	row->data = data ? g_bytes_ref(data) : NULL;
	g_ptr_array_add(batch->rows, row);
}

void replica_batch_add_entry(ReplicaBatch *batch, const ReplicaEntry *entry)
{
	ReplicaEntry *copy;

	assert(entry->op);

	copy = g_memdup2(entry, sizeof(*entry));
	g_bytes_ref(copy->op);
	g_ptr_array_add(batch->entries, copy);
}

void replica_batch_add_origin(
	ReplicaBatch *batch, uint32_t node, uint64_t boot, uint64_t seq, GBytes *results)
{
	ReplicaOrigin *origin = g_new0(ReplicaOrigin, 1);

	assert(results);

	origin->node = node;
	origin->boot = boot;
	origin->seq = seq;
	origin->results = g_bytes_ref(results);
	g_ptr_array_add(batch->origins, origin);
}

/* --- Image to batch --------------------------------------------------------------------------- */

/* The row of an entry of the tree; what it points to is the tree's. */
void disk_row_of(const TreeNode *node, ReplicaRow *ret)
{
	*ret = (ReplicaRow){.inode = tree_node_inode(node),
		.parent = tree_node_parent(node),
		.version = tree_node_version(node),
		.writer = tree_node_writer(node),
		.mtime_s = tree_node_mtime_s(node),
		.directory = tree_node_is_directory(node),
		.name = (char *)tree_node_name(node),
		.data = tree_node_data(node)};
}

void disk_add_node(ReplicaBatch *batch, const TreeNode *node)
{
	ReplicaRow row;

	disk_row_of(node, &row);
	replica_batch_add_row(batch, row.inode, row.parent, row.version, row.writer, row.mtime_s,
		row.directory, row.name, row.data);
}

/* The row of an inode, or that there is none. */
void disk_add_row(ReplicaBatch *batch, const Tree *tree, uint64_t inode)
{
	const TreeNode *node = tree_by_inode(tree, inode);

	if (node)
		disk_add_node(batch, node);
	else
		g_array_append_val(batch->removed, inode);
}

static void dump_origin(ReplicaBatch *batch, const Origin *origin)
{
	g_autoptr(GByteArray) pairs = g_byte_array_new();
	g_autoptr(GBytes) results = NULL;
	uint64_t first =
		origin->seq > REPLICA_IN_FLIGHT_MAX ? origin->seq - REPLICA_IN_FLIGHT_MAX + 1 : 1;

	for (uint64_t seq = first; seq <= origin->seq; seq++) {
		int16_t result = origin->results[seq % REPLICA_IN_FLIGHT_MAX];

		if (result == 0)
			continue;
		bytes_put_u64(pairs, seq);
		bytes_put_u16(pairs, (uint16_t)-result);
	}
	results = g_byte_array_free_to_bytes(g_steal_pointer(&pairs));
	replica_batch_add_origin(batch, origin->node, origin->boot, origin->seq, results);
}

static int compare_origins(const void *a, const void *b)
{
	const Origin *const *left = a;
	const Origin *const *right = b;

	return (*left)->node < (*right)->node ? -1 : (*left)->node > (*right)->node;
}

/* All origins, or those that differ from the database, in order of their nodes. */
static void dump_origins(ReplicaBatch *batch, const Image *image, bool all)
{
	g_autoptr(GPtrArray) origins = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, image->origins);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (all || ((const Origin *)value)->dirty)
			g_ptr_array_add(origins, value);
	g_ptr_array_sort(origins, compare_origins);

	for (guint i = 0; i < origins->len; i++) {
		Origin *origin = g_ptr_array_index(origins, i);

		dump_origin(batch, origin);
		if (!all)
			origin->dirty = false;
	}
}

static void dump_scalars(ReplicaBatch *batch, const Image *image)
{
	batch->scalars.commit = image->commit;
	batch->scalars.known = image->commit;
	batch->scalars.version = tree_version(image->tree);
	memcpy(batch->scalars.commit_hash, image->commit_hash, REPLICA_HASH_SIZE);
}

void disk_add_origins(ReplicaBatch *batch, const Image *image)
{
	dump_origins(batch, image, true);
}

/* --- Batch to image --------------------------------------------------------------------------- */

static int load_tree(Image *image, const ReplicaBatch *batch, GError **err)
{
	for (guint i = 0; i < batch->rows->len; i++) {
		const ReplicaRow *row = g_ptr_array_index(batch->rows, i);

		if (tree_put_row(image->tree, row->inode, row->parent, row->version, row->writer,
			    row->mtime_s, row->directory, row->name, row->data) < 0)
			return err_set(err, EUCLEAN,
				"entry %" G_GUINT64_FORMAT " ('%s') is not valid", row->inode,
				row->name);
	}
	tree_set_version(image->tree, batch->scalars.version);
	return tree_check(image->tree, err);
}

static int load_results(Origin *origin, GBytes *results)
{
	gsize size;
	const uint8_t *data = g_bytes_get_data(results, &size);
	BytesReader reader = bytes_reader(data, size);

	while (!bytes_at_end(&reader)) {
		uint64_t seq = bytes_get_u64(&reader);
		uint16_t code = bytes_get_u16(&reader);

		if (reader.failed || code > INT16_MAX)
			return -EUCLEAN;
		origin->results[seq % REPLICA_IN_FLIGHT_MAX] = (int16_t)-code;
	}
	return 0;
}

static int load_origins(Image *image, const ReplicaBatch *batch, GError **err)
{
	for (guint i = 0; i < batch->origins->len; i++) {
		const ReplicaOrigin *from = g_ptr_array_index(batch->origins, i);
		Origin *origin = image_origin(image, from->node);

		origin->boot = from->boot;
		origin->seq = from->seq;
		if (load_results(origin, from->results) < 0)
			return err_set(
				err, EUCLEAN, "results of node %u are not valid", from->node);
	}
	return 0;
}

/* Whether the hash of an entry is that of the log up to it, as far as the log is there. */
static bool follows(const Image *image, const ReplicaEntry *entry)
{
	if (entry->index == image->commit + 1)
		return log_follows(image->commit_hash, entry);
	return entry->index == image->log_first ||
	       log_follows(image_entry(image, entry->index - 1)->entry.hash, entry);
}

static int load_log(Image *image, const ReplicaBatch *batch, GError **err)
{
	const ReplicaEntry *first =
		batch->entries->len > 0 ? g_ptr_array_index(batch->entries, 0) : NULL;

	image->commit = batch->scalars.commit;
	memcpy(image->commit_hash, batch->scalars.commit_hash, REPLICA_HASH_SIZE);
	image->log_first = first ? first->index : image->commit + 1;
	if (image->log_first < 1 || image->log_first > image->commit + 1)
		return err_set(err, EUCLEAN,
			"the log begins at %" G_GUINT64_FORMAT
			", the tree ends at %" G_GUINT64_FORMAT,
			image->log_first, image->commit);

	for (guint i = 0; i < batch->entries->len; i++) {
		const ReplicaEntry *from = g_ptr_array_index(batch->entries, i);
		LogEntry *entry = NULL;
		int r = -EBADMSG;

		if (from->index == image->log_first + i && follows(image, from))
			r = log_entry_new(from, &entry);
		if (r == -EPROTONOSUPPORT)
			return err_set(err, EPROTONOSUPPORT,
				"entry %" G_GUINT64_FORMAT
				" of the log was written by a newer version of this program",
				from->index);
		if (r < 0)
			return err_set(err, EUCLEAN,
				"entry %" G_GUINT64_FORMAT " of the log is not valid", from->index);
		image_append(image, entry);
		if (from->index <= image->commit)
			g_clear_pointer(&entry->op, op_free);
	}
	if (image_last(image) < image->commit)
		return err_set(err, EUCLEAN, "the log ends before the tree");
	return 0;
}

/* Makes an image of what a batch that is everything holds; -EUCLEAN or -EPROTONOSUPPORT with the
 * reason. */
int image_load(const ReplicaBatch *batch, Image **ret, GError **err)
{
	const ReplicaScalars *scalars = &batch->scalars;
	g_autoptr(Image) image = image_new();
	int r;

	if (scalars->promised > REPLICA_NUMBER_MAX || scalars->adopted > REPLICA_NUMBER_MAX ||
		scalars->commit > REPLICA_NUMBER_MAX)
		return err_set(err, EUCLEAN, "no cluster has counted so far");
	r = load_tree(image, batch, err);
	if (r < 0)
		return r;
	r = load_origins(image, batch, err);
	if (r < 0)
		return r;
	r = load_log(image, batch, err);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&image);
	return 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* The entry must be written, or removed, with the next batch. */
void disk_mark(Replica *r, uint64_t inode)
{
	uint64_t *key = g_new(uint64_t, 1);

	*key = inode;
	g_tree_insert(r->dirty, key, key);
}

/* Entries behind index, of which some may be on the disk or on their way to it, are not in our log any
 * more.  Soon they are not on the disk: who starts from there would count on them. */
void disk_forget_behind(Replica *r, uint64_t index)
{
	if (r->written <= index && !(r->batch && r->batch_last > index))
		return;
	r->disk_cut = MIN(r->disk_cut, index);
	r->written = MIN(r->written, index);
}

/* The batch does what is to be forgotten. */
static void take_cut(Replica *r)
{
	r->taken_cut = r->disk_cut;
	r->disk_cut = UINT64_MAX;
}

typedef struct Taking {
	ReplicaBatch *batch;
	const Tree *tree;
} Taking;

static gboolean take_row(gpointer key, gpointer value, gpointer data)
{
	const Taking *taking = data;

	disk_add_row(taking->batch, taking->tree, *(const uint64_t *)key);
	return FALSE;
}

/* Puts all rows that differ from the database into the batch, as they are in tree. */
static void take_dirty(Replica *r, const Tree *tree)
{
	Taking taking = {.batch = r->batch, .tree = tree};

	g_tree_foreach(r->dirty, take_row, &taking);
	g_tree_remove_all(r->dirty);
	r->dirty_since_ms = -1;
	r->dirty_bytes = 0;
	r->flush = false;
}

/* Whether the rows have fallen so far behind that waiting no longer pays: entries that they lack must
 * be kept, and applied again by who starts. */
static bool is_far_behind(const Replica *r)
{
	uint64_t n_entries = r->image->commit - r->rows.commit;

	return n_entries >= MIN(FLUSH_ENTRIES, r->options.log_entries_max) ||
	       r->dirty_bytes >= FLUSH_BYTES;
}

/* When the rows are to follow the log, if nothing else happens; -1: they do. */
static int64_t flush_ms(const Replica *r)
{
	if (r->dirty_since_ms < 0)
		return -1;
	if (r->flush || is_far_behind(r))
		return r->dirty_since_ms;
	return MIN(r->committed_ms + FLUSH_MS, r->dirty_since_ms + FLUSH_LATEST_MS);
}

static bool must_flush(const Replica *r)
{
	return r->dirty_since_ms >= 0 && replica_now(r) >= flush_ms(r);
}

/* Whether others wait for something that is not on our disk. */
static bool must_sync(const Replica *r)
{
	return r->promised > r->written_promised || r->adopted > r->written_adopted ||
	       r->written < image_last(r->image) || r->disk_cut < UINT64_MAX ||
	       r->settled > r->written_settled;
}

static void add_entries(ReplicaBatch *batch, const Image *image, uint64_t first, uint64_t last)
{
	for (uint64_t index = first; index <= last; index++)
		replica_batch_add_entry(batch, &image_entry(image, index)->entry);
}

/* Adds the entries up to last that are not on the disk, behind what the batch cuts.  If the log has let
 * go of some of them, which the rows of the batch contain, it begins anew there. */
static void add_unwritten(ReplicaBatch *batch, const Replica *r, uint64_t last)
{
	uint64_t first = r->written + 1;

	if (first < r->image->log_first) {
		batch->log_cut = 0;
		first = r->image->log_first;
	}
	add_entries(batch, r->image, first, last);
}

static void make_batch(Replica *r)
{
	Image *image = r->image;
	uint64_t first = log_first_to_keep(r);

	assert(!r->batch);

	r->batch = replica_batch_new();
	r->batch->sync = must_sync(r);
	r->batch->scalars = r->rows;
	if (must_flush(r) || first > r->rows.commit + 1) {
		dump_scalars(r->batch, image);
		take_dirty(r, image->tree);
		dump_origins(r->batch, image, false);
	}
	r->batch->scalars.known = image->commit;
	r->batch->scalars.promised = r->promised;
	r->batch->scalars.adopted = r->adopted;
	r->batch->scalars.settled = r->settled;
	r->batch->log_cut = r->disk_cut;
	r->batch->log_first = first;
	take_cut(r);
	add_unwritten(r->batch, r, image_last(image));
	r->batch_last = image_last(image);
}

static void start_batch(Replica *r)
{
	r->batch_failed = false;
	r->counters.batches++;
	r->counters.syncs += r->batch->sync;
	r->env.persist(r->env.data, r->batch);
}

static void stage_image(Replica *r, const Image *image, const GArray *changed)
{
	ReplicaBatch *batch = r->batch;

	for (guint i = 0; i < changed->len; i++)
		disk_mark(r, g_array_index(changed, uint64_t, i));
	take_dirty(r, image->tree);
	dump_scalars(batch, image);
	batch->new_origins = true;
	dump_origins(batch, image, true);
	batch->log_cut = 0;
	batch->log_first = image->log_first;
	add_entries(batch, image, image->log_first, image_last(image));
	r->batch_last = image_last(image);
}

static void stage_entries(Replica *r, uint64_t cut, const GPtrArray *entries)
{
	ReplicaBatch *batch = r->batch;
	const Image *image = r->image;

	take_dirty(r, image->tree);
	dump_scalars(batch, image);
	dump_origins(batch, image, false);
	batch->log_cut = cut;
	batch->log_first = log_first_to_keep(r);
	add_unwritten(batch, r, cut);
	for (guint i = 0; i < entries->len; i++) {
		const LogEntry *entry = g_ptr_array_index(entries, i);

		replica_batch_add_entry(batch, &entry->entry);
	}
	r->batch_last = cut + entries->len;
}

/* Hands over what a transfer has brought; taken.  Nothing else may be under way. */
void disk_stage(Replica *r, Staged *staged)
{
	assert(!r->batch);

	r->batch = replica_batch_new();
	r->batch->sync = true;
	if (staged->image)
		stage_image(r, staged->image, staged->changed);
	else
		stage_entries(r, staged->cut, staged->entries);
	take_cut(r);
	r->batch->scalars.promised = r->promised;
	r->batch->scalars.adopted = r->epoch;
	r->batch->scalars.settled = r->settled;
	r->staged = staged;
	start_batch(r);
}

/* Whether what is under way will put another state in the place of ours. */
bool disk_replacing(const Replica *r)
{
	return r->staged != NULL;
}

static void finish_batch(Replica *r)
{
	g_autoptr(ReplicaBatch) batch = g_steal_pointer(&r->batch);

	r->written_promised = batch->scalars.promised;
	r->written_adopted = batch->scalars.adopted;
	r->written_settled = batch->scalars.settled;
	r->rows = batch->scalars;
	r->written = MIN(r->batch_last, r->disk_cut);
	if (r->staged)
		switch_in(r, g_steal_pointer(&r->staged));
	log_release(r);
}

/* What of a batch is to be written by a later one. */
static void mark_again(Replica *r, const ReplicaBatch *batch)
{
	GHashTableIter iter;
	gpointer origin;

	for (guint i = 0; i < batch->rows->len; i++)
		disk_mark(r, ((const ReplicaRow *)g_ptr_array_index(batch->rows, i))->inode);
	for (guint i = 0; i < batch->removed->len; i++)
		disk_mark(r, g_array_index(batch->removed, uint64_t, i));
	g_hash_table_iter_init(&iter, r->image->origins);
	while (g_hash_table_iter_next(&iter, NULL, &origin))
		((Origin *)origin)->dirty = true;
	r->disk_cut = MIN(r->disk_cut, r->taken_cut);
	r->dirty_since_ms = replica_now(r);
}

/* What a transfer has brought, failed to be written, and is waited for by nobody in this view is not
 * tried again: while it might still come, we cannot tell the others what we have. */
void disk_abandon(Replica *r)
{
	if (!r->batch || !r->batch_failed || !r->staged)
		return;
	mark_again(r, r->batch);
	g_clear_pointer(&r->batch, replica_batch_free);
	g_clear_pointer(&r->staged, staged_free);
}

void disk_persisted(Replica *r, int result)
{
	assert(r->batch && !r->batch_failed);

	if (result == 0) {
		finish_batch(r);
		return;
	}
	r->batch_failed = true;
	r->batch_retry_ms = replica_now(r) + DISK_RETRY_MS;
	if (r->state != REPLICA_STATE_CATCHING_UP)
		disk_abandon(r);
}

void disk_pump(Replica *r)
{
	if (r->batch) {
		if (r->batch_failed && replica_now(r) >= r->batch_retry_ms)
			start_batch(r);
		return;
	}
	if (must_sync(r) || must_flush(r)) {
		make_batch(r);
		start_batch(r);
	}
}

int64_t disk_deadline(const Replica *r)
{
	if (r->batch)
		return r->batch_failed ? r->batch_retry_ms : -1;
	return flush_ms(r);
}
