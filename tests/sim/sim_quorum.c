/* SPDX-License-Identifier: Apache-2.0 */

/* The nodelist and votequorum.
 *
 * The nodelist changes by one node at a time, and not before all have agreed on the last change: that
 * is what operators are told to do, and nothing else is safe in any system of majorities.  A removed
 * node is off; one that is added begins with an empty database.
 *
 * Now and then the operator, who sees that a majority is off, lowers the expected votes.  He answers
 * for it that the others stay off until he takes it back, that those who run were level when the others
 * went, with the last epoch on their disks, and knew it, and that nothing breaks until all are level again; so the
 * simulation keeps that, too. */

#include "tests/sim/sim.h"

#include <string.h>

/* All must have found together after this. */
#define TRUCE_MS 15000

/* Those that were off start, and catch up. */
#define SETTLE_MS_MAX 2500

static unsigned majority(unsigned nodes)
{
	return sim_count(nodes) / 2 + 1;
}

void quorum_tell(SimNode *node)
{
	const Sim *sim = node->sim;
	uint32_t configured[SIM_NODES_MAX];
	ReplicaQuorum quorum = {.configured = configured};
	unsigned expected = sim->word ? sim->word : sim->configured;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->configured & 1U << i)
			configured[quorum.n_configured++] = i + 1;
	quorum.n_online = sim_count(node->members & sim->configured);
	quorum.quorate = quorum.n_online >= majority(expected);
	replica_quorum_changed(node->replica, &quorum);
}

void quorum_tell_all(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].replica)
			sim_schedule(sim, SIM_EVENT_QUORUM, i, (int64_t)sim_random(sim, 200));
}

bool quorum_is_calm(const Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];
		ReplicaStatus status;

		if (!(sim->configured & 1U << i))
			continue;
		if (!node->replica || node->paused || node->dying || node->cut ||
			node->members != sim->configured)
			return false;
		replica_status(node->replica, &status);
		if (status.state != REPLICA_STATE_ACTIVE || status.reduced ||
			status.n_members != sim_count(sim->configured) ||
			status.need != majority(sim->configured))
			return false;
	}
	return true;
}

static void set_nodelist(Sim *sim, unsigned nodes)
{
	sim_log(sim, "the nodelist is %x", nodes);
	sim->before = sim->configured;
	sim->configured = nodes;
	quorum_tell_all(sim);
}

bool quorum_change_nodelist(Sim *sim)
{
	unsigned i = (unsigned)sim_random(sim, sim->n_nodes);
	SimNode *node = &sim->nodes[i];

	if (!quorum_is_calm(sim))
		return false;
	if (sim->configured & 1U << i) {
		/* Small clusters are seldom interesting. */
		if (sim_count(sim->configured) < 2 || sim_once_in(sim, 2))
			return false;
		node_stop(node, true);
		set_nodelist(sim, sim->configured & ~(1U << i));
		return true;
	}
	sim_disk_lose(&node->disk);
	set_nodelist(sim, sim->configured | 1U << i);
	sim_schedule(sim, SIM_EVENT_START, i, (int64_t)sim_random(sim, 300));
	return true;
}

/* Whether the node's disk holds the whole history, and the epoch that it is in, and it knows that:
 * what is not known to be committed goes with those who have acknowledged it. */
static bool is_level(const SimNode *node)
{
	ReplicaStatus status;

	replica_status(node->replica, &status);
	return node->disk.durable->scalars.adopted == status.epoch &&
	       status.commit == node->sim->history->len &&
	       check_disk_is_level(node->sim, &node->disk);
}

bool quorum_lower_expected(Sim *sim)
{
	unsigned left = sim->configured;

	if (sim_count(sim->configured) < 2 || !quorum_is_calm(sim))
		return false;
	while (sim_count(left) >= majority(sim->configured))
		left &= ~(1U << sim_random(sim, sim->n_nodes));
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (left & 1U << i && !is_level(&sim->nodes[i]))
			return false;

	sim_log(sim, "the operator expects %x", left);
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->configured & ~left & 1U << i)
			node_stop(&sim->nodes[i], true);
	sim->word = left;
	sim->word_need = sim_count(left);
	quorum_tell_all(sim);
	sim_schedule(sim, SIM_EVENT_SETTLE, 0, 500 + (int64_t)sim_random(sim, SETTLE_MS_MAX));
	return true;
}

void quorum_settle(Sim *sim)
{
	sim_log(sim, "the operator expects all again");
	sim->word = 0;
	sim->truce_ms = sim->now_ms + TRUCE_MS;
	quorum_tell_all(sim);
	fault_heal(sim, sim->configured);
}

unsigned quorum_need(const Sim *sim, unsigned *ret_nodes)
{
	*ret_nodes = sim->configured | sim->before;
	if (sim->word_need > 0)
		return sim->word_need;
	if (!sim->before)
		return majority(sim->configured);
	return MIN(majority(sim->configured), majority(sim->before));
}
