/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the client share. */

#include "cfs/client.h"

/* Somebody who must act when there is a connection again. */
typedef struct CfsWatcher {
	void (*connected)(struct CfsWatcher *watcher);
} CfsWatcher;

/* watcher is borrowed until it is removed; called before the handler. */
void client_add_watcher(CfsClient *client, CfsWatcher *watcher);
void client_remove_watcher(CfsClient *client, CfsWatcher *watcher);

/* Gives up a request for a lock; if it is ours already, it is freed. */
void client_cancel_lock(CfsClient *client, int64_t number);

GMainContext *client_context(const CfsClient *client);
