/* SPDX-License-Identifier: Apache-2.0 */

/* The schedule of injuries: the network falls apart and heals, processes die, stand still and come
 * back, power fails on one node or all, disks are slow or full, corosync restarts, the operator
 * changes the cluster under way.
 *
 * Some things go wrong only when several faults come in one order; the random ones are therefore drawn
 * so that majorities change often (rotate_majority()), and at moments in which a replica has something
 * to lose (fault_provoke()). */

#include "tests/sim/sim.h"

const char *sim_fault_to_string(SimFault fault)
{
	static const char *const names[SIM_N_FAULTS] = {
		[SIM_FAULT_PARTITION] = "partitions",
		[SIM_FAULT_MERGE] = "merges",
		[SIM_FAULT_KILL] = "kills between events",
		[SIM_FAULT_KILL_AT_CALL] = "kills inside of events",
		[SIM_FAULT_POWER] = "power cuts of a node",
		[SIM_FAULT_BLACKOUT] = "power cuts of all",
		[SIM_FAULT_PAUSE] = "pauses",
		[SIM_FAULT_SLOW_NODE] = "slow nodes",
		[SIM_FAULT_BUS_RESTART] = "restarts of corosync",
		[SIM_FAULT_BUS_FULL] = "full buses",
		[SIM_FAULT_DISK_SLOW] = "slow disks",
		[SIM_FAULT_DISK_FAILS] = "failing disks",
		[SIM_FAULT_DISK_LOST] = "lost disks",
		[SIM_FAULT_NODELIST] = "changes of the nodelist",
		[SIM_FAULT_EXPECTED] = "lowered expected votes",
	};

	assert(fault < SIM_N_FAULTS);

	return names[fault];
}

static SimNode *random_node(Sim *sim)
{
	return &sim->nodes[sim_random(sim, sim->n_nodes)];
}

/* --- The network ------------------------------------------------------------------------------ */

static bool split_network(Sim *sim)
{
	unsigned n_cells = 1 + (unsigned)sim_random(sim, 3);

	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = (unsigned)sim_random(sim, n_cells);
	bus_network_changed(sim);
	return true;
}

/* Some majority stays together, the others are alone: after a few of these, each node has been part
 * of what another has not seen. */
static bool rotate_majority(Sim *sim)
{
	unsigned left = sim->n_nodes / 2 + 1;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = i + 1;
	while (left > 0) {
		SimNode *node = random_node(sim);

		left -= node->cell != 0;
		node->cell = 0;
	}
	bus_network_changed(sim);
	return true;
}

static bool isolate(SimNode *node)
{
	for (unsigned i = 0; i < node->sim->n_nodes; i++)
		node->sim->nodes[i].cell = 0;
	node->cell = 1;
	bus_network_changed(node->sim);
	return true;
}

static void join_network(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = 0;
	bus_network_changed(sim);
}

static bool restart_bus(SimNode *node)
{
	if (!node->bus)
		return false;
	bus_stop(node);
	sim_schedule(node->sim, SIM_EVENT_BUS_START, node->index,
		1 + (int64_t)sim_random(node->sim, sim_once_in(node->sim, 3) ? 3000 : 100));
	return true;
}

/* --- Processes and power ---------------------------------------------------------------------- */

static bool crash(SimNode *node, bool power)
{
	if (!node->replica)
		return false;
	node_crash(node, power);
	return true;
}

static bool crash_at_call(SimNode *node)
{
	if (!node->replica || node->calls_left > 0)
		return false;
	node->calls_left = 1 + (unsigned)sim_random(node->sim, 8);
	return true;
}

static bool pause_process(SimNode *node)
{
	if (!node->replica || node->paused)
		return false;
	node_pause(node);
	return true;
}

static bool black_out(Sim *sim)
{
	if (!sim_once_in(sim, 3))
		return false;
	for (unsigned i = 0; i < sim->n_nodes; i++)
		(void)crash(&sim->nodes[i], true);
	return true;
}

/* --- The schedule ----------------------------------------------------------------------------- */

static bool fail_disk(SimNode *node)
{
	bool fails = node->disk.error == 0 && sim_once_in(node->sim, 2);

	node->disk.error = !fails ? 0 : sim_once_in(node->sim, 2) ? -ENOSPC : -EIO;
	return fails;
}

/* A node whose disk breaks knows nothing of what it has promised and acknowledged.  As many disks as
 * can break before an entry that a majority holds is gone. */
static bool lose_disk(SimNode *node)
{
	Sim *sim = node->sim;
	unsigned n_blank = 1;

	if (!node->replica || sim->before)
		return false;
	for (unsigned i = 0; i < sim->n_nodes; i++)
		n_blank += sim->configured & 1U << i && &sim->nodes[i] != node &&
			   sim_disk_is_blank(&sim->nodes[i].disk);
	if (n_blank > sim_count(sim->configured) / 2)
		return false;
	node_crash(node, true);
	sim_disk_lose(&node->disk);
	return true;
}

