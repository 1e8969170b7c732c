/* SPDX-License-Identifier: Apache-2.0 */

/* Writing the database.
 *
 * How the bytes get small.  A transaction writes every page that it touches to the write-ahead log,
 * so pages are small (PAGE_SIZE); the number that changes with every batch, `known`, is in the rows of
 * its entries; and old entries of the log are deleted many at a time (TRIM_STEP).  The write-ahead log
 * is copied into the file only when it is long (CHECKPOINT_PAGES), by store_maintain(): a page that
 * changed a hundred times is then copied once. */

#include "cfs/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/store_private.h"

#define CHECKPOINT_PAGES 4096
#define TRIM_STEP        256

/* Runs a statement without result, with what has been bound. */
static int store_step(Store *store, Statement which)
{
	sqlite3_stmt *statement = store->statements[which];
	int code = sqlite3_step(statement), extended = sqlite3_extended_errcode(store->db);
	int r = code == SQLITE_DONE ? 0 : store_errno(store, extended);

	(void)sqlite3_reset(statement); /* Repeats the error of the step. */
	(void)sqlite3_clear_bindings(statement);
	return r;
}

static void bind_u64(sqlite3_stmt *statement, int place, uint64_t value)
{
	int code = sqlite3_bind_int64(statement, place, (sqlite3_int64)value);

	assert(code == SQLITE_OK);
}

/* The bytes must live until the statement has run.  An empty GBytes is an empty blob, not NULL. */
static void bind_bytes(sqlite3_stmt *statement, int place, GBytes *bytes)
{
	size_t size;
	const void *data = g_bytes_get_data(bytes, &size);
	int code = sqlite3_bind_blob64(statement, place, size ? data : "", size, SQLITE_STATIC);

	assert(code == SQLITE_OK);
}

static int put_row(Store *store, const ReplicaRow *row)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_ROW];

	bind_u64(statement, 1, row->inode);
	bind_u64(statement, 2, row->parent);
	bind_u64(statement, 3, row->version);
	bind_u64(statement, 4, row->writer);
	bind_u64(statement, 5, row->mtime_s);
	/* The version, at inode 0, is a file by its type. */
	bind_u64(statement, 6, row->directory ? TYPE_DIRECTORY : TYPE_FILE);
	(void)sqlite3_bind_text(statement, 7, row->name, -1, SQLITE_STATIC);
	if (row->data)
		bind_bytes(statement, 8, row->data);
	bind_u64(statement, 9, store_sum_row(row));
	return store_step(store, STATEMENT_PUT_ROW);
}

static int put_version(Store *store, uint64_t version)
{
	ReplicaRow row = {.version = version, .name = (char *)"__version__"};

	return put_row(store, &row);
}

static int put_entry(Store *store, const ReplicaEntry *entry, uint64_t known)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_ENTRY];

	bind_u64(statement, 1, entry->index);
	bind_u64(statement, 2, entry->epoch);
	bind_u64(statement, 3, entry->origin);
	bind_u64(statement, 4, entry->boot);
	bind_u64(statement, 5, entry->seq);
	(void)sqlite3_bind_blob(statement, 6, entry->hash, REPLICA_HASH_SIZE, SQLITE_STATIC);
	bind_bytes(statement, 7, entry->op);
	bind_u64(statement, 8, known);
	bind_u64(statement, 9, store_sum_entry(entry, known));
	return store_step(store, STATEMENT_PUT_ENTRY);
}

static int put_origin(Store *store, const ReplicaOrigin *origin)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_ORIGIN];

	bind_u64(statement, 1, origin->node);
	bind_u64(statement, 2, origin->boot);
	bind_u64(statement, 3, origin->seq);
	bind_bytes(statement, 4, origin->results);
	return store_step(store, STATEMENT_PUT_ORIGIN);
}

static int put_number(Store *store, const char *name, uint64_t value)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_SCALAR];

	(void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	bind_u64(statement, 2, value);
	return store_step(store, STATEMENT_PUT_SCALAR);
}

static int put_hash(Store *store, const char *name, const uint8_t *hash)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_SCALAR];

	(void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(statement, 2, hash, REPLICA_HASH_SIZE, SQLITE_STATIC);
	return store_step(store, STATEMENT_PUT_SCALAR);
}

/* What is the same in the database already is left alone: each page costs its bytes. */
static int put_scalars(Store *store, const ReplicaScalars *scalars, bool replace)
{
	const ReplicaScalars *old = store->scalars_known ? &store->scalars : NULL;
	int r = 0;

	if (!old || replace || old->version != scalars->version)
		r = put_version(store, scalars->version);
	if (r == 0 && (!old || old->promised != scalars->promised))
		r = put_number(store, "promised", scalars->promised);
	if (r == 0 && (!old || old->adopted != scalars->adopted))
		r = put_number(store, "adopted", scalars->adopted);
	if (r == 0 && (!old || old->settled != scalars->settled))
		r = put_number(store, "settled", scalars->settled);
	if (r == 0 && (!old || old->commit != scalars->commit))
		r = put_number(store, "commit", scalars->commit);
	if (r == 0 &&
		(!old || memcmp(old->commit_hash, scalars->commit_hash, REPLICA_HASH_SIZE) != 0))
		r = put_hash(store, "commit_hash", scalars->commit_hash);
	return r;
}

static int clear_all(Store *store)
{
	int r = store_step(store, STATEMENT_CLEAR_ROWS);

	if (r == 0)
		r = store_step(store, STATEMENT_CLEAR_ENTRIES);
	if (r == 0)
		r = store_step(store, STATEMENT_CLEAR_ORIGINS);
	return r;
}

