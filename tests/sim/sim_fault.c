/* SPDX-License-Identifier: Apache-2.0 */

/* The schedule of injuries: the network falls apart and heals, processes die, stand still and come
 * back, power fails on one node or all, disks are slow or full, corosync restarts, the operator
 * changes the cluster under way.
 *
 * Some things go wrong only when several faults come in one order; the random ones are therefore drawn
 * so that majorities change often (rotate_majority()), and at moments in which a replica has something
 * to lose (fault_provoke()). */

#include "tests/sim/sim.h"

#include "cfs/replica_internal.h"

/* What is cut off for a while finds back in this time, whatever the others have done meanwhile. */
#define REUNION_MS 1000
#define DEAF_MS    200

const char *sim_fault_to_string(SimFault fault)
{
	static const char *const names[SIM_N_FAULTS] = {
		[SIM_FAULT_PARTITION] = "partitions",
		[SIM_FAULT_MERGE] = "merges",
		[SIM_FAULT_DUEL] = "cuts behind a node's last change",
		[SIM_FAULT_HOLE] = "short cuts behind what a node has missed",
		[SIM_FAULT_FREEZE] = "nodes that alone go on behind a message",
		[SIM_FAULT_AMBUSH] = "cuts behind a chosen message",
		[SIM_FAULT_KILL] = "kills between events",
		[SIM_FAULT_KILL_AT_CALL] = "kills inside of events",
		[SIM_FAULT_POWER] = "power cuts of a node",
		[SIM_FAULT_BLACKOUT] = "power cuts of all",
		[SIM_FAULT_PAUSE] = "pauses",
		[SIM_FAULT_SLOW_NODE] = "slow nodes",
		[SIM_FAULT_BUS_RESTART] = "restarts of corosync",
		[SIM_FAULT_BUS_STALL] = "stalls of corosync",
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

static void scatter(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = i + 1;
	bus_network_changed(sim);
}

static void join_network(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cell = 0;
	bus_network_changed(sim);
}

static bool stall_bus(SimNode *node)
{
	if (!node->bus || node->stalled || node->behind || node->ring == 0 ||
		(node->cut && !node->token))
		return false;
	bus_stall(node);
	return true;
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

static bool occurs(const Sim *sim, SimFault fault)
{
	return sim->character.faults & 1U << fault;
}

/* What makes a node slow or useless does not last, or nothing would ever go on. */
static void recover_some(Sim *sim)
{
	SimNode *node = random_node(sim);

	node->disk.slow &= sim_once_in(sim, 2);
	node->slow &= sim_once_in(sim, 2);
	node->full &= sim_once_in(sim, 2);
	if (sim_once_in(sim, 2))
		node->disk.error = 0;
}

/* What may happen while the operator answers for the rest. */
static SimFault gentle_fault(Sim *sim)
{
	static const SimFault faults[] = {SIM_FAULT_KILL_AT_CALL, SIM_FAULT_PAUSE,
		SIM_FAULT_SLOW_NODE, SIM_FAULT_BUS_FULL, SIM_FAULT_DISK_SLOW, SIM_FAULT_DISK_FAILS};

	/* Who is left goes on alone now and then, and must not. */
	if (sim_once_in(sim, 2))
		return SIM_FAULT_KILL;
	return faults[sim_random(sim, G_N_ELEMENTS(faults))];
}

static SimFault any_fault(Sim *sim)
{
	static const SimFault faults[] = {SIM_FAULT_PARTITION, SIM_FAULT_PARTITION,
		SIM_FAULT_PARTITION, SIM_FAULT_PARTITION, SIM_FAULT_MERGE, SIM_FAULT_MERGE,
		SIM_FAULT_MERGE, SIM_FAULT_MERGE, SIM_FAULT_KILL, SIM_FAULT_KILL_AT_CALL,
		SIM_FAULT_KILL_AT_CALL, SIM_FAULT_POWER, SIM_FAULT_POWER, SIM_FAULT_BLACKOUT,
		SIM_FAULT_PAUSE, SIM_FAULT_PAUSE, SIM_FAULT_SLOW_NODE, SIM_FAULT_BUS_RESTART,
		SIM_FAULT_BUS_STALL, SIM_FAULT_BUS_STALL, SIM_FAULT_BUS_FULL, SIM_FAULT_DISK_SLOW,
		SIM_FAULT_DISK_FAILS, SIM_FAULT_DISK_LOST, SIM_FAULT_DUEL, SIM_FAULT_DUEL,
		SIM_FAULT_DUEL, SIM_FAULT_DUEL, SIM_FAULT_HOLE, SIM_FAULT_HOLE, SIM_FAULT_HOLE,
		SIM_FAULT_HOLE};

	SimFault fault;

	if (sim_once_in(sim, 4) && quorum_is_calm(sim))
		return sim_once_in(sim, 2) ? SIM_FAULT_NODELIST : SIM_FAULT_EXPECTED;
	do
		fault = faults[sim_random(sim, G_N_ELEMENTS(faults))];
	while (!occurs(sim, fault));
	return fault;
}

/* The node's next change is to reach nobody but itself (end_duel()). */
static bool begin_duel(SimNode *node)
{
	if (node->replica && !node->paused && replica_writable(node->replica) == 0) {
		node->sim->duel = 1U << node->index;
		sim_schedule(node->sim, SIM_EVENT_BURST, node->index, 0);
	}
	/* It counts when it comes to that. */
	return false;
}

/* The node misses what another one goes on to do, while it has more to say than that; soon it is cut off.
 * What it says first comes back to it, so that the rest goes together (fault_ambush()). */
static bool begin_hole(SimNode *node)
{
	Sim *sim = node->sim;

	if (node->replica && !node->paused && !node->cut && node->ring != 0 &&
		replica_writable(node->replica) == 0) {
		sim->hole = 1U << node->index;
		sim_schedule(sim, SIM_EVENT_BURST, node->index, 0);
	}
	/* It counts when it comes to that. */
	return false;
}

static bool inject(Sim *sim, SimFault fault)
{
	SimNode *node = random_node(sim);

	if (!occurs(sim, fault))
		return false;
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
	case SIM_FAULT_BUS_STALL:
		return stall_bus(node);
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
	case SIM_FAULT_DUEL:
		return begin_duel(node);
	case SIM_FAULT_HOLE:
		return begin_hole(node);
	case SIM_FAULT_AMBUSH:
	case SIM_FAULT_FREEZE:
	case SIM_N_FAULTS:
		break;
	}
	g_assert_not_reached();
}

/* Something has gone wrong: clients take notice, and the replicas have some time to sort it out, or
 * nothing would ever begin that could be broken. */
static void count_fault(Sim *sim, SimFault fault)
{
	client_excite(sim);
	sim->peace_ms = sim->now_ms + (int64_t)sim_random(sim, sim->character.peace_ms_max);
	sim->figures.faults[fault]++;
	sim_log(sim, "fault: %s", sim_fault_to_string(fault));
}

void fault_step(Sim *sim)
{
	SimFault fault;

	if (sim->truce_ms)
		return;
	recover_some(sim);
	fault = sim->word ? gentle_fault(sim) : any_fault(sim);
	if (inject(sim, fault))
		count_fault(sim, fault);
}

void fault_shock(SimNode *node)
{
	Sim *sim = node->sim;

	if (sim->truce_ms || sim->word)
		return;
	if (sim_once_in(sim, 3))
		node = random_node(sim);
	switch (sim_random(sim, 4)) {
	case 0:
		if (!occurs(sim, SIM_FAULT_POWER) || !crash(node, true))
			return;
		count_fault(sim, SIM_FAULT_POWER);
		break;
	case 1:
		(void)isolate(node);
		count_fault(sim, SIM_FAULT_PARTITION);
		break;
	default:
		fault_step(sim);
	}
}

static bool is_shocked(Sim *sim, uint64_t once_in)
{
	return !sim->healing && !sim->truce_ms && !sim->word && sim->now_ms >= sim->peace_ms &&
	       sim_once_in(sim, once_in);
}

void fault_provoke(SimNode *node)
{
	Sim *sim = node->sim;

	if (node->replica->state >= REPLICA_STATE_PROMISING &&
		is_shocked(sim, sim->character.shock_once_in))
		sim_schedule(sim, SIM_EVENT_SHOCK, node->index, (int64_t)sim_random(sim, 12));
}

/* Only the sender keeps its changes; the others go on without it, together with whoever was alone
 * until now.  Logs that end in ever different entries of few epochs come of this. */
static void end_duel(SimNode *node)
{
	Sim *sim = node->sim;

	sim->duel = 0;
	bus_hurry(node);
	(void)isolate(node);
	/* What it has not been told the outcome of, it would send again. */
	if (sim_once_in(sim, 2))
		(void)crash_at_call(node);
	count_fault(sim, SIM_FAULT_DUEL);
	sim->eager = 0;
}

/* Only one node takes the message; those who would have come next are cut off, or die. */
static void ambush(SimNode *sender)
{
	Sim *sim = sender->sim;
	SimNode *receiver = random_node(sim);

	if (receiver->ring != sender->ring)
		return;
	bus_hurry(receiver);
	receiver->cell = SIM_NODES_MAX + 1 + receiver->index;
	bus_network_changed(sim);
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (&sim->nodes[i] != receiver && sim->nodes[i].replica && sim_once_in(sim, 4))
			node_crash(&sim->nodes[i], sim_once_in(sim, 2));
	sim_log(sim, "only node %u gets a message of node %u", receiver->id, sender->id);
	count_fault(sim, SIM_FAULT_AMBUSH);
}

/* All but one stand still when a message has arrived; that one goes on for a while, until it is cut
 * off and the others die where they stand. */
static void freeze(SimNode *sender)
{
	Sim *sim = sender->sim;
	SimNode *survivor = random_node(sim);

	if (survivor == sender || survivor->ring != sender->ring || !survivor->replica ||
		survivor->paused)
		return;
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (node != survivor && node->replica && !node->paused)
			node_pause(node);
	}
	bus_hurry(survivor);
	sim_schedule(sim, SIM_EVENT_BURST, survivor->index, (int64_t)sim_random(sim, 5));
	sim_schedule(sim, SIM_EVENT_SPRING, survivor->index, 5 + (int64_t)sim_random(sim, 60));
	count_fault(sim, SIM_FAULT_FREEZE);
}

/* All are to meet again when the node's process is back, and the others have gone on without it: when the
 * history is so long. */
static void expect_reunion(SimNode *node, uint64_t history)
{
	Sim *sim = node->sim;

	sim->reunion_history = history;
	sim->reunion_ms = sim->now_ms + REUNION_MS;
	sim_schedule(sim, SIM_EVENT_MEND, node->index, 10);
}

void fault_spring(SimNode *survivor)
{
	Sim *sim = survivor->sim;

	if (sim->truce_ms || sim->word)
		return;
	(void)isolate(survivor);
	sim->eager = 1;
	sim->busy = ~(1U << survivor->index);
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (!node->paused)
			continue;
		node_crash(node, sim_once_in(sim, 2));
		sim_schedule(sim, SIM_EVENT_START, i, (int64_t)sim_random(sim, 60));
	}
	expect_reunion(survivor, sim->history->len + 1);
}

