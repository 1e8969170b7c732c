/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Mounts that nobody else sees and that a dead process cannot leave behind: a worker works on a
 * container's volumes in a mount name space of its own.  Only for processes with one thread. */

#include <glib.h>

/* Enters a new mount name space, from which nothing spreads to the host.  *ret_host_fd is the way
 * back. */
int mountns_enter(int *ret_host_fd, GError **err);

/* Goes back to the name space of *host_fd, which is closed (-1: nothing happens); the private one
 * and all that is mounted in it end. */
int mountns_leave(int *host_fd, GError **err);
