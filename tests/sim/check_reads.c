/* SPDX-License-Identifier: Apache-2.0 */

/* Reads.  check_history.c sees that a tree shows only what is committed; here: while a process runs,
 * its tree does not go back, and what is read behind a barrier includes all that had been acknowledged
 * anywhere when the barrier was asked for. */

#include "tests/sim/sim.h"

#include "cfs/replica_internal.h"

void check_reads(SimNode *node)
{
	const Image *image = node->replica->image;

	if (image->commit < node->seen_commit || tree_version(image->tree) < node->seen_version)
		sim_fail(node->sim, "reads", "node %u: goes back from %" G_GUINT64_FORMAT, node->id,
			node->seen_commit);
	node->seen_version = tree_version(image->tree);
}

void check_barrier(Sim *sim, const SimRequest *request)
{
	const SimNode *node = &sim->nodes[request->node];

	if (request->shown < request->acknowledged)
		sim_fail(sim, "reads",
			"node %u: shows %" G_GUINT64_FORMAT " behind a barrier, %" G_GUINT64_FORMAT
			" was acknowledged",
			node->id, request->shown, request->acknowledged);
	sim->figures.barriers++;
}
