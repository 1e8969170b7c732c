/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <sqlite3.h>

#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

/* How the bytes get small.  A transaction writes every page that it touches to the write-ahead log,
 * so pages are small (PAGE_SIZE), the number that changes with every batch sits in few rows, and
 * old entries of the log are deleted many at a time (TRIM_STEP).  The write-ahead log is copied
 * into the file only when it is long (CHECKPOINT_PAGES), by store_maintain(): a page that changed a
 * hundred times is then copied once. */
#define PAGE_SIZE        1024
#define CHECKPOINT_PAGES 4096
#define TRIM_STEP        256

/* A file with more free than used pages is made smaller when it is opened. */
#define VACUUM_PAGES_MIN 4096

/* How long a foreign writer (an administrator's shell) may hold the database. */
#define BUSY_MS 5000

#define SCHEMA_VERSION 1

/* What the rows of directories and files carry as type: the values of directory entries. */
#define TYPE_DIRECTORY 4
#define TYPE_FILE      8

static const char SCHEMA[] =
	"CREATE TABLE tree ("
	" inode INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT NULL, version INTEGER NOT NULL,"
	" writer INTEGER NOT NULL, mtime INTEGER NOT NULL, type INTEGER NOT NULL,"
	" name TEXT NOT NULL, data BLOB);"
	"CREATE TABLE log ("
	" idx INTEGER PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL, origin INTEGER NOT NULL,"
	" boot INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, op BLOB NOT NULL);"
	"CREATE TABLE origin ("
	" node INTEGER PRIMARY KEY NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" results BLOB NOT NULL);"
	"CREATE TABLE scalar (name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID;"
	"PRAGMA user_version = " G_STRINGIFY(SCHEMA_VERSION) ";";

typedef enum Statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_PUT_ROW,
	STATEMENT_REMOVE_ROW,
	STATEMENT_CLEAR_ROWS,
	STATEMENT_PUT_ENTRY,
	STATEMENT_TRIM_ENTRIES,
	STATEMENT_CLEAR_ENTRIES,
	STATEMENT_PUT_ORIGIN,
	STATEMENT_CLEAR_ORIGINS,
	STATEMENT_PUT_SCALAR,
	STATEMENT_N,
} Statement;

static const char *const statement_sql[STATEMENT_N] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_PUT_ROW] =
		"INSERT INTO tree (inode, parent, version, writer, mtime, type, name, data)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (inode) DO UPDATE SET"
		" parent = ?2, version = ?3, writer = ?4, mtime = ?5, type = ?6, name = ?7,"
		" data = ?8",
	[STATEMENT_REMOVE_ROW] = "DELETE FROM tree WHERE inode = ?1",
	[STATEMENT_CLEAR_ROWS] = "DELETE FROM tree",
	[STATEMENT_PUT_ENTRY] =
		"INSERT OR REPLACE INTO log (idx, epoch, origin, boot, seq, hash, op)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STATEMENT_TRIM_ENTRIES] = "DELETE FROM log WHERE idx < ?1",
	[STATEMENT_CLEAR_ENTRIES] = "DELETE FROM log",
	[STATEMENT_PUT_ORIGIN] =
		"INSERT OR REPLACE INTO origin (node, boot, seq, results) VALUES (?1, ?2, ?3, ?4)",
	[STATEMENT_CLEAR_ORIGINS] = "DELETE FROM origin",
	[STATEMENT_PUT_SCALAR] = "INSERT OR REPLACE INTO scalar (name, value) VALUES (?1, ?2)",
};

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
static int store_errno(Store *store, int code)
{
	int system_errno = sqlite3_system_errno(store->db);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
			return -ENOTRECOVERABLE;
		return system_errno > 0 ? -system_errno : -EIO;
	default:
		return -EIO;
	}
}

static int store_exec(Store *store, const char *sql, GError **err)
{
	int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		return 0;
	return err_set(err, -store_errno(store, sqlite3_extended_errcode(store->db)),
		"database '%s': %s", store->path, sqlite3_errmsg(store->db));
}

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