/* The node's first change has its place; from now on it misses everything, and has to wait with the rest. */
static void deafen(SimNode *node)
{
	Sim *sim = node->sim;
	const SimNode *other = random_node(sim);

	sim->hole = 0;
	if (other == node)
		return;
	bus_hurry(node);
	node->deaf = true;
	sim->eager = 0;
	sim_schedule(sim, SIM_EVENT_ASK, other->index, (int64_t)sim_random(sim, 5));
	sim->reunion_history = sim->history->len + 1;
	sim->reunion_ms = sim->now_ms + DEAF_MS;
	sim_schedule(sim, SIM_EVENT_SEVER, node->index, 5);
}

/* It has the token, and so its last changes have their place behind those that it has missed.  All meet
 * again before the others can have done much without it. */
void fault_sever(SimNode *deaf)
{
	Sim *sim = deaf->sim;

	if (!deaf->deaf)
		return;
	if (sim->truce_ms || sim->word) {
		bus_hear(deaf);
		return;
	}
	/* What it misses is to be committed. */
	if (sim->history->len < sim->reunion_history && sim->now_ms < sim->reunion_ms) {
		sim_schedule(sim, SIM_EVENT_SEVER, deaf->index, 2 + (int64_t)sim_random(sim, 5));
		return;
	}
	/* It may die before its disk knows of the cut, and be back before an epoch opens without it. */
	deaf->doomed = deaf->replica && sim_once_in(sim, 2);
	if (deaf->doomed || !sim_once_in(sim, 3))
		scatter(sim);
	else if (sim_once_in(sim, 2))
		(void)isolate(deaf);
	else
		(void)rotate_majority(sim);
	count_fault(sim, SIM_FAULT_HOLE);
	sim->eager = 0;
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].token &= !deaf->cut || sim->nodes[i].ring != deaf->ring;
	deaf->token = deaf->cut;
	while (deaf->token && deaf->sent.length > 0)
		bus_order(deaf);
	sim_schedule(sim, SIM_EVENT_RINGS, 0, 5 + (int64_t)sim_random(sim, 10));
	sim->reunion_history = 0;
	sim->reunion_ms = sim->now_ms + REUNION_MS;
	sim_schedule(sim, SIM_EVENT_MEND, deaf->index,
		(deaf->doomed ? 60 : 10) + (int64_t)sim_random(sim, 60));
}

