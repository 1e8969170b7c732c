/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Mounts as descriptors (the kernel's mount API of 5.2 and later).
 *
 * A mount is made detached, with all its attributes, and only then put somewhere in one step.  So
 * there is no moment in which it is visible but still writable, and no path is looked up twice. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct MountOptions {
	uint64_t attributes; /* MOUNT_ATTR_… of the mount; MOUNT_ATTR_RDONLY also makes a file
				system that is mounted here first read-only. */
	const char *const *fs_options; /* NULL-terminated "key" or "key=value" for the file system;
					  bind mounts have none.  May be NULL. */
} MountOptions;

/* A detached mount of the file system of this type on a block device. */
int mountfd_new_fs(const char *device, const char *type, const MountOptions *options, int *ret_fd,
	GError **err);

/* A detached mount of the directory directory_fd (what is mounted below it is left out). */
int mountfd_new_bind(int directory_fd, const MountOptions *options, int *ret_fd, GError **err);

/* Puts the mount on top of the directory target_fd. */
int mountfd_attach(int mount_fd, int target_fd);

/* Takes an attached mount, and what was mounted on top of it, out of the caller's namespace. */
void mountfd_detach(int mount_fd);
