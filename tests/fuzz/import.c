/* SPDX-License-Identifier: Apache-2.0 */

/* Any rows in a database of pmxcfs that is to be imported: it is refused, or gives a database that is
 * sound. */

#include "cfs/offline.h"

#include "tests/fuzz/fuzz_rows.h"
#include "tests/fuzz/fuzz_store.h"

static const FuzzTable tables[] = {
	{"INSERT OR REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data)"
	 " VALUES (?,?,?,?,?,?,?,?)",
		8},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const TreeLimits limits = {
		.file_max = 1 << 20, .total_max = 1 << 27, .entries_max = 1 << 18};
	FuzzInput input = {.at = data, .left = size};
	const char *directory = fuzz_directory();
	g_autofree char *theirs = g_build_filename(directory, "theirs.db", NULL);
	g_autofree char *ours = g_build_filename(directory, "config.db", NULL);
	sqlite3 *db = fuzz_begin(theirs);
	int r;

	(void)sqlite3_exec(db,
		"CREATE TABLE tree (inode INTEGER PRIMARY KEY, parent INTEGER, version INTEGER,"
		" writer INTEGER, mtime INTEGER, type INTEGER, name TEXT, data BLOB)",
		NULL, NULL, NULL);
	fuzz_insert(db, tables, G_N_ELEMENTS(tables), &input);
	fuzz_commit(db);

	if (offline_import(ours, theirs, &limits, NULL) == 0) {
		r = offline_verify(ours, NULL);
		assert(r == 0);
	}
	fuzz_clean(directory);
	return 0;
}
