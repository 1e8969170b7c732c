/* SPDX-License-Identifier: Apache-2.0 */

/* A FUSE file system as plain as libfuse makes them: the files of another directory, through the
 * high-level interface with several threads, nothing cached by the kernel.  What tests/bench/cfs
 * compares reading with.
 *
 *	plainfs DIRECTORY MOUNTPOINT */

#define FUSE_USE_VERSION 31

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fuse.h>

#include "base/macro.h"

static int result(int r)
{
	return r < 0 ? -errno : r;
}

static int directory_fd;

/* Paths of the file system begin with '/'; the process is in the directory itself. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static void *plain_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	/* Here, as libfuse has gone to the root, also when it stays in the foreground. */
	if (fchdir(directory_fd) < 0) {
		perror("fchdir");
		exit(EXIT_FAILURE);
	}
	config->use_ino = 1;
	config->entry_timeout = 0;
	config->attr_timeout = 0;
	config->negative_timeout = 0;
	return NULL;
}

static int plain_getattr(const char *path, struct stat *ret, struct fuse_file_info *info)
{
	return result(lstat(below(path), ret));
}

static int plain_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
	struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
	DIR *directory = opendir(below(path));
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		struct stat st = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};

		if (fill(buffer, entry->d_name, &st, 0, 0))
			break;
	}
	(void)closedir(directory);
	return 0;
}

static int open_file(const char *path, mode_t mode, struct fuse_file_info *info)
{
	int fd = open(below(path), info->flags | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	info->fh = (uint64_t)fd;
	return 0;
}

static int plain_open(const char *path, struct fuse_file_info *info)
{
	return open_file(path, 0, info);
}

static int plain_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
	return open_file(path, mode, info);
}

static int plain_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
	return result(truncate(below(path), size));
}

static int plain_read(
	const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
	return result((int)pread((int)info->fh, buffer, size, offset));
}

static int plain_write(const char *path, const char *buffer, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	return result((int)pwrite((int)info->fh, buffer, size, offset));
}

static int plain_release(const char *path, struct fuse_file_info *info)
{
	return result(close((int)info->fh));
}

static const struct fuse_operations operations = {
	.init = plain_init,
	.getattr = plain_getattr,
	.readdir = plain_readdir,
	.open = plain_open,
	.create = plain_create,
	.truncate = plain_truncate,
	.read = plain_read,
	.write = plain_write,
	.release = plain_release,
};

int main(int argc, char **argv)
{
	char foreground[] = "-f";
	char *arguments[] = {argv[0], foreground, argc == 3 ? argv[2] : NULL, NULL};

	if (argc != 3) {
		(void)fprintf(stderr, "usage: plainfs DIRECTORY MOUNTPOINT\n");
		return EXIT_FAILURE;
	}
	directory_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	return fuse_main(3, arguments, &operations, NULL);
}
