/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a type of storage has to offer; one file per type, backend_<type>.c.
 *
 * storage.c checks, before it calls a back-end: the storage exists, may be used on this node and
 * has the content type; the volume's name has a valid form.  It holds the storage's lock during
 * alloc and free.  Functions return negative errno with the reason. */

#include <stdbool.h>

#include <glib.h>

#include "agent/storage/storage.h"
#include "agent/storage/volname.h"

typedef struct StorageBackend {
	const char *type;

	/* 0 when volumes can be reached now; otherwise -ENOTCONN and why not. */
	int (*check_online)(const Storage *storage, GError **err);

	/* Space, of a storage that is online. */
	int (*space)(const Storage *storage, StorageStatus *ret, GError **err);

	/* Where the volume is, or would be, on this host; owned by the caller. */
	char *(*path_dup)(const Storage *storage, const VolumeName *name);

	/* As volume_open(). */
	int (*open)(const Storage *storage, const VolumeName *name, int flags, int *ret_fd,
		GError **err);

	/* As volume_alloc(); *ret_name is the part after the colon. */
	int (*alloc)(const Storage *storage, const VolumeSpec *spec, char **ret_name, GError **err);

	/* As volume_free(). */
	int (*free)(const Storage *storage, const VolumeName *name, GError **err);

	/* Appends VolumeInfo*; content and vmid as in storage_list(), content never 0. */
	int (*list)(const Storage *storage, unsigned content, unsigned vmid, GPtrArray *volumes,
		GError **err);
} StorageBackend;

extern const StorageBackend backend_dir;

/* What a volume's name says, for back-ends that list; size_bytes and ctime_s are left 0. */
VolumeInfo *volume_info_new(const Storage *storage, const VolumeName *name);
