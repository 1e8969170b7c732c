/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fileutil.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/macro.h"

/* How often a taken lock is tried again: flock() cannot wait for a limited time. */
#define LOCK_RETRY_US 20000

/* Bound for the recursion of file_remove_tree(), as each level holds a descriptor.  What is deeper
 * is moved up: nobody may make a tree that cannot be removed. */
#define TREE_DEPTH_MAX 512

int file_read(const char *path, size_t size_max, char **ret, size_t *ret_size)
{
	auto_close int fd = -1;

	assert(path && ret);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	return file_read_fd(fd, size_max, ret, ret_size);
}

int file_read_fd(int fd, size_t size_max, char **ret, size_t *ret_size)
{
	g_autoptr(GByteArray) content = g_byte_array_new();
	uint8_t buffer[16384];

	assert(fd >= 0 && ret);

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (content->len + (size_t)n > size_max)
			return -EFBIG;
		g_byte_array_append(content, buffer, (guint)n);
	}

	if (ret_size)
		*ret_size = content->len;
	g_byte_array_append(content, (const uint8_t *)"", 1);
	*ret = (char *)g_byte_array_free(g_steal_pointer(&content), FALSE);
	return 0;
}

int file_write_all(int fd, const void *data, size_t size)
{
	const char *bytes = data;

	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= (size_t)n;
	}

	return 0;
}

int file_replace(const char *path, const char *content, size_t size, mode_t mode)
{
	g_autofree char *temporary = NULL;
	g_autofree char *directory = NULL;
	auto_close int fd = -1;
	auto_close int directory_fd = -1;
	int r;

	assert(path && content);

	temporary = g_strdup_printf("%s.tmp.%d", path, (int)getpid());
	directory = g_path_get_dirname(path);

	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0)
		return -errno;

	/* A leftover of a process that had our pid and died. */
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;

	r = file_write_all(fd, content, size);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}

	return RET_ERRNO(fsync(directory_fd));
}

int file_mkdir_all(const char *path, mode_t mode)
{
	assert(path);

	return RET_ERRNO(g_mkdir_with_parents(path, (int)mode));
}

/* A tree that is being removed. */
struct removal {
	int top_fd;       /* Its root. */
	unsigned n_moved; /* Directories that were too deep and have been moved to the root. */
};

/* Moves a directory to the root of the tree, where its depth counts from the beginning. */
static int move_up(struct removal *removal, int parent_fd, const char *name)
{
	char moved[32];
	int r;

	do {
		(void)snprintf(moved, sizeof(moved), ".moved-%u", removal->n_moved++);
		r = RET_ERRNO(renameat2(parent_fd, name, removal->top_fd, moved, RENAME_NOREPLACE));
	} while (r == -EEXIST);
	return r;
}

static int remove_below(struct removal *removal, int parent_fd, const char *name, unsigned depth)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	unsigned n_moved;
	struct dirent *entry;
	DIR *directory;
	int fd, r = 0;

	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth == TREE_DEPTH_MAX)
		return move_up(removal, parent_fd, name);

	fd = (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		(void)close(fd);
		return r;
	}

	if (depth == 0)
		removal->top_fd = fd;
	do {
		n_moved = removal->n_moved;
		rewinddir(directory);
		while (r == 0 && (errno = 0, entry = readdir(directory)))
			if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
				r = remove_below(removal, fd, entry->d_name, depth + 1);
		if (r == 0 && errno)
			r = -errno;
	} while (r == 0 && depth == 0 && removal->n_moved > n_moved);
	(void)closedir(directory);

	if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int file_remove_tree(const char *path)
{
	struct removal removal = {.top_fd = -1};
	g_autofree char *directory = NULL;
	g_autofree char *name = NULL;
	auto_close int fd = -1;

	assert(path);

	directory = g_path_get_dirname(path);
	name = g_path_get_basename(path);
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return (errno == ENOENT) ? 0 : -errno;

	return remove_below(&removal, fd, name, 0);
}

int file_lock(const char *path, unsigned timeout_ms, int *ret_fd, GError **err)
{
	int64_t deadline_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
	auto_close int fd = -1;

	assert(path && ret_fd);

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(err, -errno, "can't open lock file '%s'", path);

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set_errno(err, -errno, "can't lock file '%s'", path);
		if (g_get_monotonic_time() >= deadline_us)
			return err_set(err, ETIMEDOUT, "can't lock file '%s' - got timeout", path);
		g_usleep(LOCK_RETRY_US);
	}

	*ret_fd = fd_steal(&fd);
	return 0;
}
