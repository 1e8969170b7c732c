/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A tree from a database as plain files below a directory.
 *
 * The rows may be those of a damaged database: what hangs on nothing, in a circle, or under a name
 * that cannot be, is found in lost+found under its number.  Nothing outside the directory is touched,
 * whatever the names are. */

#include <glib.h>

#include "cfs/replica.h"

typedef struct ExportCounts {
	unsigned n_files;
	unsigned n_directories;
	unsigned n_lost; /* In lost+found; counted above, too. */
} ExportCounts;

/* Writes the rows of batch (files 0600 with their times, directories 0700) below directory, which is
 * made, or empty (-ENOTEMPTY), and syncs them.  On errors the directory may hold a part. */
int export_tree(const ReplicaBatch *batch, const char *directory, ExportCounts *ret, GError **err);
