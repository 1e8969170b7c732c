/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reboots that guests ask for.
 *
 * A guest that reboots itself shall come up with its pending changes, so LXC must not restart it with
 * the old configuration: the post-stop hook lets the monitor end and leaves a request, an empty file
 * PATH_RUN/reboot/ID.  The agent sees it at once (inotify), or at its next start if it was away, and
 * starts the container as if somebody had asked for it.  The start removes the request. */

#include <glib.h>

/* Leaves a request for container vmid. */
int reboot_request(unsigned vmid, GError **err);

/* Removes it; nothing happens when there is none. */
void reboot_request_clear(unsigned vmid);

typedef struct RebootWatch RebootWatch;

/* Called from the main loop, once for each request, also for those that are there already. */
typedef void (*RebootFunc)(unsigned vmid, void *data);

/* Watches until it is freed. */
int reboot_watch_new(RebootFunc func, void *data, RebootWatch **ret, GError **err);
RebootWatch *reboot_watch_free(RebootWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RebootWatch, reboot_watch_free)
