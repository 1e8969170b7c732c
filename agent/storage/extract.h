/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Templates unpacked into a container's root, in process, with libarchive.
 *
 * The archive is not trusted: unpacking happens in a forked child that has entered a user namespace
 * with the container's id map and changed its root to the target, so that ids come out right and no
 * entry can lead elsewhere.  The archive is opened before that, by the parent. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/idmap.h"

typedef struct ExtractOptions {
	const IdMap *idmap; /* Borrowed; of the container that the tree is for. */
	bool ignore_errors; /* Go on when an entry cannot be unpacked. */

	/* Called a few times a second with how much of the archive's file was read; NULL: none. */
	void (*progress)(uint64_t bytes_done, uint64_t bytes_total, void *data);

	/* Called with a sentence about an entry that could not be unpacked as it should; NULL:
	 * none. */
	void (*warn)(const char *message, void *data);

	void *data; /* Handed to progress and warn. */
} ExtractOptions;

/* Unpacks archive_path (tar, plain or compressed by gzip, bzip2, xz, zstd or lzop) into
 * rootfs_path.
 *
 * Entries below ./dev, and lost+found, are left out, and what exists already stays (except that directories get the
 * archive's attributes).  Owners, modes, times, ACLs, user.* and security.capability attributes,
 * hard links and holes are kept.  Names that lead upwards ("..") or through a link of the same
 * archive are refused.
 *
 * A truncated or broken archive, or a file that is none, is -EBADMSG with its name; a full disk is
 * -ENOSPC.  What was unpacked until then stays.  Must be called from a process with one thread. */
int extract_template(const char *archive_path, const char *rootfs_path,
	const ExtractOptions *options, GError **err);
