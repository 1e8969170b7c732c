/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the store share: store.c (opening, integrity, schema), store_load.c (reading),
 * store_write.c (batches, write-ahead log).  Nobody else includes it. */

#include <sqlite3.h>

#include "cfs/store.h"

/* What the rows of directories and files carry as type: the values of directory entries. */
#define TYPE_DIRECTORY 4
#define TYPE_FILE      8

/* Of the database file, in bytes. */
#define PAGE_SIZE 1024

typedef enum Statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_PUT_ROW,
	STATEMENT_REMOVE_ROW,
	STATEMENT_CLEAR_ROWS,
	STATEMENT_PUT_ENTRY,
	STATEMENT_TRIM_ENTRIES,
	STATEMENT_CUT_ENTRIES,
	STATEMENT_CLEAR_ENTRIES,
	STATEMENT_PUT_ORIGIN,
	STATEMENT_CLEAR_ORIGINS,
	STATEMENT_PUT_SCALAR,
	STATEMENT_N,
} Statement;

struct Store {
	char *path;
	int lock_fd; /* Holds the lock that keeps a second daemon out. */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_N];
	bool synchronous;       /* As sqlite has it now: commits wait for the disk. */
	uint64_t log_first;     /* Entries below it are deleted already. */
	ReplicaScalars scalars; /* As they are in the database … */
	bool scalars_known;     /* … if this is set. */
	uint32_t node;
	int wal_pages;          /* In the write-ahead log after the last commit. */
	uint64_t bytes_written; /* See store_bytes_written(). */
};

/* The errno of a failed call of sqlite. */
int store_errno(Store *store, int code);

/* Runs statements without results. */
int store_exec(Store *store, const char *sql, GError **err);
