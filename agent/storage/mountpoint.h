/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Places in a guest's tree where something is mounted.
 *
 * The guest can write there, while it runs even at this moment.  Paths are walked one component at
 * a time without following links; after mounting the path is walked again, and unless it leads to
 * the very mount that we made, the mount is taken away. */

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

/* Opens (O_PATH) the directory path below root_fd.  No component may be a symbolic link or "..".
 * Missing directories are made with mode 0755 and owned by uid and gid when make is set. */
int mountpoint_open(
	int root_fd, const char *path, bool make, uid_t uid, gid_t gid, int *ret_fd, GError **err);

typedef struct MountPlace {
	int root_fd;      /* Borrowed; the guest's root. */
	const char *path; /* As the guest sees it. */
	uid_t root_uid;   /* Host ids that own directories that have to be made. */
	gid_t root_gid;
	bool read_only;       /* Whether the mount must turn out read-only. */
	bool keep_attributes; /* Give the mounted directory owner and mode of the one it covers. */

	/* Called with "pre-mount" before and "post-mount" after mounting, before the check, with
	 * step_data; NULL in production.  Tests interfere here as a guest would. */
	void (*step)(const char *name, void *data);
	void *step_data;
} MountPlace;

/* Puts the detached mount mount_fd (agent/storage/mountfd.h) on its place.  On failure it is not
 * mounted. */
int mountpoint_mount(int mount_fd, const MountPlace *place, GError **err);
