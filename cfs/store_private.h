/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the store share: store.c (opening, schema), store_check.c (errors, integrity),
 * store_load.c (reading), store_salvage.c (reading what is damaged), store_write.c (batches,
 * write-ahead log).  Nobody else includes it. */

#include <sqlite3.h>

#include "cfs/store.h"

/* What the rows of directories and files carry as type: the values of directory entries. */
#define TYPE_DIRECTORY 4
#define TYPE_FILE      8

/* What is read of the table tree: databases of pmxcfs have no sums. */
#define TREE_COLUMNS     "inode, parent, version, writer, mtime, type, name, data"
#define TREE_COLUMNS_SUM TREE_COLUMNS ", sum"

/* Of the database file, in bytes. */
#define PAGE_SIZE 1024

/* A page in the write-ahead log has a head. */
#define FRAME_SIZE (PAGE_SIZE + 24)

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
	bool trusted;
	const char *tree_columns; /* What is read of the table tree, and is in it. */
	char *kept;               /* What was set aside last; NULL: nothing. */
	int wal_pages;            /* In the write-ahead log after the last commit. */
	bool wal_extended;        /* It is as long as it gets. */
	bool full;                /* The last transaction found the disk full. */
	uint64_t bytes_written;   /* See store_bytes_written(). */
};

/* --- store_check.c ---------------------------------------------------------------------------- */

/* The errno of a failed call of sqlite. */
int store_errno(Store *store, int code);

/* Runs statements without results. */
int store_exec(Store *store, const char *sql, GError **err);

/* The first number of the first row. */
int store_query_number(Store *store, const char *sql, int64_t *ret);

/* -EUCLEAN with sqlite's word when pages do not fit together. */
int store_check_quickly(Store *store, GError **err);

/* What sqlite does not look at, before it opens the files; existed: there was a database once. */
int store_check_files(const char *path, bool existed, GError **err);

/* --- store_load.c ----------------------------------------------------------------------------- */

/* Appends the row of the tree that the statement stands at to batch; -EUCLEAN when it makes no sense.
 * Columns are those of store->tree_columns. */
int store_load_row(sqlite3_stmt *statement, ReplicaBatch *batch);

/* --- store_sum.c ------------------------------------------------------------------------------ */

uint64_t store_sum_row(const ReplicaRow *row);
uint64_t store_sum_entry(const ReplicaEntry *entry, uint64_t known);
