/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What atoll-cfs does with a database instead of serving it.  Each function says on stdout what it has
 * done; 0, or negative errno with reason. */

#include <glib.h>

#include "cfs/tree.h"

/* Makes database, which must not be there, of the config.db of pmxcfs at path: with its inode numbers,
 * versions, writers and times.  Nodes that take over the same content hold the same log.  Everything
 * that the tree cannot take is listed on stderr, and then nothing is made. */
int offline_import(const char *database, const char *path, const TreeLimits *limits, GError **err);

/* Writes the tree of database, served or not, damaged or not, as files below directory, which is made
 * or empty.  -EUCLEAN when something is missing; the rest has been written. */
int offline_export(const char *database, const char *directory, GError **err);

/* Checks pages, rows, log and tree. */
int offline_verify(const char *database, GError **err);

/* Lets this node vouch for what others rely on although its database is empty (replica.c, "Blank
 * members"). */
int offline_accept_loss(const char *database, GError **err);
