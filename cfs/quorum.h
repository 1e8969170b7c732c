/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether corosync's votequorum gives this partition quorum.  A source of the thread's default main
 * context that never blocks. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct QuorumWatch QuorumWatch;

typedef struct QuorumHandler {
	void *data; /* Given to each function. */

	/* Quorum or the set of nodes with a running corosync has changed; nodes in ascending
	 * order, borrowed for the call.  The first call tells the present state. */
	void (*changed)(void *data, bool quorate, const uint32_t *nodes, unsigned n_nodes);

	/* The connection to corosync is gone.  The watch may be freed only after this function has
	 * returned. */
	void (*lost)(void *data);
} QuorumHandler;

/* Starts watching.  Negative errno with reason. */
int quorum_watch_new(const QuorumHandler *handler, QuorumWatch **ret, GError **err);
QuorumWatch *quorum_watch_free(QuorumWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QuorumWatch, quorum_watch_free)
