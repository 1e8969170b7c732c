/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/loopdev.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/macro.h"

/* The free device that the kernel names may be taken by another process before we configure it, as
 * often as there are others; this many are not at work. */
#define ATTACH_TRIES 256

static int device_open(const char *path, bool read_only)
{
	return RET_ERRNO(open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
}

/* Opens the loop device called name if image is attached to it; -ENOENT if not. */
static int device_open_if(
	const char *name, const struct stat *image, bool read_only, int *ret_fd, char **ret_path)
{
	g_autofree char *attached = g_strdup_printf("/sys/block/%s/loop", name);
	g_autofree char *path = g_strdup_printf("/dev/%s", name);
	struct loop_info64 info;
	auto_close int fd = -1;

	/* Only devices in use have this directory; opening the others would be for nothing. */
	if (access(attached, F_OK) < 0)
		return -ENOENT;
	/* Asked through the descriptor that is returned, because while it is open the device
	 * cannot be given to another file. */
	fd = device_open(path, true);
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return -ENOENT;
	if (info.lo_device != image->st_dev || info.lo_inode != image->st_ino)
		return -ENOENT;
	if (!read_only && info.lo_flags & LO_FLAGS_READ_ONLY)
		return -EROFS;

	*ret_fd = fd_steal(&fd);
	*ret_path = g_steal_pointer(&path);
	return 0;
}

/* -ENOENT when image is attached to no device. */
static int loop_find(const struct stat *image, bool read_only, int *ret_fd, char **ret_path)
{
	const struct dirent *entry;
	DIR *directory;
	int r = -ENOENT;

	directory = opendir("/sys/block");
	if (!directory)
		return -errno;
	while (r == -ENOENT && (entry = readdir(directory)))
		if (g_str_has_prefix(entry->d_name, "loop"))
			r = device_open_if(entry->d_name, image, read_only, ret_fd, ret_path);
	(void)closedir(directory);
	return r;
}

static int loop_configure(int device_fd, int image_fd, bool read_only)
{
	struct loop_config config = {
		.fd = (uint32_t)image_fd,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0),
	};

	return RET_ERRNO(ioctl(device_fd, LOOP_CONFIGURE, &config));
}

int loop_attach(int image_fd, bool read_only, int *ret_fd, char **ret_path, GError **err)
{
	auto_close int control_fd = -1;
	struct stat st;
	int r;

	assert(image_fd >= 0);
	assert(ret_fd);
	assert(ret_path);

	if (fstat(image_fd, &st) < 0)
		return err_set_errno(err, -errno, "cannot read the image's attributes");
	r = loop_find(&st, read_only, ret_fd, ret_path);
	if (r == 0)
		return 0;
	if (r == -EROFS)
		return err_set(err, EROFS, "the image is in use, read-only");
	if (r != -ENOENT)
		return err_set_errno(err, r, "cannot look for loop devices");

	control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		return err_set_errno(err, -errno, "cannot open '/dev/loop-control'");
	for (unsigned i = 0; i < ATTACH_TRIES; i++) {
		g_autofree char *path = NULL;
		auto_close int fd = -1;
		int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

		if (number < 0)
			return err_set_errno(err, -errno, "no free loop device");
		path = g_strdup_printf("/dev/loop%d", number);
		fd = device_open(path, read_only);
		if (fd < 0)
			return err_set_errno(err, fd, "cannot open '%s'", path);
		r = loop_configure(fd, image_fd, read_only);
		if (r == -EBUSY)
			continue;
		if (r < 0)
			return err_set_errno(err, r, "cannot attach the image to '%s'", path);

		*ret_fd = fd_steal(&fd);
		*ret_path = g_steal_pointer(&path);
		return 0;
	}
	return err_set(err, EBUSY, "no free loop device after %u attempts", ATTACH_TRIES);
}