static bool toggle(bool *flag)
{
	*flag = !*flag;
	return *flag;
}

/* What may happen while the operator answers for the rest. */
static SimFault gentle_fault(Sim *sim)
{
	static const SimFault faults[] = {SIM_FAULT_KILL, SIM_FAULT_KILL_AT_CALL, SIM_FAULT_PAUSE,
		SIM_FAULT_SLOW_NODE, SIM_FAULT_BUS_FULL, SIM_FAULT_DISK_SLOW, SIM_FAULT_DISK_FAILS};

	return faults[sim_random(sim, G_N_ELEMENTS(faults))];
}

static SimFault any_fault(Sim *sim)
{
	static const SimFault faults[] = {SIM_FAULT_PARTITION, SIM_FAULT_PARTITION,
		SIM_FAULT_PARTITION, SIM_FAULT_PARTITION, SIM_FAULT_MERGE, SIM_FAULT_MERGE,
		SIM_FAULT_MERGE, SIM_FAULT_MERGE, SIM_FAULT_KILL, SIM_FAULT_KILL_AT_CALL,
		SIM_FAULT_KILL_AT_CALL, SIM_FAULT_POWER, SIM_FAULT_POWER, SIM_FAULT_BLACKOUT,
		SIM_FAULT_PAUSE, SIM_FAULT_PAUSE, SIM_FAULT_SLOW_NODE, SIM_FAULT_BUS_RESTART,
		SIM_FAULT_BUS_FULL, SIM_FAULT_DISK_SLOW, SIM_FAULT_DISK_FAILS, SIM_FAULT_DISK_LOST};

	if (sim->character.nodelist && sim_once_in(sim, 3) && quorum_is_calm(sim))
		return SIM_FAULT_NODELIST;
	if (sim->character.expected && sim_once_in(sim, 3) && quorum_is_calm(sim))
		return SIM_FAULT_EXPECTED;
	return faults[sim_random(sim, G_N_ELEMENTS(faults))];
}

static bool inject(Sim *sim, SimFault fault)
{
	SimNode *node = random_node(sim);

	switch (fault) {
	case SIM_FAULT_PARTITION:
		if (sim_once_in(sim, 2))
			return rotate_majority(sim);
		return sim_once_in(sim, 3) ? isolate(node) : split_network(sim);
	case SIM_FAULT_MERGE:
		join_network(sim);
		return true;
	case SIM_FAULT_KILL:
		return crash(node, false);
	case SIM_FAULT_KILL_AT_CALL:
		return crash_at_call(node);
	case SIM_FAULT_POWER:
		return crash(node, true);
	case SIM_FAULT_BLACKOUT:
		return black_out(sim);
	case SIM_FAULT_PAUSE:
		return pause_process(node);
	case SIM_FAULT_SLOW_NODE:
		return toggle(&node->slow);
	case SIM_FAULT_BUS_RESTART:
		return restart_bus(node);
	case SIM_FAULT_BUS_FULL:
		return toggle(&node->full);
	case SIM_FAULT_DISK_SLOW:
		return toggle(&node->disk.slow);
	case SIM_FAULT_DISK_FAILS:
		return fail_disk(node);
	case SIM_FAULT_DISK_LOST:
		return lose_disk(node);
	case SIM_FAULT_NODELIST:
		return quorum_change_nodelist(sim);
	case SIM_FAULT_EXPECTED:
		return quorum_lower_expected(sim);
	case SIM_N_FAULTS:
		break;
	}
	g_assert_not_reached();
}

void fault_step(Sim *sim)
{
	SimFault fault;

	if (sim->truce_ms)
		return;
	fault = sim->word ? gentle_fault(sim) : any_fault(sim);
	if (!inject(sim, fault))
		return;
	client_excite(sim);
	sim->figures.faults[fault]++;
	sim_log(sim, "fault: %s", sim_fault_to_string(fault));
}

void fault_provoke(SimNode *node)
{
	Sim *sim = node->sim;

	client_excite(sim);
	if (!sim->healing && sim_once_in(sim, sim->character.shock_once_in))
		sim_schedule(sim, SIM_EVENT_SHOCK, node->index, (int64_t)sim_random(sim, 12));
}

static void heal_node(SimNode *node)
{
	node->disk.slow = false;
	node->disk.error = 0;
	node->slow = false;
	node->full = false;
	if (!node->dying)
		node->calls_left = 0;
	sim_schedule(node->sim, SIM_EVENT_RESUME, node->index, 0);
	if (node->replica)
		bus_start(node);
	else
		sim_schedule(node->sim, SIM_EVENT_START, node->index, 0);
}

/* Nothing is broken on those nodes any more; the others are off. */
void fault_heal(Sim *sim, unsigned nodes)
{
	sim->away = sim->configured & ~nodes;
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (nodes & 1U << i)
			heal_node(node);
		else if (node->powered)
			node_stop(node, true);
	}
	join_network(sim);
}
