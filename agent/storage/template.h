/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Templates of containers: archives on storages with content vztmpl. */

#include <glib.h>

#include "agent/storage/storage.h"

/* The file behind what a user calls a template: a volume id, or an absolute path on this node
 * (which only root may give).  *ret_path is owned by the caller.  -ENOENT with "no such template"
 * when there is no such file. */
int template_find(const StorageSet *set, const char *template, const char *node, char **ret_path,
	GError **err);

/* The volume id of a template given as volume id or as path into a storage; owned by the caller. */
int template_volid(const StorageSet *set, const char *template, char **ret_volid, GError **err);
