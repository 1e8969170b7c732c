/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files below a root that a guest controls.
 *
 * A guest may put symbolic links, magic links or mounts anywhere below its root.  Every function
 * here walks with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) from a descriptor of that root,
 * so that a link can at most lead elsewhere inside the root, never to the host.  Paths are written
 * as the guest sees them ("/etc/hostname" or "etc/hostname").  Functions return negative errno and
 * never log. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <glib.h>

/* Opens the root directory itself; path is the host's and trusted. */
int safepath_open_root(const char *path);

/* Like open(2), O_CLOEXEC added; symbolic links are followed inside the root. */
int safepath_open(int root_fd, const char *path, int flags, mode_t mode);

/* The same, but no component may be a symbolic link (-ELOOP). */
int safepath_open_nofollow(int root_fd, const char *path, int flags, mode_t mode);

/* Opens the directory that holds path's last component (O_PATH); *ret_name points into path.
 * -EINVAL when the last component is empty, "." or "..". */
int safepath_open_parent(int root_fd, const char *path, const char **ret_name);

/* stat of what path leads to, links followed inside the root. */
int safepath_stat(int root_fd, const char *path, struct stat *ret_st);
bool safepath_exists(int root_fd, const char *path);

/* Makes path and missing parents with mode, owned by uid and gid.  Existing ones stay as they are.
 */
int safepath_mkdir_all(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid);

/* Reads a regular file of at most size_max bytes (-EFBIG); *ret is NUL-terminated, owned by the
 * caller; *ret_size may be NULL. */
int safepath_read(int root_fd, const char *path, size_t size_max, char **ret, size_t *ret_size);

/* Replaces path by a regular file with this content, atomically: temporary file in the same
 * directory, fsync, rename.  A symbolic link in that place is replaced, not followed.  mode 0 keeps
 * mode of an existing regular file, else 0644; uid or gid -1 keeps the owner of an existing file,
 * else 0. */
int safepath_replace(int root_fd, const char *path, const char *content, size_t size, mode_t mode,
	uid_t uid, gid_t gid);

/* Removes a file or link; 0 also when there is none. */
int safepath_unlink(int root_fd, const char *path);

/* Makes path a symbolic link to target, replacing a file or link that is there, atomically. */
int safepath_symlink(int root_fd, const char *target, const char *path, uid_t uid, gid_t gid);