/* What a batch takes the place of. */
static int clear_for(Store *store, const ReplicaBatch *batch)
{
	int r = batch->replace ? clear_all(store) : 0;

	if (r == 0 && batch->log_cut < UINT64_MAX) {
		bind_u64(store->statements[STATEMENT_CUT_ENTRIES], 1, batch->log_cut);
		r = store_step(store, STATEMENT_CUT_ENTRIES);
	}
	if (r == 0 && batch->new_origins)
		r = store_step(store, STATEMENT_CLEAR_ORIGINS);
	return r;
}

static int remove_rows(Store *store, const GArray *removed)
{
	int r = 0;

	for (unsigned i = 0; i < removed->len && r == 0; i++) {
		bind_u64(store->statements[STATEMENT_REMOVE_ROW], 1,
			g_array_index(removed, uint64_t, i));
		r = store_step(store, STATEMENT_REMOVE_ROW);
	}
	return r;
}

static bool trim_is_due(const Store *store, const ReplicaBatch *batch)
{
	return batch->log_first >= store->log_first + TRIM_STEP;
}

static int write_batch(Store *store, const ReplicaBatch *batch)
{
	int r = clear_for(store, batch);

	for (unsigned i = 0; i < batch->rows->len && r == 0; i++)
		r = put_row(store, g_ptr_array_index(batch->rows, i));
	if (r == 0)
		r = remove_rows(store, batch->removed);
	for (unsigned i = 0; i < batch->entries->len && r == 0; i++)
		r = put_entry(store, g_ptr_array_index(batch->entries, i), batch->scalars.known);
	for (unsigned i = 0; i < batch->origins->len && r == 0; i++)
		r = put_origin(store, g_ptr_array_index(batch->origins, i));
	if (r == 0 && trim_is_due(store, batch)) {
		bind_u64(store->statements[STATEMENT_TRIM_ENTRIES], 1, batch->log_first);
		r = store_step(store, STATEMENT_TRIM_ENTRIES);
	}
	if (r == 0)
		r = put_scalars(store, &batch->scalars, batch->replace);
	return r;
}

/* NORMAL leaves the fsync to the next commit that wants one, which covers what came before it. */
static int set_synchronous(Store *store, bool on)
{
	int r;

	if (store->synchronous == on)
		return 0;
	r = store_exec(
		store, on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL);
	if (r == 0)
		store->synchronous = on;
	return r;
}

static int transaction(
	Store *store, bool sync, int (*body)(Store *store, const void *data), const void *data)
{
	int r = set_synchronous(store, sync);

	if (r == 0)
		r = store_step(store, STATEMENT_BEGIN);
	if (r < 0)
		return r;
	r = body(store, data);
	if (r == 0)
		r = store_step(store, STATEMENT_COMMIT);
	if (r < 0 && !sqlite3_get_autocommit(store->db))
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int batch_body(Store *store, const void *data)
{
	return write_batch(store, data);
}

int store_write(Store *store, const ReplicaBatch *batch)
{
	int r;

	assert(store->db && batch);

	r = transaction(store, batch->sync, batch_body, batch);
	store->full = r == -ENOSPC;
	if (r < 0) {
		store->scalars_known = false;
		return r;
	}

	store->scalars = batch->scalars;
	store->scalars_known = true;
	if (batch->replace || trim_is_due(store, batch))
		store->log_first = batch->log_first;
	return 0;
}

/* Makes the write-ahead log at once as long as it gets: what is written over costs no change of the
 * file's length, and no journal of the file system.  To sqlite, zeros are where it ends.  Written in
 * single pages: the kernel keeps what was written at once as one folio, and charges all of it to each
 * small write into it. */
static void extend_wal(Store *store)
{
	static const char zeros[4096];
	const off_t size = (off_t)CHECKPOINT_PAGES * FRAME_SIZE;
	g_autofree char *wal_path = g_strconcat(store->path, "-wal", NULL);
	auto_close int fd = open(wal_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct stat st;
	off_t at;

	store->wal_extended = true;
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	at = st.st_size;
	while (at < size && file_write_all(fd, zeros, sizeof(zeros)) == 0)
		at += (off_t)sizeof(zeros);
	/* On a full disk it is better off short. */
	if (at < size)
		(void)ftruncate(fd, st.st_size);
	else
		store->bytes_written += (uint64_t)(at - st.st_size);
	(void)fdatasync(fd);
}

void store_maintain(Store *store)
{
	int code, log_pages = 0, copied_pages = 0;

	if (!store->wal_extended)
		extend_wal(store);

	if (store->wal_pages < CHECKPOINT_PAGES && !store->full)
		return;

	code = sqlite3_wal_checkpoint_v2(
		store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log_pages, &copied_pages);
	/* Of a full disk the transaction has told. */
	if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_FULL)
		log_warning("Copying the write-ahead log of '%s' failed: %s", store->path,
			sqlite3_errmsg(store->db));
	else if (copied_pages > 0)
		store->bytes_written += (uint64_t)copied_pages * PAGE_SIZE;

	/* A reader may hold it up; then it is tried again when as much has been added. */
	store->wal_pages = 0;
}

static int node_body(Store *store, const void *data)
{
	return put_number(store, "node", *(const uint32_t *)data);
}

int store_set_node(Store *store, uint32_t node)
{
	int r = transaction(store, true, node_body, &node);

	if (r == 0)
		store->node = node;
	return r;
}

static int trusted_body(Store *store, const void *data)
{
	return put_number(store, "trusted", 1);
}

int store_set_trusted(Store *store)
{
	int r = transaction(store, true, trusted_body, NULL);

	if (r == 0)
		store->trusted = true;
	return r;
}

uint64_t store_bytes_written(const Store *store)
{
	return store->bytes_written;
}
