/* SPDX-License-Identifier: Apache-2.0 */

/* What can be wrong with a database, and how it is found out.
 *
 * sqlite checks its pages and what hangs on them, and its write-ahead log by checksums.  Two things it
 * takes for an empty database without a word, and would write over what is left: a file of (almost) no
 * length, and a write-ahead log whose head is damaged.
 *
 * A write-ahead log that is damaged further back cannot be told from one that a loss of power cut short:
 * it ends where its checksums do. */

#include "cfs/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "cfs/store_private.h"

/* The head of a write-ahead log, in 32-bit words: magic (its lowest bit: the checksum reads words as
 * big-endian), format, page size, number, two of salt, two of checksum over those before. */
#define WAL_HEAD_WORDS   8
#define FRAME_HEAD_WORDS 6
#define WAL_HEAD_SIZE    (WAL_HEAD_WORDS * sizeof(uint32_t))
#define WAL_MAGIC        0x377f0682U

/* Of any database; sqlite takes a shorter file for an empty one. */
#define PAGE_SIZE_MIN 512

/* --- Errors ----------------------------------------------------------------------------------- */

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

int store_query_number(Store *store, const char *sql, int64_t *ret)
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

/* --- Checks ----------------------------------------------------------------------------------- */

/* -EUCLEAN with sqlite's word when pages, rows and indexes do not fit together. */
static int check_pages(Store *store, const char *sql, GError **err)
{
	sqlite3_stmt *statement = NULL;
	const char *word;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
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

int store_check_quickly(Store *store, GError **err)
{
	return check_pages(store, "PRAGMA quick_check(1)", err);
}

/* A write-ahead log that was made longer and not written yet (store_write.c). */
static bool is_zero(const uint32_t *words, unsigned n_words)
{
	for (unsigned i = 0; i < n_words; i++)
		if (words[i] != 0)
			return false;
	return true;
}

static bool wal_head_is_valid(const uint32_t *head)
{
	uint32_t magic = GUINT32_FROM_BE(head[0]);
	uint32_t sum[2] = {0, 0};

	if ((magic & ~1U) != WAL_MAGIC)
		return false;
	for (unsigned i = 0; i < WAL_HEAD_WORDS - 2; i += 2) {
		sum[0] +=
			sum[1] + (magic & 1 ? GUINT32_FROM_BE(head[i]) : GUINT32_FROM_LE(head[i]));
		sum[1] += sum[0] +
			  (magic & 1 ? GUINT32_FROM_BE(head[i + 1]) : GUINT32_FROM_LE(head[i + 1]));
	}
	return sum[0] == GUINT32_FROM_BE(head[WAL_HEAD_WORDS - 2]) &&
	       sum[1] == GUINT32_FROM_BE(head[WAL_HEAD_WORDS - 1]);
}

/* The head is synced before anything is put behind it. */
static int check_wal(const char *wal_path, bool has_database, GError **err)
{
	uint32_t head[WAL_HEAD_WORDS + FRAME_HEAD_WORDS] = {0};
	auto_close int fd = open(wal_path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(err, -errno, "cannot read '%s'", wal_path);
	if (!has_database && st.st_size > 0)
		return err_set(err, EUCLEAN, "its write-ahead log is there, but the file is empty");
	if ((size_t)st.st_size <= WAL_HEAD_SIZE)
		return 0;
	if (read(fd, head, sizeof(head)) < (ssize_t)WAL_HEAD_SIZE)
		return err_set(err, EIO, "cannot read '%s'", wal_path);
	if (is_zero(head, G_N_ELEMENTS(head)))
		return 0;
	return wal_head_is_valid(head)
		       ? 0
		       : err_set(err, EUCLEAN, "the head of its write-ahead log is damaged");
}

int store_check_files(const char *path, bool existed, GError **err)
{
	g_autofree char *wal_path = g_strconcat(path, "-wal", NULL);
	struct stat st;
	bool has_database;
	int r;

	has_database = stat(path, &st) == 0 && st.st_size > 0;
	if (has_database && st.st_size < PAGE_SIZE_MIN)
		return err_set(err, EUCLEAN, "it is shorter than one page");
	r = check_wal(wal_path, has_database, err);
	if (r < 0)
		return r;
	return existed && !has_database ? err_set(err, EUCLEAN, "it is gone, or empty") : 0;
}

int store_check(Store *store, GError **err)
{
	int r = store_check_files(store->path, false, err);

	return r < 0 ? r : check_pages(store, "PRAGMA integrity_check(1)", err);
}
