/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/export.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "cfs/op.h"
#include "cfs/tree.h"

/* A path has no more components than this. */
#define DEPTH_MAX (OP_PATH_MAX / 2)

#define LOST_AND_FOUND "lost+found"

typedef struct Export {
	GHashTable *rows; /* Inode -> const ReplicaRow. */
	const char *directory;
	int root_fd;
	int lost_fd; /* -1: not made yet. */
	ExportCounts counts;
} Export;

static int open_directory_at(int parent_fd, const char *name)
{
	return RET_ERRNO(openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/* Makes the directory unless it is there, and opens it. */
static int make_directory_at(int parent_fd, const char *name)
{
	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	return open_directory_at(parent_fd, name);
}

static int write_file_at(int parent_fd, const char *name, const ReplicaRow *row)
{
	const struct timespec times[2] = {{.tv_sec = row->mtime_s}, {.tv_sec = row->mtime_s}};
	auto_close int fd = -1;
	gsize size;
	const void *data = g_bytes_get_data(row->data, &size);
	int r;

	fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, data, size);
	if (r < 0)
		return r;
	return RET_ERRNO(futimens(fd, times));
}

static const ReplicaRow *find_row(const Export *export, uint64_t inode)
{
	return g_hash_table_lookup(export->rows, &inode);
}

/* The directories above a row, lowest first; NULL when they do not lead to the root. */
static GPtrArray *find_parents(const Export *export, const ReplicaRow *row)
{
	g_autoptr(GPtrArray) parents = g_ptr_array_new();

	while (row->parent != TREE_ROOT_INODE) {
		row = find_row(export, row->parent);
		if (!row || !row->directory || op_check_name(row->name) < 0 ||
			parents->len >= DEPTH_MAX)
			return NULL;
		g_ptr_array_add(parents, (gpointer)row);
	}
	return g_steal_pointer(&parents);
}

/* Opens the directory that the row belongs in; -ENOENT when there is none. */
static int open_parent(const Export *export, const ReplicaRow *row)
{
	g_autoptr(GPtrArray) parents = find_parents(export, row);
	int fd = open_directory_at(export->root_fd, ".");

	if (!parents || op_check_name(row->name) < 0) {
		fd_clear(&fd);
		return -ENOENT;
	}
	for (guint i = parents->len; i > 0 && fd >= 0; i--) {
		const ReplicaRow *parent = g_ptr_array_index(parents, i - 1);
		int next_fd = make_directory_at(fd, parent->name);

		fd_clear(&fd);
		fd = next_fd;
	}
	return fd;
}

static int put(int parent_fd, const char *name, const ReplicaRow *row)
{
	auto_close int fd = -1;

	if (!row->directory)
		return write_file_at(parent_fd, name, row);
	fd = make_directory_at(parent_fd, name);
	return MIN(fd, 0);
}

static int put_lost(Export *export, const ReplicaRow *row)
{
	g_autofree char *name = g_strdup_printf("%" G_GUINT64_FORMAT, row->inode);

	if (export->lost_fd < 0)
		export->lost_fd = make_directory_at(export->root_fd, LOST_AND_FOUND);
	if (export->lost_fd < 0)
		return export->lost_fd;
	export->counts.n_lost++;
	return put(export->lost_fd, name, row);
}

static int put_row(Export *export, const ReplicaRow *row)
{
	auto_close int parent_fd = open_parent(export, row);
	int r = parent_fd;

	if (r >= 0)
		r = put(parent_fd, row->name, row);
	/* No place, or somebody else is there. */
	if (r == -ENOENT || r == -EEXIST || r == -ENOTDIR)
		r = put_lost(export, row);
	if (r < 0)
		return r;
	export->counts.n_directories += row->directory;
	export->counts.n_files += !row->directory;
	return 0;
}

static int put_rows(Export *export, const ReplicaBatch *batch, GError **err)
{
	int r;

	for (guint i = 0; i < batch->rows->len; i++) {
		ReplicaRow *row = g_ptr_array_index(batch->rows, i);

		g_hash_table_insert(export->rows, &row->inode, row);
	}
	for (guint i = 0; i < batch->rows->len; i++) {
		const ReplicaRow *row = g_ptr_array_index(batch->rows, i);

		r = put_row(export, row);
		if (r < 0)
			return err_set_errno(err, r, "cannot write entry '%s' below '%s'",
				row->name, export->directory);
	}
	return 0;
}

static bool is_empty(int fd)
{
	DIR *directory = fdopendir(open_directory_at(fd, "."));
	const struct dirent *entry;
	unsigned n = 0;

	while (directory && (entry = readdir(directory)))
		n++;
	if (directory)
		(void)closedir(directory);
	return n == 2; /* "." and "..". */
}

int export_tree(const ReplicaBatch *batch, const char *directory, ExportCounts *ret, GError **err)
{
	g_autoptr(GHashTable) rows = g_hash_table_new(g_int64_hash, g_int64_equal);
	auto_close int root_fd = -1;
	auto_close int lost_fd = -1;
	Export export = {.rows = rows, .directory = directory, .lost_fd = -1};
	int r;

	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, -errno, "cannot make directory '%s'", directory);
	root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return err_set_errno(err, -errno, "cannot open directory '%s'", directory);
	if (!is_empty(root_fd))
		return err_set(err, ENOTEMPTY, "directory '%s' is not empty", directory);

	export.root_fd = root_fd;
	r = put_rows(&export, batch, err);
	lost_fd = export.lost_fd;
	if (r < 0)
		return r;
	if (syncfs(root_fd) < 0)
		return err_set_errno(err, -errno, "cannot write '%s' to the disk", directory);
	*ret = export.counts;
	return 0;
}
