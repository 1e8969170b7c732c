/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The texts of the files that the store makes itself: .clusterlog, .members, .vmlist, .version,
 * .store.  Their
 * shapes are what scripts know: keys may be added, never renamed. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/clusterlog.h"
#include "cfs/cmap.h"
#include "cfs/replica.h"
#include "cfs/status.h"
#include "cfs/tree.h"

/* What the texts are made of; all borrowed. */
typedef struct ViewsInput {
	const char *node_name;
	bool standalone;          /* A node without a cluster. */
	const ClusterConf *conf;  /* NULL: standalone, or corosync has not told us yet. */
	bool quorate;             /* By corosync. */
	const uint32_t *online;   /* Nodes with a running corosync, ascending … */
	unsigned n_online;        /* … and how many. */
	int64_t start_time_s;     /* Of this process, UTC. */
	uint64_t members_version; /* Counts changes of .members. */
	uint64_t vmlist_version;  /* Counts changes of .vmlist. */
	const Tree *tree;
	const Status *keys; /* What nodes tell of themselves. */
	const ClusterLog *log;
	const ReplicaStatus *status; /* For .store … */
	const char *digest;          /* … of the tree (tree_dup_digest()) … */
	uint64_t bytes_written;      /* … to the database, and … */
	uint64_t reads;              /* … reads answered. */
} ViewsInput;

/* The text, owned by the caller. */
GBytes *views_clusterlog(const ViewsInput *input);
GBytes *views_members(const ViewsInput *input);
GBytes *views_vmlist(const ViewsInput *input);
GBytes *views_version(const ViewsInput *input);
GBytes *views_store(const ViewsInput *input);

/* Whether a change can change .vmlist: it concerns a name below nodes/NAME/lxc or qemu-server. */
bool views_change_touches_vmlist(const Tree *tree, const TreeChange *change);
