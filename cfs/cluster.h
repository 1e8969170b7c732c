/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The connection to corosync as one thing: configuration, quorum and the group of the store.
 *
 * When any part of it is lost, all of it is given up and made anew, with growing pauses, for as
 * long as it takes.  What the handler was told last stands until it is told otherwise. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/cmap.h"

typedef struct Cluster Cluster;

typedef struct ClusterHandler {
	void *data; /* Given to each function. */

	/* The configuration, at each connection and whenever it has changed; borrowed for the call.
	 * Comes before anything else of a connection. */
	void (*configured)(void *data, const ClusterConf *conf);

	/* Quorum, and the nodes with a running corosync in ascending order.  Without a connection:
	 * false and none. */
	void (*quorum)(void *data, bool quorate, const uint32_t *nodes, unsigned n_nodes);

	/* The members of the group in ascending order; none without a connection. */
	void (*view)(void *data, const uint32_t *nodes, unsigned n_nodes);

	/* A message of a member, borrowed for the call. */
	void (*message)(void *data, uint32_t node, const uint8_t *bytes, size_t size);

	/* cluster_send() takes messages again. */
	void (*drained)(void *data);
} ClusterHandler;

/* Connects from the main loop. */
Cluster *cluster_new(const char *group, const ClusterHandler *handler);
Cluster *cluster_free(Cluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cluster, cluster_free)

/* See cpg_group_send().  -ENOTCONN without a connection. */
int cluster_send(Cluster *cluster, GBytes *message);
