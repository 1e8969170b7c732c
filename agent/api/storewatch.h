/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells when what the store says of quorum may have changed; what it says is asked by
 * agent/ct/quorum.h.  A store that does not run is waited for. */

#include <glib.h>

typedef struct StoreWatch StoreWatch;

/* changed is called from the thread's default main context, the first time when the store is reached,
 * never from inside a call.  It may free the watch. */
StoreWatch *store_watch_new(void (*changed)(void *data), void *data);
StoreWatch *store_watch_free(StoreWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreWatch, store_watch_free)
