/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/store_private.h"

/* A file with more free than used pages is made smaller when it is opened. */
#define VACUUM_PAGES_MIN 4096

/* How long a foreign writer (an administrator's shell) may hold the database. */
#define BUSY_MS 5000

#define SCHEMA_VERSION 1

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
	[STATEMENT_CUT_ENTRIES] = "DELETE FROM log WHERE idx > ?1",
	[STATEMENT_CLEAR_ENTRIES] = "DELETE FROM log",
	[STATEMENT_PUT_ORIGIN] =
		"INSERT OR REPLACE INTO origin (node, boot, seq, results) VALUES (?1, ?2, ?3, ?4)",
	[STATEMENT_CLEAR_ORIGINS] = "DELETE FROM origin",
	[STATEMENT_PUT_SCALAR] = "INSERT OR REPLACE INTO scalar (name, value) VALUES (?1, ?2)",
};

int store_errno(Store *store, int code)
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

int store_exec(Store *store, const char *sql, GError **err)
{
	int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		return 0;
	return err_set(err, -store_errno(store, sqlite3_extended_errcode(store->db)),
		"database '%s': %s", store->path, sqlite3_errmsg(store->db));
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
