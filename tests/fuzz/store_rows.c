/* SPDX-License-Identifier: Apache-2.0 */

/* Any rows in a database that is sound as sqlite sees it: somebody has been there with sqlite3(1), or
 * another version of ours has.
 *
 *	input   rows: u8 table, then for each of its columns
 *	        u8 kind, u64 number | u8 size, bytes, or nothing */

#include "cfs/store.h"

#include <sqlite3.h>

#include "tests/fuzz/fuzz_store.h"

#define ROWS_MAX 200

typedef struct Table {
	const char *insert;
	unsigned n_columns;
} Table;

static const Table tables[] = {
	{"INSERT OR REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data)"
	 " VALUES (?,?,?,?,?,?,?,?)",
		8},
	{"INSERT OR REPLACE INTO log (idx, epoch, origin, boot, seq, hash, op)"
	 " VALUES (?,?,?,?,?,?,?)",
		7},
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

static void bind(sqlite3_stmt *statement, int column, FuzzInput *input)
{
	const uint8_t *bytes;
	size_t size;

	switch (fuzz_number(input, 1) % 6) {
	case 0: /* NULL, as it is. */
		break;
	case 1:
		(void)sqlite3_bind_int64(statement, column, (sqlite3_int64)fuzz_number(input, 8));
		break;
	case 2:
		(void)sqlite3_bind_int64(statement, column, (sqlite3_int64)fuzz_number(input, 1));
		break;
	case 3:
		bytes = fuzz_bytes(input, fuzz_number(input, 1), &size);
		(void)sqlite3_bind_text(
			statement, column, (const char *)bytes, (int)size, SQLITE_TRANSIENT);
		break;
	case 4:
		bytes = fuzz_bytes(input, fuzz_number(input, 1), &size);
		(void)sqlite3_bind_blob(statement, column, bytes, (int)size, SQLITE_TRANSIENT);
		break;
	default:
		(void)sqlite3_bind_double(statement, column, (double)fuzz_number(input, 2) / 3);
		break;
	}
}

static void insert(sqlite3 *db, const Table *table, FuzzInput *input)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, table->insert, -1, &statement, NULL);

	assert(code == SQLITE_OK);

	for (unsigned i = 0; i < table->n_columns; i++)
		bind(statement, (int)i + 1, input);
	/* What the schema refuses is not our matter. */
	(void)sqlite3_step(statement);
	(void)sqlite3_finalize(statement);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	const char *directory = fuzz_directory();
	g_autofree char *path = g_build_filename(directory, "config.db", NULL);
	sqlite3 *db = NULL;
	int code;

	if (!g_file_set_contents_full(
		    path, template, (gssize)template_size, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
		return 0;
	code = sqlite3_open(path, &db);
	assert(code == SQLITE_OK);
	(void)sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);
	for (unsigned i = 0; i < ROWS_MAX && input.left > 0; i++)
		insert(db, &tables[fuzz_number(&input, 1) % G_N_ELEMENTS(tables)], &input);
	(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	(void)sqlite3_close(db);

	fuzz_load(path);
	fuzz_clean(directory);
	return 0;
}