/* --- Opening ---------------------------------------------------------------------------------- */

/* Frames of the write-ahead log carry a header of 24 bytes each. */
static int on_commit(void *data, sqlite3 *db, const char *name, int pages)
{
	Store *store = data;
	int grown = pages > store->wal_pages ? pages - store->wal_pages : pages;

	store->bytes_written += (uint64_t)grown * (PAGE_SIZE + 24);
	store->wal_pages = pages;
	return SQLITE_OK;
}

static int query_number(Store *store, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
		sqlite3_step(statement) == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	else
		r = store_errno(store, sqlite3_extended_errcode(store->db));
	(void)sqlite3_finalize(statement);
	return r;
}

/* -EUCLEAN with sqlite's word when pages, rows and indexes do not fit together. */
static int check_integrity(Store *store, GError **err)
{
	sqlite3_stmt *statement = NULL;
	const char *word;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL) !=
			SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		r = err_set(err, -store_errno(store, sqlite3_extended_errcode(store->db)),
			"database '%s': %s", store->path, sqlite3_errmsg(store->db));
	if (r == 0) {
		word = (const char *)sqlite3_column_text(statement, 0);
		if (!str_equal(word, "ok")) {
			g_autofree char *line = g_strdelimit(g_strdup(word), "\n", ' ');

			r = err_set(err, EUCLEAN, "database '%s': %s", store->path, line);
		}
	}
	(void)sqlite3_finalize(statement);
	return r;
}

static int prepare_schema(Store *store, GError **err)
{
	int64_t version = 0, n_free = 0, n_pages = 0;
	int r;

	r = query_number(store, "PRAGMA user_version", &version);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);
	if (version > SCHEMA_VERSION)
		return err_set(err, EINVAL,
			"database '%s' was written by a newer version of this program",
			store->path);
	if (version == 0) {
		r = store_exec(store, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = store_exec(store, SCHEMA, err);
		return r < 0 ? r : store_exec(store, "COMMIT", err);
	}

	if (query_number(store, "PRAGMA freelist_count", &n_free) == 0 &&
		query_number(store, "PRAGMA page_count", &n_pages) == 0 &&
		n_free > VACUUM_PAGES_MIN && n_free > n_pages / 2)
		return store_exec(store, "VACUUM", err);
	return 0;
}

static int prepare_statements(Store *store, GError **err)
{
	for (unsigned i = 0; i < STATEMENT_N; i++)
		if (sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &store->statements[i], NULL) != SQLITE_OK)
			return err_set(err, EUCLEAN, "database '%s': %s", store->path,
				sqlite3_errmsg(store->db));
	return 0;
}

