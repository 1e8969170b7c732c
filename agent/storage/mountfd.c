/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/mountfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/err.h"
#include "base/macro.h"

/* Mounts stacked by others on one of ours that mountfd_detach() removes before it gives up. */
#define STACKED_MAX 64

/* What the kernel has to say about a failed mount, as ": text"; owned by the caller. */
static char *kernel_message_dup(int fs_fd)
{
	char message[512];
	ssize_t n = read(fs_fd, message, sizeof(message) - 1);

	if (n <= 2)
		return g_strdup("");
	message[n] = '\0';
	/* Two characters of severity come first. */
	return g_strdup_printf(": %s", g_strstrip(message + 2));
}

static int fs_set_option(int fs_fd, const char *option)
{
	const char *equals = strchr(option, '=');
	g_autofree char *key = equals ? g_strndup(option, equals - option) : NULL;

	return RET_ERRNO(equals ? fsconfig(fs_fd, FSCONFIG_SET_STRING, key, equals + 1, 0)
				: fsconfig(fs_fd, FSCONFIG_SET_FLAG, option, NULL, 0));
}

static int fs_configure(int fs_fd, const char *device, const MountOptions *options, GError **err)
{
	int r;

	r = RET_ERRNO(fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", device, 0));
	if (r >= 0 && options->attributes & MOUNT_ATTR_RDONLY)
		r = fs_set_option(fs_fd, "ro");
	for (unsigned i = 0; r >= 0 && options->fs_options && options->fs_options[i]; i++) {
		r = fs_set_option(fs_fd, options->fs_options[i]);
		if (r < 0)
			return err_set_errno(err, r, "mount option '%s' for '%s'",
				options->fs_options[i], device);
	}
	if (r >= 0)
		r = RET_ERRNO(fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	if (r < 0) {
		g_autofree char *message = kernel_message_dup(fs_fd);

		return err_set_errno(err, r, "cannot mount '%s'%s", device, message);
	}
	return 0;
}

int mountfd_new_fs(const char *device, const char *type, const MountOptions *options, int *ret_fd,
	GError **err)
{
	auto_close int fs_fd = -1;
	int fd, r;

	assert(device);
	assert(type);
	assert(options);
	assert(ret_fd);

	fs_fd = fsopen(type, FSOPEN_CLOEXEC);
	if (fs_fd < 0)
		return err_set_errno(err, -errno, "cannot mount file systems of type %s", type);
	r = fs_configure(fs_fd, device, options, err);
	if (r < 0)
		return r;
	fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned)options->attributes);
	if (fd < 0)
		return err_set_errno(err, -errno, "cannot mount '%s'", device);
	*ret_fd = fd;
	return 0;
}

int mountfd_new_bind(int directory_fd, const MountOptions *options, int *ret_fd, GError **err)
{
	struct mount_attr attr = {
		.attr_set = options->attributes,
		/* The copy of a shared mount would be shared, and what happens in the container's
		 * namespace would come back to the host's. */
		.propagation = MS_PRIVATE,
	};
	auto_close int fd = -1;

	assert(directory_fd >= 0);
	assert(ret_fd);

	/* The kernel sets an access time mode only together with clearing the old one. */
	if (attr.attr_set & MOUNT_ATTR_NOATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	fd = open_tree(directory_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (fd < 0)
		return err_set_errno(err, -errno, "cannot copy the mount of the directory");
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set_errno(err, -errno, "cannot set the attributes of the mount");
	*ret_fd = fd_steal(&fd);
	return 0;
}

int mountfd_attach(int mount_fd, int target_fd)
{
	assert(mount_fd >= 0);
	assert(target_fd >= 0);

	return RET_ERRNO(move_mount(
		mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

void mountfd_detach(int mount_fd)
{
	char path[sizeof("/proc/self/fd/") + 11];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", mount_fd);
	/* umount2() takes what is on top; ours is gone once it says that there is no mount. */
	for (unsigned i = 0; i < STACKED_MAX; i++)
		if (umount2(path, MNT_DETACH) < 0)
			return;
}
