/* SPDX-License-Identifier: Apache-2.0 */

/* Nothing is committed that is not on the disks that it needs.  The disks are asked, not the replicas:
 * what a loss of power in this moment would leave. */

#include "tests/sim/sim.h"

#include <string.h>

/* Whether a database holds the history up to an index with that hash. */
static bool holds(const Sim *sim, const SimDatabase *database, uint64_t index, const uint8_t *hash)
{
	const ReplicaEntry *entry = g_tree_lookup(database->entries, &index);
	const ReplicaScalars *scalars = &database->scalars;

	if (entry)
		return memcmp(entry->hash, hash, REPLICA_HASH_SIZE) == 0;
	return scalars->commit >= index && scalars->commit <= sim->history->len &&
	       memcmp(scalars->commit_hash, check_committed(sim, scalars->commit)->hash,
		       REPLICA_HASH_SIZE) == 0;
}

void check_disks(const SimNode *node, uint64_t index, const uint8_t *hash)
{
	const Sim *sim = node->sim;
	unsigned nodes;
	unsigned need = quorum_need(sim, &nodes);
	unsigned n_disks = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimDisk *disk = &sim->nodes[i].disk;

		if (!(nodes & 1U << i))
			continue;
		/* A disk may have been lost between its acknowledgement and the news of it. */
		n_disks += holds(sim, disk->durable, index, hash) ||
			   (disk->forgotten && holds(sim, disk->forgotten, index, hash));
	}
	if (n_disks < need)
		sim_fail(sim, "disks", "node %u: commits %" G_GUINT64_FORMAT " with %u of %u disks",
			node->id, index, n_disks, need);
}

bool check_disk_is_level(const Sim *sim, const SimDisk *disk)
{
	uint64_t last = sim->history->len;

	return last == 0 || holds(sim, disk->durable, last, check_committed(sim, last)->hash);
}
