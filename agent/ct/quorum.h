/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether this node may act: the store's own file .members tells whether there is quorum. */

#include <stdbool.h>

#include <glib.h>

/* 0, or -EROFS "cluster not ready - no quorum" (and why, when corosync does not answer), or -ENOTCONN
 * when the store is not mounted. */
int quorum_require(GError **err);

typedef enum QuorumState {
	QUORUM_YES,
	QUORUM_NO,
	QUORUM_UNKNOWN, /* Corosync has not told the store of any node: there is no quorum. */
} QuorumState;

/* The same from the text of .members.  -EBADMSG for what the store could not have written.  Pure. */
int quorum_parse(const char *members, QuorumState *ret);