static void close_database(Store *store)
{
	for (unsigned i = 0; i < STATEMENT_N; i++) {
		(void)sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	(void)sqlite3_close(store->db); /* Copies the write-ahead log and removes it. */
	store->db = NULL;
	store->scalars_known = false;
	store->log_first = 0;
	store->wal_pages = 0;
	store->synchronous = true;
}

static int read_node(Store *store)
{
	int64_t node = 0;
	int r;

	r = query_number(
		store, "SELECT coalesce((SELECT value FROM scalar WHERE name = 'node'), 0)", &node);
	if (r == 0)
		store->node = (uint32_t)node;
	return r;
}

static int open_database(Store *store, GError **err)
{
	int r, code;

	code = sqlite3_open_v2(store->path, &store->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code != SQLITE_OK)
		return err_set(err, store->db ? -store_errno(store, code) : ENOMEM,
			"cannot open database '%s': %s", store->path, sqlite3_errstr(code));
	(void)sqlite3_extended_result_codes(store->db, 1);
	(void)sqlite3_busy_timeout(store->db, BUSY_MS);
	(void)sqlite3_wal_hook(store->db, on_commit, store);
	store->synchronous = true;

	r = store_exec(store,
		"PRAGMA page_size = " G_STRINGIFY(
			PAGE_SIZE) ";"
				   "PRAGMA journal_mode = WAL;"
				   "PRAGMA synchronous = FULL;"
				   "PRAGMA temp_store = MEMORY;"
				   "PRAGMA journal_size_limit = 16777216;",
		err);
	if (r == 0)
		r = check_integrity(store, err);
	if (r == 0)
		r = prepare_schema(store, err);
	if (r == 0)
		r = prepare_statements(store, err);
	if (r < 0)
		return r;
	r = read_node(store);
	return r < 0 ? err_set_errno(err, r, "cannot read database '%s'", store->path) : 0;
}

static int rename_away(Store *store, const char *stamp, const char *suffix, GError **err)
{
	g_autofree char *from = g_strconcat(store->path, suffix, NULL);
	g_autofree char *to = g_strconcat(store->path, ".damaged-", stamp, suffix, NULL);

	if (rename(from, to) < 0 && (errno != ENOENT || !*suffix))
		return err_set_errno(err, -errno, "cannot rename '%s' to '%s'", from, to);
	return 0;
}

int store_set_aside(Store *store, const char *reason, GError **err)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *second = g_date_time_format(now, "%Y%m%dT%H%M%SZ");
	g_autofree char *stamp = g_strdup(second);
	struct stat st;
	int r;

	/* Closing would copy the write-ahead log over the file that is to be kept as it is. */
	if (store->db) {
		(void)sqlite3_db_config(
			store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
		close_database(store);
	}
	for (unsigned i = 2;; i++) {
		g_autofree char *taken = g_strconcat(store->path, ".damaged-", stamp, NULL);
		g_autofree char *next = NULL;

		if (stat(taken, &st) < 0)
			break;
		next = g_strdup_printf("%s-%u", second, i);
		g_free(stamp);
		stamp = g_steal_pointer(&next);
	}
	r = rename_away(store, stamp, "", err);
	if (r == 0)
		r = rename_away(store, stamp, "-wal", err);
	if (r == 0)
		r = rename_away(store, stamp, "-shm", err);
	if (r < 0)
		return r;

	log_err("Database '%s' is damaged (%s); it is kept as '%s.damaged-%s', and an empty one "
		"takes its place",
		store->path, reason, store->path, stamp);
	return open_database(store, err);
}

static int lock_database(Store *store, GError **err)
{
	g_autofree char *lock_path = g_strconcat(store->path, ".lock", NULL);

	store->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_fd < 0)
		return err_set_errno(err, -errno, "cannot open '%s'", lock_path);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, EBUSY, "database '%s' is served by another process",
					 store->path)
			       : err_set_errno(err, -errno, "cannot lock '%s'", lock_path);
	return 0;
}

