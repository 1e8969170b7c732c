/* SPDX-License-Identifier: Apache-2.0 */

/* Any rows in a database that is sound as sqlite sees it.  Our sums are made to fit them, or what is
 * behind the check of the sums would never be tried. */

#include "cfs/store.h"

#include "cfs/store_private.h"
#include "tests/fuzz/fuzz_rows.h"
#include "tests/fuzz/fuzz_store.h"

static const FuzzTable tables[] = {
	{"INSERT OR REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data, sum)"
	 " VALUES (?,?,?,?,?,?,?,?,0)",
		8},
	{"INSERT OR REPLACE INTO log (idx, epoch, origin, boot, seq, hash, op, known, sum)"
	 " VALUES (?,?,?,?,?,?,?,?,0)",
		8},
	{"INSERT OR REPLACE INTO origin (node, boot, seq, results) VALUES (?,?,?,?)", 4},
	{"INSERT OR REPLACE INTO scalar (name, value) VALUES (?,?)", 2},
};

/* An empty database of ours, which each input starts from. */
static char *template;
static gsize template_size;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *directory = fuzz_directory();
	g_autofree char *path = g_build_filename(directory, "config.db", NULL);
	g_autoptr(Store) store = NULL;
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	bool ok;
	int r;

	r = store_open(path, &store, NULL);
	assert(r == 0);
	r = store_write(store, batch);
	assert(r == 0);
	store = store_close(store);
	ok = g_file_get_contents(path, &template, &template_size, NULL);
	assert(ok);
	fuzz_clean(directory);
	return 0;
}

static GBytes *column_bytes(sqlite3_stmt *statement, int column)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	return g_bytes_new(bytes, (gsize)sqlite3_column_bytes(statement, column));
}

static uint64_t sum_of_row(sqlite3_stmt *statement)
{
	bool directory = sqlite3_column_int(statement, 6) == TYPE_DIRECTORY;
	g_autoptr(GBytes) data = NULL;
	ReplicaRow row = {
		.inode = (uint64_t)sqlite3_column_int64(statement, 1),
		.parent = (uint64_t)sqlite3_column_int64(statement, 2),
		.version = (uint64_t)sqlite3_column_int64(statement, 3),
		.writer = (uint32_t)sqlite3_column_int64(statement, 4),
		.mtime_s = (uint32_t)sqlite3_column_int64(statement, 5),
		.directory = directory,
		.name = (char *)sqlite3_column_text(statement, 7),
	};

	if (!row.name)
		return 0;
	if ((!directory && row.inode != 0) || sqlite3_column_type(statement, 8) != SQLITE_NULL)
		data = column_bytes(statement, 8);
	row.data = data;
	return store_sum_row(&row);
}

static uint64_t sum_of_entry(sqlite3_stmt *statement)
{
	g_autoptr(GBytes) op = column_bytes(statement, 7);
	ReplicaEntry entry = {
		.index = (uint64_t)sqlite3_column_int64(statement, 1),
		.epoch = (uint64_t)sqlite3_column_int64(statement, 2),
		.origin = (uint32_t)sqlite3_column_int64(statement, 3),
		.boot = (uint64_t)sqlite3_column_int64(statement, 4),
		.seq = (uint64_t)sqlite3_column_int64(statement, 5),
		.op = op,
	};

	if (sqlite3_column_bytes(statement, 6) == sizeof(entry.hash))
		memcpy(entry.hash, sqlite3_column_blob(statement, 6), sizeof(entry.hash));
	return store_sum_entry(&entry, (uint64_t)sqlite3_column_int64(statement, 8));
}

/* Gives each row of a table its sum. */
static void set_sums(sqlite3 *db, const char *select, const char *update,
	uint64_t (*sum_of)(sqlite3_stmt *statement))
{
	sqlite3_stmt *rows = NULL, *set = NULL;
	int code = sqlite3_prepare_v2(db, select, -1, &rows, NULL);

	assert(code == SQLITE_OK);
	code = sqlite3_prepare_v2(db, update, -1, &set, NULL);
	assert(code == SQLITE_OK);

	while (sqlite3_step(rows) == SQLITE_ROW) {
		(void)sqlite3_bind_int64(set, 1, (sqlite3_int64)sum_of(rows));
		(void)sqlite3_bind_int64(set, 2, sqlite3_column_int64(rows, 0));
		(void)sqlite3_step(set);
		(void)sqlite3_reset(set);
	}
	(void)sqlite3_finalize(rows);
	(void)sqlite3_finalize(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	const char *directory = fuzz_directory();
	g_autofree char *path = g_build_filename(directory, "config.db", NULL);
	sqlite3 *db;

	if (!g_file_set_contents_full(
		    path, template, (gssize)template_size, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
		return 0;
	db = fuzz_begin(path);
	fuzz_insert(db, tables, G_N_ELEMENTS(tables), &input);
	set_sums(db, "SELECT rowid, " TREE_COLUMNS " FROM tree",
		"UPDATE tree SET sum = ? WHERE rowid = ?", sum_of_row);
	set_sums(db, "SELECT rowid, idx, epoch, origin, boot, seq, hash, op, known FROM log",
		"UPDATE log SET sum = ? WHERE rowid = ?", sum_of_entry);
	fuzz_commit(db);

	fuzz_load(path);
	fuzz_clean(directory);
	return 0;
}
