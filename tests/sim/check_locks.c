/* SPDX-License-Identifier: Apache-2.0 */

/* No two ever hold one lock, as they believe, in the time of the simulation, which no node knows: who was
 * told that he has it until some time may do, till then, what only one may do at a time. */

#include "tests/sim/sim.h"

bool check_believes(const SimNode *node, unsigned lock)
{
	return node->locks[lock].token != 0 && node->sim->now_ms < node->locks[lock].until_ms;
}

/* The operator's word may make two stores out of one, and he answers for it: until all are level again
 * nobody is held to what he believes. */
bool check_is_excused(Sim *sim)
{
	if (!sim->word && !sim->word_need)
		return false;
	for (unsigned i = 0; i < sim->n_nodes; i++)
		for (unsigned lock = 0; lock < SIM_LOCKS; lock++)
			sim->nodes[i].locks[lock].until_ms = 0;
	return true;
}

void check_locks(const SimNode *node, unsigned lock)
{
	const Sim *sim = node->sim;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *other = &sim->nodes[i];

		if (other == node || !check_believes(other, lock) || !check_believes(node, lock))
			continue;
		sim_fail(sim, "locks",
			"nodes %u and %u both have lock %u, by tokens %" G_GUINT64_FORMAT
			" and %" G_GUINT64_FORMAT,
			node->id, other->id, lock, node->locks[lock].token,
			other->locks[lock].token);
	}
}
