/* SPDX-License-Identifier: Apache-2.0 */

/* In the end all becomes well: every node has the whole history and the tree that it made, and nobody
 * waits.  The bound on the time it may take is sim.c's. */

#include "tests/sim/sim.h"

#include "cfs/replica_internal.h"

static bool is_well(const Sim *sim, const SimNode *node)
{
	return node->replica && node->replica->state == REPLICA_STATE_ACTIVE && node->n_open == 0 &&
	       node->replica->image->commit == sim->history->len &&
	       image_last(node->replica->image) == sim->history->len;
}

bool check_is_well(const Sim *sim, unsigned nodes)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (nodes & 1U << i && !is_well(sim, &sim->nodes[i]))
			return false;
	return true;
}

static void check_node(Sim *sim, const SimNode *node, const char *expected)
{
	g_autofree char *digest = NULL;
	ReplicaStatus status;

	if (!node->replica)
		sim_fail(sim, "end", "node %u: is down", node->id);
	replica_status(node->replica, &status);
	if (!is_well(sim, node))
		sim_fail(sim, "end",
			"node %u: %s, commit %" G_GUINT64_FORMAT ", last %" G_GUINT64_FORMAT
			" of %u, %u waiting",
			node->id, replica_state_to_string(status.state), status.commit, status.last,
			sim->history->len, status.n_pending);
	digest = tree_dup_digest(replica_tree(node->replica));
	if (!str_equal(digest, expected))
		sim_fail(sim, "end", "node %u: has another tree", node->id);
	sim->figures.logs += status.counters.logs_in;
	sim->figures.trees += status.counters.transfers_in;
	sim->figures.epochs = MAX(sim->figures.epochs, status.epoch);
}

void check_end(Sim *sim, unsigned nodes)
{
	g_autofree char *expected = tree_dup_digest(sim->model);

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (nodes & 1U << i)
			check_node(sim, &sim->nodes[i], expected);
}
