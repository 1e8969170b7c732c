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
	void (*progress)(uint64_t bytes_done, uint64_t bytes_total, void *data); /* NULL: none. */
	void *data;
} ExtractOptions;

/* Unpacks archive_path (tar, plain or compressed by anything that libarchive knows) into
 * rootfs_path.
 * ./dev/ entries are left out; owners, modes, times, ACLs, user.* and security.capability
 * attributes, hard links and sparse files are kept.  A truncated or broken archive is -EBADMSG with
 * its name. */
int extract_template(const char *archive_path, const char *rootfs_path,
	const ExtractOptions *options, GError **err);
