/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configuration of the cluster as the running corosync has it: the configured nodes, which are
 * what a majority is counted of.  A source of the thread's default main context. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Most nodes in a nodelist; what corosync itself is built for is far below. */
#define CMAP_NODES_MAX 128

typedef struct ClusterNode {
	uint32_t id;
	char *name;    /* As corosync.conf has it; "nodeN" when it has none. */
	char *address; /* Of ring 0. */
} ClusterNode;

typedef struct ClusterConf {
	char *cluster_name;
	uint64_t config_version;
	bool two_node;    /* votequorum's two_node: each of two nodes is quorate alone. */
	uint32_t own_id;  /* Of this node. */
	GPtrArray *nodes; /* Of ClusterNode*, in ascending order of ids. */
} ClusterConf;

ClusterConf *cluster_conf_free(ClusterConf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClusterConf, cluster_conf_free)

/* A configuration of one node, for a node without corosync. */
ClusterConf *cluster_conf_new_single(uint32_t id, const char *name);

/* A copy of its own, owned by the caller. */
ClusterConf *cluster_conf_copy(const ClusterConf *conf);

/* The node with an id, borrowed from conf; NULL: not configured. */
const ClusterNode *cluster_conf_node(const ClusterConf *conf, uint32_t id);

typedef struct CmapWatch CmapWatch;

typedef struct CmapHandler {
	void *data; /* Given to each function. */

	/* The configuration has changed; to be read anew. */
	void (*changed)(void *data);

	/* The connection to corosync is gone.  The watch may be freed only after this function has
	 * returned. */
	void (*lost)(void *data);
} CmapHandler;

/* Connects and starts watching.  Negative errno with reason. */
int cmap_watch_new(const CmapHandler *handler, CmapWatch **ret, GError **err);
CmapWatch *cmap_watch_free(CmapWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CmapWatch, cmap_watch_free)

/* The configuration of now; *ret is owned by the caller.  -EINVAL when it has no usable nodelist,
 * -ENOTCONN when corosync is gone. */
int cmap_watch_read(CmapWatch *watch, ClusterConf **ret, GError **err);
