/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every file may lean on: assertions that stay on in production, and descriptors that close
 * themselves.  GLib 2.74 has no g_autofd, hence auto_close. */

#ifdef NDEBUG
#error "Assertions document invariants and stay on: do not define NDEBUG"
#endif

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <glib.h>

/* For locals that own a descriptor; -1 (or any negative value) is "none".  close() is not retried:
 * on Linux the descriptor is gone whatever it returns. */
#define auto_close __attribute__((cleanup(fd_cleanup)))

static inline void fd_cleanup(int *fd)
{
	if (*fd >= 0) {
		int saved_errno = errno;

		(void)close(*fd);
		errno = saved_errno;
	}
}

/* Takes the descriptor out of a variable; ownership goes to the caller. */
static inline int fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes what *fd owns, and leaves "none" there. */
static inline void fd_clear(int *fd)
{
	fd_cleanup(fd);
	*fd = -1;
}

/* A libc result as this project's: the value, or the negative errno. */
#define RET_ERRNO(expression)                                                             \
	({                                                                                \
		__typeof__(expression) ret_errno_value = (expression);                    \
		(ret_errno_value < 0) ? (__typeof__(expression))-errno : ret_errno_value; \
	})

static inline bool str_equal(const char *a, const char *b)
{
	return g_strcmp0(a, b) == 0;
}
