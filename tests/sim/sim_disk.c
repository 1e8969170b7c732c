/* SPDX-License-Identifier: Apache-2.0 */

/* The disk: batches become part of the database when they are done.  Those that need not be synced
 * stay behind it, in order, until one that must be takes them along (a write-ahead log); a loss of
 * power leaves some of them, in order: what is torn in the middle does not count, nor does what comes
 * behind it.  A batch that was under way when the process or the power went has happened or has not.
 * A disk that is full or fails for a while fails batches as a whole. */

#include "tests/sim/sim.h"

static int compare_u64(const void *a, const void *b, void *data)
{
	const uint64_t *left = a;
	const uint64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static int compare_u32(const void *a, const void *b, void *data)
{
	const uint32_t *left = a;
	const uint32_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static void row_free(void *data)
{
	ReplicaRow *row = data;

	g_free(row->name);
	g_clear_pointer(&row->data, g_bytes_unref);
	g_free(row);
}

static void entry_free(void *data)
{
	ReplicaEntry *entry = data;

	g_bytes_unref(entry->op);
	g_free(entry);
}

static void origin_free(void *data)
{
	ReplicaOrigin *origin = data;

	g_bytes_unref(origin->results);
	g_free(origin);
}

static void batch_destroy(void *data)
{
	replica_batch_free(data);
}

static SimDatabase *database_new(void)
{
	SimDatabase *database = g_new0(SimDatabase, 1);

	database->rows = g_tree_new_full(compare_u64, NULL, NULL, row_free);
	database->entries = g_tree_new_full(compare_u64, NULL, NULL, entry_free);
	database->origins = g_tree_new_full(compare_u32, NULL, NULL, origin_free);
	database->log_first = 1;
	return database;
}

static void database_free(SimDatabase *database)
{
	if (!database)
		return;
	g_tree_destroy(database->rows);
	g_tree_destroy(database->entries);
	g_tree_destroy(database->origins);
	g_free(database);
}

void sim_disk_init(SimDisk *disk)
{
	disk->durable = database_new();
	disk->unsynced = g_ptr_array_new_with_free_func(batch_destroy);
}

void sim_disk_clear(SimDisk *disk)
{
	database_free(disk->durable);
	database_free(disk->forgotten);
	g_ptr_array_unref(disk->unsynced);
}

bool sim_disk_is_blank(const SimDisk *disk)
{
	return disk->durable->scalars.adopted == 0;
}

void sim_disk_lose(SimDisk *disk)
{
	assert(!disk->batch);

	g_ptr_array_set_size(disk->unsynced, 0);
	/* Who is lost again before it has learned anything has nothing new to forget. */
	if (disk->forgotten && sim_disk_is_blank(disk)) {
		database_free(disk->durable);
	} else {
		database_free(disk->forgotten);
		disk->forgotten = disk->durable;
	}
	disk->durable = database_new();
}

static void copy_row(GTree *rows, const ReplicaRow *from)
{
	ReplicaRow *row = g_memdup2(from, sizeof(*from));

	row->name = g_strdup(from->name);
	row->data = from->data ? g_bytes_ref(from->data) : NULL;
	g_tree_replace(rows, &row->inode, row);
}

static void copy_entry(GTree *entries, const ReplicaEntry *from)
{
	ReplicaEntry *entry = g_memdup2(from, sizeof(*from));

	g_bytes_ref(entry->op);
	g_tree_replace(entries, &entry->index, entry);
}

static void copy_origin(GTree *origins, const ReplicaOrigin *from)
{
	ReplicaOrigin *origin = g_memdup2(from, sizeof(*from));

	g_bytes_ref(origin->results);
	g_tree_replace(origins, &origin->node, origin);
}

/* As the contract of ReplicaBatch has it.  What is known to be committed is kept with entries only, as
 * cfs/store_write.c does. */
static void apply_batch(SimDatabase *database, const ReplicaBatch *batch)
{
	uint64_t known = batch->entries->len > 0 || batch->new_origins ? batch->scalars.known
								       : database->scalars.known;
	GTreeNode *first, *last;

	if (batch->replace) {
		g_tree_remove_all(database->rows);
		g_tree_remove_all(database->entries);
		g_tree_remove_all(database->origins);
	}
	while ((last = g_tree_node_last(database->entries)) &&
		*(const uint64_t *)g_tree_node_key(last) > batch->log_cut)
		g_tree_remove(database->entries, g_tree_node_key(last));
	if (batch->new_origins)
		g_tree_remove_all(database->origins);
	for (guint i = 0; i < batch->rows->len; i++)
		copy_row(database->rows, g_ptr_array_index(batch->rows, i));
	for (guint i = 0; i < batch->removed->len; i++)
		g_tree_remove(database->rows, &g_array_index(batch->removed, uint64_t, i));
	for (guint i = 0; i < batch->entries->len; i++)
		copy_entry(database->entries, g_ptr_array_index(batch->entries, i));
	for (guint i = 0; i < batch->origins->len; i++)
		copy_origin(database->origins, g_ptr_array_index(batch->origins, i));
	while ((first = g_tree_node_first(database->entries)) &&
		*(const uint64_t *)g_tree_node_key(first) < batch->log_first)
		g_tree_remove(database->entries, g_tree_node_key(first));
	database->scalars = batch->scalars;
	database->scalars.known = MAX(known, batch->scalars.commit);
	database->log_first = batch->log_first;
}

static ReplicaBatch *copy_batch(const ReplicaBatch *from)
{
	ReplicaBatch *batch = replica_batch_new();

	batch->sync = from->sync;
	batch->replace = from->replace;
	batch->new_origins = from->new_origins;
	batch->log_cut = from->log_cut;
	batch->scalars = from->scalars;
	batch->log_first = from->log_first;
	g_array_append_vals(batch->removed, from->removed->data, from->removed->len);
	for (guint i = 0; i < from->rows->len; i++) {
		const ReplicaRow *row = g_ptr_array_index(from->rows, i);

		replica_batch_add_row(batch, row->inode, row->parent, row->version, row->writer,
			row->mtime_s, row->directory, row->name, row->data);
	}
	for (guint i = 0; i < from->entries->len; i++)
		replica_batch_add_entry(batch, g_ptr_array_index(from->entries, i));
	for (guint i = 0; i < from->origins->len; i++) {
		const ReplicaOrigin *origin = g_ptr_array_index(from->origins, i);

		replica_batch_add_origin(
			batch, origin->node, origin->boot, origin->seq, origin->results);
	}
	return batch;
}

/* Makes the first n of the unsynced batches durable. */
static void sync_first(SimDisk *disk, guint n)
{
	for (guint i = 0; i < n; i++)
		apply_batch(disk->durable, g_ptr_array_index(disk->unsynced, i));
	if (n > 0)
		g_ptr_array_remove_range(disk->unsynced, 0, n);
}

static void write_batch(SimDisk *disk, const ReplicaBatch *batch)
{
	g_ptr_array_add(disk->unsynced, copy_batch(batch));
	if (batch->sync)
		sync_first(disk, disk->unsynced->len);
}

void sim_disk_start(SimNode *node, const ReplicaBatch *batch)
{
	SimDisk *disk = &node->disk;

	assert(!disk->batch);

	disk->batch = batch;
	if (sim_once_in(node->sim, 30)) {
		/* A disk may be done before persist() returns. */
		sim_disk_done(node);
		return;
	}
	sim_schedule(node->sim, SIM_EVENT_DISK, node->index,
		1 + (int64_t)sim_random(
			    node->sim, disk->slow ? 300 : node->sim->character.disk_ms_max));
}

void sim_disk_done(SimNode *node)
{
	SimDisk *disk = &node->disk;
	const ReplicaBatch *batch = disk->batch;

	assert(batch);

	disk->batch = NULL;
	if (disk->error < 0) {
		node->sim->figures.failed_batches++;
		replica_persisted(node->replica, disk->error);
		return;
	}
	write_batch(disk, batch);
	sim_trace(node->sim, batch->scalars.commit);
	replica_persisted(node->replica, 0);
}

void sim_disk_crash(SimNode *node, bool power)
{
	SimDisk *disk = &node->disk;

	if (disk->batch && disk->error == 0 && sim_once_in(node->sim, 2))
		write_batch(disk, disk->batch);
	disk->batch = NULL;
	if (power) {
		sync_first(disk, (guint)sim_random(node->sim, disk->unsynced->len + 1));
		g_ptr_array_set_size(disk->unsynced, 0);
	}
}

/* The database as a starting process finds it. */
ReplicaBatch *sim_disk_read(SimDisk *disk)
{
	ReplicaBatch *batch = replica_batch_new();

	sync_first(disk, disk->unsynced->len);
	for (GTreeNode *at = g_tree_node_first(disk->durable->rows); at;
		at = g_tree_node_next(at)) {
		const ReplicaRow *row = g_tree_node_value(at);

		replica_batch_add_row(batch, row->inode, row->parent, row->version, row->writer,
			row->mtime_s, row->directory, row->name, row->data);
	}
	for (GTreeNode *at = g_tree_node_first(disk->durable->entries); at;
		at = g_tree_node_next(at))
		replica_batch_add_entry(batch, g_tree_node_value(at));
	for (GTreeNode *at = g_tree_node_first(disk->durable->origins); at;
		at = g_tree_node_next(at)) {
		const ReplicaOrigin *origin = g_tree_node_value(at);

		replica_batch_add_origin(
			batch, origin->node, origin->boot, origin->seq, origin->results);
	}
	batch->scalars = disk->durable->scalars;
	batch->log_first = disk->durable->log_first;
	return batch;
}
