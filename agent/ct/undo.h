/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What has to be undone when a worker dies in the middle of its work.
 *
 * Before a job makes volumes for a container it notes which ones there are; while the note exists,
 * volumes of this container that are neither in it nor in the configuration belong to nobody.  The
 * note is a file on this node, removed as the very last step of the job.  Job `recover` reads it
 * (agent/ct/job_recover.c). */

#include <glib.h>

/* Kinds of work that leave a note. */
#define UNDO_CREATE  "create"
#define UNDO_DESTROY "destroy"
#define UNDO_SET     "set" /* Volumes for a container that exists. */

typedef struct Undo {
	char *kind;          /* One of the above. */
	char *upid;          /* Its task, NULL for a job that is none. */
	GPtrArray *storages; /* Where the job makes volumes: storage ids, char*. */
	GPtrArray *volumes;  /* What was there before: volume ids, char*. */
} Undo;

Undo *undo_new(const char *kind, const char *upid);
Undo *undo_free(Undo *undo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Undo, undo_free)

/* The text of a note and back; -EBADMSG for what undo_to_text() cannot have made.  Pure. */
char *undo_to_text(const Undo *undo);
int undo_from_text(const char *text, Undo **ret);

/* Reads, writes (to the disk, not only to a cache) and removes the note of container vmid.  -ENOENT
 * when there is none; removing none is no error. */
int undo_load(unsigned vmid, Undo **ret, GError **err);
int undo_save(unsigned vmid, const Undo *undo, GError **err);
int undo_remove(unsigned vmid, GError **err);

/* The containers with a note, as unsigned in an array owned by the caller. */
GArray *undo_list(void);
