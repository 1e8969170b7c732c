/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Watches file descriptors in the main loop of the thread, where each turn of it counts.
 *
 * GLib takes a source out of the set that it polls while the source is dispatched, so that a main loop
 * inside of the callback does not see it; putting it back wakes the loop, which turns once more for
 * nothing.  A watch of this kind stays in the set: its callback must not run a main loop. */

#include <glib-unix.h>

/* Calls callback with data when condition is met on fd, which is borrowed, until callback returns
 * G_SOURCE_REMOVE or the returned id is given to g_source_remove(). */
guint fd_watch_add(int fd, GIOCondition condition, GUnixFDSourceFunc callback, void *data);
