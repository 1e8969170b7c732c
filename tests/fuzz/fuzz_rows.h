/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rows of any content in tables that are given: what somebody leaves who has been there with
 * sqlite3(1), or another program.
 *
 *	input   rows: u8 table, then for each of its columns u8 kind and
 *	        u64 number | u8 number | u8 size, text | u8 size, bytes | u16 fraction | nothing */

#include <sqlite3.h>

#include "tests/fuzz/fuzz.h"

#define FUZZ_ROWS_MAX 200

typedef struct FuzzTable {
	const char *insert; /* SQL, with a parameter for each column. */
	unsigned n_columns;
} FuzzTable;

static inline void fuzz_bind(sqlite3_stmt *statement, int column, FuzzInput *input)
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

/* Inserts the rows of an input.  What the schema refuses is not our matter. */
static inline void fuzz_insert(
	sqlite3 *db, const FuzzTable *tables, unsigned n_tables, FuzzInput *input)
{
	for (unsigned i = 0; i < FUZZ_ROWS_MAX && input->left > 0; i++) {
		const FuzzTable *table = &tables[fuzz_number(input, 1) % n_tables];
		sqlite3_stmt *statement = NULL;
		int code = sqlite3_prepare_v2(db, table->insert, -1, &statement, NULL);

		assert(code == SQLITE_OK);

		for (unsigned column = 1; column <= table->n_columns; column++)
			fuzz_bind(statement, (int)column, input);
		(void)sqlite3_step(statement);
		(void)sqlite3_finalize(statement);
	}
}

/* Opens the database for inserting, in one transaction without any fsync. */
static inline sqlite3 *fuzz_begin(const char *path)
{
	sqlite3 *db = NULL;
	int code = sqlite3_open(path, &db);

	assert(code == SQLITE_OK);

	code = sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);
	assert(code == SQLITE_OK);
	return db;
}

static inline void fuzz_commit(sqlite3 *db)
{
	(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	(void)sqlite3_close(db);
}
