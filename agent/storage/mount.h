/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Volumes of a container mounted below its root, in the caller's mount namespace.
 *
 * Images are attached to loop devices with autoclear, so that the device goes with its last mount
 * even when nobody lives to detach it.  Target paths below the root belong to the guest and are
 * walked without trusting its links (base/safepath.h). */

#include <stdbool.h>

#include <glib.h>

#include "agent/ct/config.h"
#include "agent/storage/storage.h"

/* Mounts rootfs and mp0, mp1, … of section on rootfs_path and below it, in that order.  read_write
 * overrides `ro` (while a container is being created).  root_uid and root_gid own directories that
 * have to be made.  On failure everything mounted by the call is unmounted again. */
int ct_mount_all(const StorageSet *set, const CtSection *section, const char *rootfs_path,
	bool read_write, unsigned root_uid, unsigned root_gid, GError **err);

/* Unmounts everything at and below rootfs_path, in reverse order.  0 when nothing is mounted. */
int ct_unmount_all(const char *rootfs_path, GError **err);