int store_open(const char *path, Store **ret, GError **err)
{
	g_autoptr(Store) store = g_new0(Store, 1);
	g_autoptr(GError) reason = NULL;
	auto_close int fd = -1;
	int r;

	store->path = g_strdup(path);
	store->lock_fd = -1;
	r = lock_database(store, err);
	if (r < 0)
		return r;

	/* sqlite gives its other files the mode that this one has. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_set_errno(err, -errno, "cannot open database '%s'", path);
	fd_clear(&fd);

	r = open_database(store, &reason);
	if (r == -EUCLEAN)
		r = store_set_aside(store, reason->message, err);
	else if (r < 0)
		g_propagate_error(err, g_steal_pointer(&reason));
	if (r < 0)
		return r;

	*ret = g_steal_pointer(&store);
	return 0;
}

Store *store_close(Store *store)
{
	if (!store)
		return NULL;

	if (store->db)
		close_database(store);
	fd_clear(&store->lock_fd);
	g_free(store->path);
	g_free(store);
	return NULL;
}

/* --- Loading ---------------------------------------------------------------------------------- */

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

/* Only sqlite's own types are certain: an administrator may have written anything. */
static int load_row(sqlite3_stmt *statement, ReplicaBatch *batch)
{
	int type = sqlite3_column_int(statement, 5);
	const char *name = (const char *)sqlite3_column_text(statement, 6);
	uint64_t inode = column_u64(statement, 0);
	g_autoptr(GBytes) data = NULL;

	if (!name || strlen(name) != (size_t)sqlite3_column_bytes(statement, 6))
		return -EUCLEAN;
	if (inode == 0) {
		batch->scalars.version = column_u64(statement, 2);
		return 0;
	}
	if (type != TYPE_DIRECTORY && type != TYPE_FILE)
		return -EUCLEAN;
	if (type == TYPE_FILE)
		data = column_bytes(statement, 7);
	replica_batch_add_row(batch, inode, column_u64(statement, 1), column_u64(statement, 2),
		(uint32_t)column_u64(statement, 3), (uint32_t)column_u64(statement, 4),
		type == TYPE_DIRECTORY, name, data);
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

	if (sqlite3_column_bytes(statement, 5) != REPLICA_HASH_SIZE)
		return -EUCLEAN;
	memcpy(entry.hash, sqlite3_column_blob(statement, 5), REPLICA_HASH_SIZE);
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

int store_load(Store *store, ReplicaBatch **ret, GError **err)
{
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	int r;

	r = load_table(store,
		"SELECT inode, parent, version, writer, mtime, type, name, data FROM tree"
		" ORDER BY inode",
		load_row, batch);
	if (r == 0)
		r = load_table(store,
			"SELECT idx, epoch, origin, boot, seq, hash, op FROM log ORDER BY idx",
			load_entry, batch);
	if (r == 0)
		r = load_table(store, "SELECT node, boot, seq, results FROM origin ORDER BY node",
			load_origin, batch);
	if (r == 0)
		r = load_table(store, "SELECT name, value FROM scalar", load_scalar, batch);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);

	store->log_first = batch->log_first;
	*ret = g_steal_pointer(&batch);
	return 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static int put_row(Store *store, const ReplicaRow *row)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_ROW];

	bind_u64(statement, 1, row->inode);
	bind_u64(statement, 2, row->parent);
	bind_u64(statement, 3, row->version);
	bind_u64(statement, 4, row->writer);
	bind_u64(statement, 5, row->mtime_s);
	bind_u64(statement, 6, row->directory ? TYPE_DIRECTORY : TYPE_FILE);
	(void)sqlite3_bind_text(statement, 7, row->name, -1, SQLITE_STATIC);
	if (row->data)
		bind_bytes(statement, 8, row->data);
	return store_step(store, STATEMENT_PUT_ROW);
}

static int put_version(Store *store, uint64_t version)
{
	ReplicaRow row = {.version = version, .name = (char *)"__version__"};

	return put_row(store, &row);
}

static int put_entry(Store *store, const ReplicaEntry *entry)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_PUT_ENTRY];

	bind_u64(statement, 1, entry->index);
	bind_u64(statement, 2, entry->epoch);
	bind_u64(statement, 3, entry->origin);
	bind_u64(statement, 4, entry->boot);
	bind_u64(statement, 5, entry->seq);
	(void)sqlite3_bind_blob(statement, 6, entry->hash, REPLICA_HASH_SIZE, SQLITE_STATIC);
	bind_bytes(statement, 7, entry->op);
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
	int r = batch->replace ? clear_all(store) : 0;

	for (unsigned i = 0; i < batch->rows->len && r == 0; i++)
		r = put_row(store, g_ptr_array_index(batch->rows, i));
	if (r == 0)
		r = remove_rows(store, batch->removed);
	for (unsigned i = 0; i < batch->entries->len && r == 0; i++)
		r = put_entry(store, g_ptr_array_index(batch->entries, i));
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

void store_maintain(Store *store)
{
	int code, log_pages = 0, copied_pages = 0;

	if (store->wal_pages < CHECKPOINT_PAGES)
		return;

	code = sqlite3_wal_checkpoint_v2(
		store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log_pages, &copied_pages);
	if (code != SQLITE_OK && code != SQLITE_BUSY)
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

uint32_t store_node(const Store *store)
{
	return store->node;
}

uint64_t store_bytes_written(const Store *store)
{
	return store->bytes_written;
}