void fault_mend(SimNode *node)
{
	Sim *sim = node->sim;

	if (sim->truce_ms || sim->word)
		return;
	if ((node->joined && sim->history->len >= sim->reunion_history) ||
		sim->now_ms >= sim->reunion_ms)
		join_network(sim);
	else
		sim_schedule(sim, SIM_EVENT_MEND, node->index, 5);
}

void fault_ambush(SimNode *sender, GBytes *message)
{
	Sim *sim = sender->sim;
	const uint8_t *bytes = g_bytes_get_data(message, NULL);
	/* Some promise lets an epoch begin; of the others there are many. */
	uint64_t once_in = sim->character.shock_once_in * (bytes[1] == WIRE_PROMISE ? 1 : 50);

	if (sim->healing || sim->truce_ms || sim->word)
		return;
	if (bytes[1] == WIRE_OPS && sim->duel & 1U << sender->index)
		end_duel(sender);
	else if (bytes[1] == WIRE_OPS && sim->hole & 1U << sender->index)
		deafen(sender);
	else if (occurs(sim, SIM_FAULT_FREEZE) && is_shocked(sim, once_in))
		freeze(sender);
	else if (occurs(sim, SIM_FAULT_AMBUSH) && is_shocked(sim, once_in))
		ambush(sender);
}

static void heal_node(SimNode *node)
{
	node->disk.slow = false;
	node->disk.error = 0;
	node->slow = false;
	node->full = false;
	bus_hear(node);
	if (!node->dying) {
		node->calls_left = 0;
		node->doomed = false;
	}
	sim_schedule(node->sim, SIM_EVENT_RESUME, node->index, 0);
	bus_wake(node);
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
