/* SPDX-License-Identifier: Apache-2.0 */

/* The schedule of injuries: the network falls apart and heals, processes die, stand still and come
 * back, power fails on one node or all, disks are slow or full. */

#include "tests/sim/sim.h"

static SimNode *random_node(Sim *sim)
{
	return &sim->nodes[sim_random(sim, sim->n_nodes)];
}

static void split_network(Sim *sim)
{
	unsigned n_cells = 1 + (unsigned)sim_random(sim, 3);

	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = (unsigned)sim_random(sim, n_cells);
	sim->figures.partitions++;
	bus_reform(sim);
}

static void join_network(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = 0;
	bus_reform(sim);
}

static void kill_process(SimNode *node, bool power)
{
	if (!node->replica)
		return;
	sim_node_stop(node, power);
	sim_schedule(node->sim, SIM_EVENT_START, node->index,
		1 + (int64_t)sim_random(node->sim, sim_once_in(node->sim, 4) ? 4000 : 400));
	node->sim->figures.crashes++;
}

static void pause_process(SimNode *node)
{
	if (!node->replica || node->paused)
		return;
	node->paused = true;
	sim_schedule(node->sim, SIM_EVENT_RESUME, node->index,
		10 + (int64_t)sim_random(node->sim, sim_once_in(node->sim, 5) ? 8000 : 300));
	node->sim->figures.pauses++;
}

static void power_cut(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		kill_process(&sim->nodes[i], true);
}

/* A node whose disk breaks knows nothing of what it has promised and acknowledged.  As many disks as
 * can break before an entry that a majority holds is gone. */
static void lose_disk(SimNode *node)
{
	Sim *sim = node->sim;
	unsigned n_blank = 1;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimDisk *disk = &sim->nodes[i].disk;

		n_blank += &sim->nodes[i] != node && disk->durable->scalars.adopted == 0;
	}
	if (n_blank > sim->n_nodes / 2 || !node->replica)
		return;
	kill_process(node, true);
	sim_disk_lose(&node->disk);
	sim->figures.disks_lost++;
}

void fault_step(Sim *sim)
{
	SimNode *node = random_node(sim);

	switch (sim_random(sim, 16)) {
	case 0:
	case 1:
	case 2:
		split_network(sim);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		join_network(sim);
		break;
	case 7:
	case 8:
		kill_process(node, false);
		break;
	case 9:
	case 10:
		kill_process(node, true);
		break;
	case 11:
		if (sim_once_in(sim, 4))
			power_cut(sim);
		else if (sim_once_in(sim, 2))
			lose_disk(node);
		break;
	case 12:
	case 13:
		pause_process(node);
		break;
	case 14:
		node->disk.slow = !node->disk.slow;
		break;
	case 15:
		node->disk.full = !node->disk.full && sim_once_in(sim, 2);
		break;
	}
	sim_log(sim, "fault");
}

void fault_provoke(SimNode *node)
{
	Sim *sim = node->sim;

	if (!sim->healing && sim_once_in(sim, sim->shock_once_in))
		sim_schedule(sim, SIM_EVENT_SHOCK, node->index, (int64_t)sim_random(sim, 12));
}

void fault_heal(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->disk.slow = false;
		node->disk.full = false;
		node->paused = false;
		if (!node->replica)
			sim_node_start(node);
	}
	join_network(sim);
}
