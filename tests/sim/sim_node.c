/* SPDX-License-Identifier: Apache-2.0 */

/* Processes and the power of their nodes.  A process dies between two events, or inside of one: at
 * any call of its env, so that what it would have done after it does not happen. */

#include "tests/sim/sim.h"

/* A database has room for these tests whatever happens. */
static const TreeLimits limits = {.file_max = 1 << 20, .total_max = 64 << 20, .entries_max = 1000};

/* Whether the node may run now. */
static bool may_start(const SimNode *node)
{
	const Sim *sim = node->sim;
	unsigned bit = 1U << node->index;

	return !node->replica && sim->configured & bit && !(sim->away & bit) &&
	       (!sim->word || sim->word & bit);
}

void node_start(SimNode *node)
{
	Sim *sim = node->sim;
	const ReplicaEnv env = sim_env(node);
	ReplicaOptions options = {.node = node->id,
		.limits = limits,
		.log_entries_max = node->sim->character.log_entries_max,
		.piece_max = node->sim->character.piece_max,
		.list_max = node->sim->character.list_max};
	g_autoptr(ReplicaBatch) image = NULL;
	g_autoptr(GError) err = NULL;

	if (!may_start(node))
		return;

	image = sim_disk_read(&node->disk);
	node->boot = sim_random_u64(sim);
	/* No two clocks agree, and none says anything about the last run. */
	node->clock_ms = (int64_t)sim_random(sim, 1000000);
	options.boot = node->boot;
	options.trusted = !sim->character.strangers && !node->disk.forgotten;
	if (replica_new(&options, &env, image, &node->replica, &err) < 0)
		sim_fail(sim, "start", "node %u: does not start: %s", node->id, err->message);
	sim_log(sim, "node %u: starts with commit %" G_GUINT64_FORMAT, node->id,
		image->scalars.commit);
	node->run++;
	node->paused = false;
	node->dying = false;
	node->calls_left = 0;
	node->tick_ms = -1;
	node->n_open = 0;
	node->n_submitted = 0;
	node->seen_commit = 0;
	node->seen_version = 0;
	node->lost = false;
	node->powered = true;
	sim_schedule(sim, SIM_EVENT_QUORUM, node->index, (int64_t)sim_random(sim, 30));
	sim_schedule(sim, SIM_EVENT_CLIENT, node->index, 1);
	if (node->bus)
		sim_schedule(sim, SIM_EVENT_JOIN, node->index, (int64_t)sim_random(sim, 20));
	else
		bus_start(node);
}

void node_stop(SimNode *node, bool power)
{
	sim_log(node->sim, "node %u: %s", node->id, power ? "power is gone" : "killed");
	if (node->replica) {
		/* Its corosync still sends what it has taken. */
		sim_disk_crash(node, power);
		node->replica = replica_free(node->replica);
		bus_leave(node);
	}
	g_queue_clear_full(&node->held, g_free);
	node->run++;
	node->paused = false;
	node->dying = false;
	node->doomed = false;
	if (power) {
		node->powered = false;
		bus_stop(node);
	}
}

void node_crash(SimNode *node, bool power)
{
	Sim *sim = node->sim;

	node_stop(node, power);
	sim_schedule(sim, SIM_EVENT_START, node->index,
		1 + (int64_t)sim_random(sim, sim_once_in(sim, 4) ? 4000 : 400));
}

void node_pause(SimNode *node)
{
	Sim *sim = node->sim;

	sim_log(sim, "node %u: paused", node->id);
	node->paused = true;
	sim_schedule(sim, SIM_EVENT_RESUME, node->index,
		10 + (int64_t)sim_random(sim, sim_once_in(sim, 5) ? 8000 : 300));
}

static void handle_event(SimNode *node, const SimEvent *event)
{
	Sim *sim = node->sim;

	switch (event->type) {
	case SIM_EVENT_DISPATCH:
		bus_dispatch(node);
		break;
	case SIM_EVENT_LOST:
		node->lost = false;
		quorum_tell(node);
		replica_view_changed(node->replica, NULL, 0);
		if (node->bus)
			sim_schedule(sim, SIM_EVENT_JOIN, node->index,
				1 + (int64_t)sim_random(sim, 100));
		break;
	case SIM_EVENT_JOIN:
		bus_join(node);
		break;
	case SIM_EVENT_DISK:
		sim_disk_done(node);
		break;
	case SIM_EVENT_TICK:
		node->tick_ms = -1;
		replica_tick(node->replica);
		break;
	case SIM_EVENT_QUORUM:
		quorum_tell(node);
		break;
	case SIM_EVENT_BURST:
		client_burst(node);
		break;
	case SIM_EVENT_ASK:
		client_ask(node);
		break;
	case SIM_EVENT_CLIENT:
		client_step(node);
		sim_schedule(sim, SIM_EVENT_CLIENT, node->index,
			1 + (int64_t)sim_random(sim, sim->character.client_ms_max));
		break;
	default:
		g_assert_not_reached();
	}
}

void node_event(SimNode *node, const SimEvent *event)
{
	if (event->run != node->run || !node->replica || node->dying)
		return;
	if (node->paused)
		g_queue_push_tail(&node->held, g_memdup2(event, sizeof(*event)));
	else
		handle_event(node, event);
}

void node_resume(SimNode *node)
{
	SimEvent *event;

	if (!node->paused)
		return;
	sim_log(node->sim, "node %u: goes on", node->id);
	node->paused = false;
	while ((event = g_queue_pop_head(&node->held))) {
		node_event(node, event);
		g_free(event);
	}
}

bool node_calls(SimNode *node)
{
	if (node->dying)
		return false;
	if (node->calls_left > 0 && --node->calls_left == 0) {
		node->dying = true;
		return false;
	}
	return true;
}

static void schedule_tick(SimNode *node)
{
	int64_t deadline_ms = replica_deadline_ms(node->replica);
	int64_t at_ms = MAX(deadline_ms - node->clock_ms, node->sim->now_ms + 1);

	if (deadline_ms < 0 || (node->tick_ms >= 0 && node->tick_ms <= at_ms))
		return;
	node->tick_ms = at_ms;
	sim_schedule(node->sim, SIM_EVENT_TICK, node->index, at_ms - node->sim->now_ms);
}

static void die(SimNode *node)
{
	bool doomed = node->doomed;

	node_crash(node, !node->sim->word && sim_once_in(node->sim, 2));
	if (doomed)
		sim_schedule(node->sim, SIM_EVENT_START, node->index,
			(int64_t)sim_random(node->sim, 20));
}

void node_after_step(SimNode *node)
{
	if (node->dying)
		die(node);
	else if (node->replica)
		schedule_tick(node);
}
