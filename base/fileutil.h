/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files of the host, which are trusted (for those of a guest: base/safepath.h). */

#include <stddef.h>
#include <sys/types.h>

#include <glib.h>

/* Reads a file of at most size_max bytes; *ret is NUL-terminated and owned by the caller, *ret_size
 * may be NULL.  -EFBIG, or the errno of open or read. */
int file_read(const char *path, size_t size_max, char **ret, size_t *ret_size);

/* The same from a descriptor, from where it stands to its end. */
int file_read_fd(int fd, size_t size_max, char **ret, size_t *ret_size);

/* Replaces path so that after a crash it holds the old or the new content, nothing else: temporary
 * file beside it, fsync, rename, fsync of the directory. */
int file_replace(const char *path, const char *content, size_t size, mode_t mode);

/* Writes all of it, going on after short writes and EINTR. */
int file_write_all(int fd, const void *data, size_t size);

/* mkdir -p; existing directories stay as they are. */
int file_mkdir_all(const char *path, mode_t mode);

/* Removes a tree that only the host writes to; follows no link, crosses no mount.  0 when absent.
 */
int file_remove_tree(const char *path);

/* Takes an exclusive flock on path (made when missing), waiting at most timeout_ms without blocking
 * signals; *ret_fd owns the lock.  -ETIMEDOUT with "can't lock file 'PATH' - got timeout". */
int file_lock(const char *path, unsigned timeout_ms, int *ret_fd, GError **err);
