/* SPDX-License-Identifier: Apache-2.0 */

/* Reading the database: only sqlite's own types are certain, an administrator may have written
 * anything. */

#include "cfs/store.h"

#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "cfs/store_private.h"

static GBytes *column_bytes(sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_blob(statement, column);
	int size = sqlite3_column_bytes(statement, column);

	return g_bytes_new(data, (gsize)size);
}

static uint64_t column_u64(sqlite3_stmt *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement, column);
}

static bool sum_fits(sqlite3_stmt *statement, int column, uint64_t sum)
{
	return column >= sqlite3_column_count(statement) || column_u64(statement, column) == sum;
}

int store_load_row(sqlite3_stmt *statement, ReplicaBatch *batch)
{
	const char *name = (const char *)sqlite3_column_text(statement, 6);
	int type = sqlite3_column_int(statement, 5);
	g_autoptr(GBytes) data = NULL;
	ReplicaRow row = {
		.inode = column_u64(statement, 0),
		.parent = column_u64(statement, 1),
		.version = column_u64(statement, 2),
		.writer = (uint32_t)column_u64(statement, 3),
		.mtime_s = (uint32_t)column_u64(statement, 4),
		.directory = type == TYPE_DIRECTORY,
		.name = (char *)name,
	};

	if (!name || strlen(name) != (size_t)sqlite3_column_bytes(statement, 6))
		return -EUCLEAN;
	if (type != TYPE_DIRECTORY && type != TYPE_FILE)
		return -EUCLEAN;
	/* Directories have none, but for locks (tree.h); nor has the version. */
	if ((type == TYPE_FILE && row.inode != 0) ||
		sqlite3_column_type(statement, 7) != SQLITE_NULL)
		data = column_bytes(statement, 7);
	row.data = data;
	if (!sum_fits(statement, 8, store_sum_row(&row)))
		return -EUCLEAN;

	if (row.inode == 0)
		batch->scalars.version = row.version;
	else
		replica_batch_add_row(batch, row.inode, row.parent, row.version, row.writer,
			row.mtime_s, row.directory, row.name, row.data);
	return 0;
}

static int load_entry(sqlite3_stmt *statement, ReplicaBatch *batch)
{
	g_autoptr(GBytes) op = column_bytes(statement, 6);
	ReplicaEntry entry = {
		.index = column_u64(statement, 0),
		.epoch = column_u64(statement, 1),
		.origin = (uint32_t)column_u64(statement, 2),
		.boot = column_u64(statement, 3),
		.seq = column_u64(statement, 4),
		.op = op,
	};
	uint64_t known = column_u64(statement, 7);

	if (sqlite3_column_bytes(statement, 5) != REPLICA_HASH_SIZE)
		return -EUCLEAN;
	memcpy(entry.hash, sqlite3_column_blob(statement, 5), REPLICA_HASH_SIZE);
	if (!sum_fits(statement, 8, store_sum_entry(&entry, known)))
		return -EUCLEAN;
	batch->scalars.known = MAX(batch->scalars.known, known);
	if (batch->entries->len == 0)
		batch->log_first = entry.index;
	replica_batch_add_entry(batch, &entry);
	return 0;
}

static int load_origin(sqlite3_stmt *statement, ReplicaBatch *batch)
{
	g_autoptr(GBytes) results = column_bytes(statement, 3);

	replica_batch_add_origin(batch, (uint32_t)column_u64(statement, 0),
		column_u64(statement, 1), column_u64(statement, 2), results);
	return 0;
}

static int load_scalar(sqlite3_stmt *statement, ReplicaBatch *batch)
{
	const char *name = (const char *)sqlite3_column_text(statement, 0);

	if (str_equal(name, "promised"))
		batch->scalars.promised = column_u64(statement, 1);
	else if (str_equal(name, "adopted"))
		batch->scalars.adopted = column_u64(statement, 1);
	else if (str_equal(name, "settled"))
		batch->scalars.settled = column_u64(statement, 1);
	else if (str_equal(name, "commit"))
		batch->scalars.commit = column_u64(statement, 1);
	else if (str_equal(name, "commit_hash")) {
		if (sqlite3_column_bytes(statement, 1) != REPLICA_HASH_SIZE)
			return -EUCLEAN;
		memcpy(batch->scalars.commit_hash, sqlite3_column_blob(statement, 1),
			REPLICA_HASH_SIZE);
	}
	return 0;
}

static int load_table(Store *store, const char *sql,
	int (*load)(sqlite3_stmt *statement, ReplicaBatch *batch), ReplicaBatch *batch)
{
	sqlite3_stmt *statement = NULL;
	int r = 0, code;

	code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	while (code == SQLITE_OK && r == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		r = load(statement, batch);
		code = SQLITE_OK;
	}
	if (r == 0 && code != SQLITE_DONE)
		r = store_errno(store, sqlite3_extended_errcode(store->db));
	(void)sqlite3_finalize(statement);
	return r;
}

static int load_rows(Store *store, ReplicaBatch *batch)
{
	g_autofree char *sql =
		g_strdup_printf("SELECT %s FROM tree ORDER BY inode", store->tree_columns);

	return load_table(store, sql, store_load_row, batch);
}

int store_load_tree(Store *store, ReplicaBatch **ret, GError **err)
{
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	int r;

	r = load_rows(store, batch);
	if (r < 0)
		return err_set_errno(err, r, "cannot read the tree of database '%s'", store->path);
	*ret = g_steal_pointer(&batch);
	return 0;
}

int store_load(Store *store, ReplicaBatch **ret, GError **err)
{
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	int r;

	r = load_rows(store, batch);
	if (r == 0)
		r = load_table(store,
			"SELECT idx, epoch, origin, boot, seq, hash, op, known, sum FROM log ORDER BY idx",
			load_entry, batch);
	if (r == 0)
		r = load_table(store, "SELECT node, boot, seq, results FROM origin ORDER BY node",
			load_origin, batch);
	if (r == 0)
		r = load_table(store, "SELECT name, value FROM scalar", load_scalar, batch);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);

	batch->scalars.known = MAX(batch->scalars.known, batch->scalars.commit);
	store->log_first = batch->log_first;
	*ret = g_steal_pointer(&batch);
	return 0;
}
