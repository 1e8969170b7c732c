/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/store_private.h"

/* What the lock file says once a database has been made beside it. */
static const char MADE[] = "A database was made here.\n";

/* A file with more free than used pages is made smaller when it is opened. */
#define VACUUM_PAGES_MIN 4096

/* How long a foreign writer (an administrator's shell) may hold the database. */
#define BUSY_MS 5000

#define SCHEMA_VERSION 1

static const char SCHEMA[] =
	"CREATE TABLE tree ("
	" inode INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT NULL, version INTEGER NOT NULL,"
	" writer INTEGER NOT NULL, mtime INTEGER NOT NULL, type INTEGER NOT NULL,"
	" name TEXT NOT NULL, data BLOB, sum INTEGER NOT NULL);"
	"CREATE TABLE log ("
	" idx INTEGER PRIMARY KEY NOT NULL, epoch INTEGER NOT NULL, origin INTEGER NOT NULL,"
	" boot INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, op BLOB NOT NULL,"
	" known INTEGER NOT NULL, sum INTEGER NOT NULL);"
	"CREATE TABLE origin ("
	" node INTEGER PRIMARY KEY NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" results BLOB NOT NULL);"
	"CREATE TABLE scalar (name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID;"
	"PRAGMA user_version = " G_STRINGIFY(SCHEMA_VERSION) ";";

static const char *const statement_sql[STATEMENT_N] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_PUT_ROW] = "INSERT OR REPLACE INTO tree (" TREE_COLUMNS_SUM ")"
			      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STATEMENT_REMOVE_ROW] = "DELETE FROM tree WHERE inode = ?1",
	[STATEMENT_CLEAR_ROWS] = "DELETE FROM tree",
	[STATEMENT_PUT_ENTRY] =
		"INSERT OR REPLACE INTO log (idx, epoch, origin, boot, seq, hash, op, known, sum)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STATEMENT_TRIM_ENTRIES] = "DELETE FROM log WHERE idx < ?1",
	[STATEMENT_CUT_ENTRIES] = "DELETE FROM log WHERE idx > ?1",
	[STATEMENT_CLEAR_ENTRIES] = "DELETE FROM log",
	[STATEMENT_PUT_ORIGIN] =
		"INSERT OR REPLACE INTO origin (node, boot, seq, results) VALUES (?1, ?2, ?3, ?4)",
	[STATEMENT_CLEAR_ORIGINS] = "DELETE FROM origin",
	[STATEMENT_PUT_SCALAR] = "INSERT OR REPLACE INTO scalar (name, value) VALUES (?1, ?2)",
};

/* --- Opening ---------------------------------------------------------------------------------- */

static int on_commit(void *data, sqlite3 *db, const char *name, int pages)
{
	Store *store = data;
	int grown = pages > store->wal_pages ? pages - store->wal_pages : pages;

	store->bytes_written += (uint64_t)grown * FRAME_SIZE;
	store->wal_pages = pages;
	return SQLITE_OK;
}

/* Nothing is made in a file that holds something else. */
static int check_is_ours(Store *store, GError **err)
{
	int64_t n_tables = 0;
	int r;

	r = store_query_number(store, "SELECT count(*) FROM sqlite_schema", &n_tables);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);
	return n_tables > 0 ? err_set(err, EINVAL,
				      "database '%s' was made by another program; move it away "
				      "(--import-db takes over one of pmxcfs)",
				      store->path)
			    : 0;
}

