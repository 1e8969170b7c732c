/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Taking a container's traces off this node: after a create that failed, for a destroy, and for
 * either of them when its worker died half-way.  All functions can be repeated after a failure and
 * go on where it happened; the caller holds the container's file lock. */

#include <glib.h>

#include "agent/ct/config.h"
#include "agent/ct/undo.h"
#include "agent/job.h"

/* Undoes what the note of container vmid says, if there is one: who wrote it held the file lock that
 * the caller holds now, and is therefore dead.  Jobs that leave notes begin with this.  upid (NULL:
 * any): only if the note is of this task. */
int cleanup_dead(Job *job, unsigned vmid, const char *upid, GError **err);

/* Notes on the disk what volumes container vmid has on the given storages (ids, char*), before the
 * job makes more; kind (UNDO_…) says what for.  What a dead worker left is undone first.  *ret is
 * owned by the caller. */
int cleanup_prepare(Job *job, unsigned vmid, const char *kind, const GPtrArray *storages,
	Undo **ret, GError **err);

/* Undoes a create: frees the volumes that came after the note was taken, removes the configuration
 * (it must still be under construction: `lock: create`), LXC's directory and the note. */
int cleanup_create(Job *job, unsigned vmid, const Undo *undo, GError **err);

/* Undoes a change that was to add volumes: frees those that came after the note was taken and that
 * the configuration does not name, and removes the note. */
int cleanup_set(Job *job, unsigned vmid, const Undo *undo, GError **err);

/* Finishes a destroy: frees all volumes that the configuration names and that are the container's
 * own, removes the configuration, everything else about the container, and the note.  A volume that
 * cannot be freed is an error and leaves the configuration. */
int cleanup_destroy(Job *job, unsigned vmid, CtConfig *config, GError **err);
