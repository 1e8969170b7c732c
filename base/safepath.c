/* SPDX-License-Identifier: Apache-2.0 */
#include "base/safepath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fileutil.h"
#include "base/macro.h"

/* Attempts to find a free temporary name, before something is clearly wrong. */
#define TEMPORARY_TRIES 100

static int open_in_root(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};
	int fd;

	assert(root_fd >= 0);
	assert(path);

	/* A guest's file may be a terminal.  With O_PATH nothing is opened, and openat2() wants no
	 * more. */
	if (!(flags & O_PATH))
		how.flags |= O_NOCTTY;

	/* -EAGAIN: a rename elsewhere raced with "..", which the kernel cannot rule out
	 * (openat2(2)). */
	do
		fd = (int)syscall(SYS_openat2, root_fd, *path ? path : "/", &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));

	return RET_ERRNO(fd);
}

int safepath_open_root(const char *path)
{
	assert(path);

	return RET_ERRNO(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

int safepath_open(int root_fd, const char *path, int flags, mode_t mode)
{
	return open_in_root(root_fd, path, flags, mode, 0);
}

int safepath_open_nofollow(int root_fd, const char *path, int flags, mode_t mode)
{
	return open_in_root(root_fd, path, flags, mode, RESOLVE_NO_SYMLINKS);
}

int safepath_open_parent(int root_fd, const char *path, const char **ret_name)
{
	g_autofree char *directory = NULL;
	const char *slash, *name;
	int fd;

	assert(path && ret_name);

	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (!*name || str_equal(name, ".") || str_equal(name, ".."))
		return -EINVAL;

	directory = g_strndup(path, (gsize)(name - path));
	fd = safepath_open(root_fd, directory, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;

	*ret_name = name;
	return fd;
}

int safepath_stat(int root_fd, const char *path, struct stat *ret_st)
{
	auto_close int fd = safepath_open(root_fd, path, O_PATH, 0);

	if (fd < 0)
		return fd;

	return RET_ERRNO(fstat(fd, ret_st));
}

bool safepath_exists(int root_fd, const char *path)
{
	auto_close int fd = safepath_open(root_fd, path, O_PATH, 0);

	return fd >= 0;
}

static int mkdir_step(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	auto_close int parent_fd = -1;
	struct stat st;
	const char *name;
	int r;

	r = safepath_stat(root_fd, path, &st);
	if (r == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (r != -ENOENT)
		return r;

	parent_fd = safepath_open_parent(root_fd, path, &name);
	if (parent_fd < 0)
		return parent_fd;
	if (mkdirat(parent_fd, name, mode) < 0)
		return -errno;

	if (fchownat(parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

int safepath_mkdir_all(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	g_auto(GStrv) parts = NULL;
	g_autoptr(GString) so_far = g_string_new(NULL);

	assert(path);

	parts = g_strsplit(path, "/", -1);
	for (char **part = parts; *part; part++) {
		int r;

		if (!**part)
			continue;
		g_string_append_printf(so_far, "/%s", *part);
		r = mkdir_step(root_fd, so_far->str, mode, uid, gid);
		if (r < 0)
			return r;
	}

	return 0;
}

static int check_regular(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return 0;
	return S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL;
}

int safepath_read(int root_fd, const char *path, size_t size_max, char **ret, size_t *ret_size)
{
	auto_close int fd = -1;
	struct stat st;
	int r;

	/* Looked at before it is opened: opening a device alone may do something, and the guest may
	 * have made a node of any. */
	r = safepath_stat(root_fd, path, &st);
	if (r == 0)
		r = check_regular(&st);
	if (r < 0)
		return r;

	/* Another file may be there by now.  O_NONBLOCK: opening a FIFO must not hang. */
	fd = safepath_open(root_fd, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = check_regular(&st);
	if (r < 0)
		return r;

	return file_read_fd(fd, size_max, ret, ret_size);
}

static char *temporary_name(const char *name)
{
	return g_strdup_printf(".%.200s.%08x.tmp", name, g_random_int());
}

static int temporary_open(int parent_fd, const char *name, char **ret_temporary)
{
	for (unsigned i = 0; i < TEMPORARY_TRIES; i++) {
		g_autofree char *temporary = temporary_name(name);
		int fd = openat(parent_fd, temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd >= 0) {
			*ret_temporary = g_steal_pointer(&temporary);
			return fd;
		}
		if (errno != EEXIST)
			return -errno;
	}

	return -EEXIST;
}

static int write_and_rename(int fd, int parent_fd, const char *temporary, const char *name,
	const char *content, size_t size, const struct stat *st)
{
	int r = file_write_all(fd, content, size);

	if (r == 0 && fchown(fd, st->st_uid, st->st_gid) < 0)
		r = -errno;
	/* After the owner, as changing that clears set-id bits. */
	if (r == 0 && fchmod(fd, st->st_mode & 07777) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(parent_fd, temporary, parent_fd, name) < 0)
		r = -errno;
	return r;
}

int safepath_replace(int root_fd, const char *path, const char *content, size_t size, mode_t mode,
	uid_t uid, gid_t gid)
{
	g_autofree char *temporary = NULL;
	auto_close int parent_fd = -1;
	auto_close int fd = -1;
	struct stat st;
	const char *name;
	int r;

	assert(content);

	parent_fd = safepath_open_parent(root_fd, path, &name);
	if (parent_fd < 0)
		return parent_fd;

	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		st = (struct stat){.st_mode = 0644};
	if (mode)
		st.st_mode = mode;
	if (uid != (uid_t)-1)
		st.st_uid = uid;
	if (gid != (gid_t)-1)
		st.st_gid = gid;

	fd = temporary_open(parent_fd, name, &temporary);
	if (fd < 0)
		return fd;
	r = write_and_rename(fd, parent_fd, temporary, name, content, size, &st);
	if (r < 0)
		(void)unlinkat(parent_fd, temporary, 0);
	return r;
}

int safepath_unlink(int root_fd, const char *path)
{
	auto_close int parent_fd = -1;
	const char *name;

	parent_fd = safepath_open_parent(root_fd, path, &name);
	if (parent_fd < 0)
		return (parent_fd == -ENOENT) ? 0 : parent_fd;
	if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int safepath_symlink(int root_fd, const char *target, const char *path, uid_t uid, gid_t gid)
{
	g_autofree char *temporary = NULL;
	auto_close int parent_fd = -1;
	const char *name;
	int r = 0;

	assert(target);

	parent_fd = safepath_open_parent(root_fd, path, &name);
	if (parent_fd < 0)
		return parent_fd;

	temporary = temporary_name(name);
	if (symlinkat(target, parent_fd, temporary) < 0)
		return -errno;
	if (fchownat(parent_fd, temporary, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && renameat(parent_fd, temporary, parent_fd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(parent_fd, temporary, 0);
	return r;
}