static int prepare_schema(Store *store, GError **err)
{
	int64_t version = 0, n_free = 0, n_pages = 0;
	int r;

	r = store_query_number(store, "PRAGMA user_version", &version);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);
	if (version > SCHEMA_VERSION)
		return err_set(err, EINVAL,
			"database '%s' was written by a newer version of this program",
			store->path);
	if (version == 0) {
		r = check_is_ours(store, err);
		if (r == 0)
			r = store_exec(store, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = store_exec(store, SCHEMA, err);
		return r < 0 ? r : store_exec(store, "COMMIT", err);
	}

	if (store_query_number(store, "PRAGMA freelist_count", &n_free) == 0 &&
		store_query_number(store, "PRAGMA page_count", &n_pages) == 0 &&
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
	store->wal_extended = false;
	store->synchronous = true;
}

static int read_scalars(Store *store, GError **err)
{
	int64_t node = 0, trusted = 0;
	int r;

	r = store_query_number(
		store, "SELECT coalesce((SELECT value FROM scalar WHERE name = 'node'), 0)", &node);
	if (r == 0)
		r = store_query_number(store,
			"SELECT coalesce((SELECT value FROM scalar WHERE name = 'trusted'), 0)",
			&trusted);
	if (r < 0)
		return err_set_errno(err, r, "cannot read database '%s'", store->path);
	store->node = (uint32_t)node;
	store->trusted = trusted == 1;
	return 0;
}

static int connect_database(Store *store, int flags, GError **err)
{
	int code = sqlite3_open_v2(
		store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX, (const char *)NULL);

	if (code != SQLITE_OK)
		return err_set(err, store->db ? -store_errno(store, code) : ENOMEM,
			"cannot open database '%s': %s", store->path, sqlite3_errstr(code));
	(void)sqlite3_extended_result_codes(store->db, 1);
	(void)sqlite3_busy_timeout(store->db, BUSY_MS);
	store->synchronous = true;
	store->tree_columns = TREE_COLUMNS_SUM;
	return 0;
}

static int open_database(Store *store, GError **err)
{
	int r;

	r = connect_database(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
	if (r < 0)
		return r;
	(void)sqlite3_wal_hook(store->db, on_commit, store);
	/* secure_delete is on in Debian's sqlite, and writes every page that becomes free. */
	r = store_exec(store,
		"PRAGMA page_size = " G_STRINGIFY(
			PAGE_SIZE) ";"
				   "PRAGMA journal_mode = WAL;"
				   "PRAGMA synchronous = FULL;"
				   "PRAGMA secure_delete = FAST;"
				   "PRAGMA temp_store = MEMORY;"
				   "PRAGMA journal_size_limit = 16777216;",
		err);
	if (r == 0)
		r = store_check_quickly(store, err);
	if (r == 0)
		r = prepare_schema(store, err);
	if (r == 0)
		r = prepare_statements(store, err);
	return r < 0 ? r : read_scalars(store, err);
}

/* --- Setting aside ---------------------------------------------------------------------------- */

static int rename_away(const char *path, const char *kept, const char *suffix, GError **err)
{
	g_autofree char *from = g_strconcat(path, suffix, NULL);
	g_autofree char *to = g_strconcat(kept, suffix, NULL);

	if (rename(from, to) < 0 && errno != ENOENT)
		return err_set_errno(err, -errno, "cannot rename '%s' to '%s'", from, to);
	return 0;
}

/* A name that nothing has; owned by the caller. */
static char *name_for_damaged(const char *path)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%SZ");
	char *name = g_strdup_printf("%s.damaged-%s", path, stamp);
	struct stat st;

	for (unsigned i = 2; lstat(name, &st) == 0; i++) {
		g_free(name);
		name = g_strdup_printf("%s.damaged-%s-%u", path, stamp, i);
	}
	return name;
}

int store_set_aside(Store *store, const char *reason, GError **err)
{
	g_autofree char *kept = name_for_damaged(store->path);
	int r;

	/* Closing would copy the write-ahead log over the file that is to be kept as it is. */
	if (store->db) {
		(void)sqlite3_db_config(
			store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
		close_database(store);
	}
	r = rename_away(store->path, kept, "", err);
	if (r == 0)
		r = rename_away(store->path, kept, "-wal", err);
	if (r == 0)
		r = rename_away(store->path, kept, "-shm", err);
	if (r < 0)
		return r;

	log_err("Database '%s' is damaged (%s); what there is of it is kept as '%s', and an empty "
		"one takes its place",
		store->path, reason, kept);
	g_free(store->kept);
	store->kept = g_steal_pointer(&kept);
	return open_database(store, err);
}

/* --- Life ------------------------------------------------------------------------------------- */

int store_lock(const char *path, int *ret_fd, GError **err)
{
	/* Keeps nobody out of this process, but says who we are. */
	struct flock name_plate = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
	auto_close int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(err, -errno, "cannot open '%s'", lock_path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, EBUSY, "database '%s' is served by another process",
					 path)
			       : err_set_errno(err, -errno, "cannot lock '%s'", lock_path);
	(void)fcntl(fd, F_SETLK, &name_plate);
	*ret_fd = fd_steal(&fd);
	return 0;
}

pid_t store_holder(const char *path)
{
	struct flock name_plate = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
	auto_close int fd = open(lock_path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_GETLK, &name_plate) < 0 || name_plate.l_type == F_UNLCK)
		return 0;
	return MAX(name_plate.l_pid, 0);
}

/* Makes the file, or its mode, what it should be: sqlite gives its other files the same mode. */
static int prepare_file(const char *path, GError **err)
{
	auto_close int fd = -1;

	if (chmod(path, 0600) < 0 && errno != ENOENT)
		return err_set_errno(err, -errno, "cannot set the mode of database '%s'", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? err_set_errno(err, -errno, "cannot open database '%s'", path) : 0;
}

static int check_and_open(Store *store, bool existed, GError **err)
{
	int r;

	r = store_check_files(store->path, existed, err);
	if (r < 0)
		return r;
	r = prepare_file(store->path, err);
	return r < 0 ? r : open_database(store, err);
}

int store_open(const char *path, Store **ret, GError **err)
{
	g_autoptr(Store) store = g_new0(Store, 1);
	g_autoptr(GError) reason = NULL;
	struct stat st;
	bool existed;
	int r;

	store->path = g_strdup(path);
	store->lock_fd = -1;
	r = store_lock(path, &store->lock_fd, err);
	if (r < 0)
		return r;
	existed = fstat(store->lock_fd, &st) == 0 && st.st_size > 0;

	/* What cannot be read is as good as damaged; what may not be read is not. */
	r = check_and_open(store, existed, &reason);
	if (r == -EUCLEAN || r == -EIO)
		r = store_set_aside(store, reason->message, err);
	else if (r < 0)
		g_propagate_error(err, g_steal_pointer(&reason));
	if (r < 0)
		return r;
	if (!existed && file_write_all(store->lock_fd, MADE, strlen(MADE)) < 0)
		log_warning("Cannot write '%s.lock'", path);

	*ret = g_steal_pointer(&store);
	return 0;
}

int store_open_to_read(const char *path, Store **ret, GError **err)
{
	g_autoptr(Store) store = g_new0(Store, 1);
	int64_t version = 0;
	int r;

	store->path = g_strdup(path);
	store->lock_fd = -1;
	r = connect_database(store, SQLITE_OPEN_READONLY, err);
	if (r == 0)
		r = store_exec(store, "BEGIN", err);
	if (r < 0)
		return r;
	(void)read_scalars(store, NULL);
	if (store_query_number(store, "PRAGMA user_version", &version) == 0 && version == 0)
		store->tree_columns = TREE_COLUMNS;
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
	g_free(store->kept);
	g_free(store->path);
	g_free(store);
	return NULL;
}

const char *store_kept(const Store *store)
{
	return store->kept;
}

uint32_t store_node(const Store *store)
{
	return store->node;
}

bool store_trusted(const Store *store)
{
	return store->trusted;
}
