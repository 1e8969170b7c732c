/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's files as set-up reads and writes them: base/safepath.h, plus the rules that hold for
 * every file of a guest:
 *
 *  - what has a `.pve-ignore.NAME` beside it is neither written nor removed, and that is success;
 *  - a file that has the wanted text already is not written again;
 *  - what is written belongs to the container's root. */

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#include "agent/guest/marked.h"

/* Larger files of a guest are not text that we would edit. */
#define GUEST_FILE_SIZE_MAX (1024 * 1024)

typedef struct GuestRoot {
	int fd;    /* Of the root directory, borrowed. */
	uid_t uid; /* Host ids of the container's root. */
	gid_t gid;
} GuestRoot;

/* *ret is the text, owned by the caller, or NULL when there is no such file. */
int guest_root_read(const GuestRoot *root, const char *path, char **ret, GError **err);

/* Replaces or makes a file, and the directories above it.  mode 0: as it was, else 0644. */
int guest_root_write(
	const GuestRoot *root, const char *path, const char *text, mode_t mode, GError **err);

/* The same for a file whose owner stays. */
int guest_root_edit(const GuestRoot *root, const char *path, const char *text, GError **err);

/* Puts text into the marked section of a file; mode is that of a new file. */
int guest_root_modify(const GuestRoot *root, const char *path, const char *text, MarkedPlace place,
	mode_t mode, GError **err);

/* The same for a file that is removed when nothing is left in it. */
int guest_root_modify_or_remove(
	const GuestRoot *root, const char *path, const char *text, MarkedPlace place, GError **err);

/* Removes a file or link, if it is there. */
int guest_root_remove(const GuestRoot *root, const char *path, GError **err);

/* Makes path a link to target, unless it is one. */
int guest_root_link(const GuestRoot *root, const char *path, const char *target, GError **err);

int guest_root_mkdir(const GuestRoot *root, const char *path, mode_t mode, GError **err);

/* What is there; links are followed inside of the root, except by the last two. */
bool guest_root_has_file(const GuestRoot *root, const char *path);
bool guest_root_has_directory(const GuestRoot *root, const char *path);
bool guest_root_has_executable(const GuestRoot *root, const char *path);
bool guest_root_is_link(const GuestRoot *root, const char *path);
char *guest_root_dup_link(const GuestRoot *root, const char *path); /* NULL: no link. */

/* Whether both paths lead to the same file. */
bool guest_root_is_same(const GuestRoot *root, const char *a, const char *b);

/* Sorted names of a directory's entries (char*), owned by the caller; empty when it is not there.
 */
int guest_root_list(const GuestRoot *root, const char *path, GPtrArray **ret, GError **err);
