/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lets the daemon end when it is killed.
 *
 * The kernel gives up a FUSE connection, and with it the requests under way, when the last descriptor
 * of it is closed.  A thread that is telling the kernel what to forget can wait there, unkillable,
 * for the lock of a directory; the lock is held by a request; and a killed process closes nothing
 * before all its threads have ended.  So process, mount and all who use it would hang for ever, and
 * no supervisor would see anything to start again.  The guard, a child process of its own, is told
 * by the kernel when the daemon's main thread ends, and aborts the connection.  The dead mount stays
 * in its place, where everything fails with ENOTCONN, until the next start clears it away.
 *
 * Whoever kills both leaves what the guard is there to prevent; the next start does its work then. */

#include <stdbool.h>

#include <sys/types.h>

#include <glib.h>

typedef struct Guard Guard;

/* Makes the guard of what will be mounted at mountpoint.  From the main thread, whose end counts,
 * and before there is any other; CAP_SYS_ADMIN must be permitted.  Negative errno with reason. */
int guard_new(const char *mountpoint, Guard **ret, GError **err);
Guard *guard_free(Guard *guard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guard, guard_free)

/* Whether what is mounted there now is ours. */
void guard_arm(Guard *guard, bool on);

/* Ends what is left of a daemon, if it is dead and does not end for what is mounted at mountpoint.  It is
 * waited for. */
void guard_finish(const char *mountpoint, pid_t daemon);
