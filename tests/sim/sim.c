/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Faults come for so long … */
#define INJURE_MS_MIN 2000
#define INJURE_MS_MAX 9000

/* … then all must be well in this time, with clients for the first part of it at least. */
#define HEAL_MS  30000
#define WRITE_MS 1000

/* --- Chance and words ------------------------------------------------------------------------- */

/* splitmix64: a seed means the same everywhere. */
static uint64_t next_random(Sim *sim)
{
	uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t sim_random(Sim *sim, uint64_t limit)
{
	assert(limit > 0);

	return next_random(sim) % limit;
}

bool sim_once_in(Sim *sim, uint64_t times)
{
	return sim_random(sim, times) == 0;
}

void sim_trace(Sim *sim, uint64_t value)
{
	sim->trace = (sim->trace ^ value) * UINT64_C(0x100000001b3);
}

void sim_fail(const Sim *sim, const char *format, ...)
{
	va_list args;

	printf("# seed %" G_GUINT64_FORMAT " at %" G_GINT64_FORMAT " ms: ", sim->seed, sim->now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# replay with: tests/sim/cfs --verbose --seeds %" G_GUINT64_FORMAT "\n",
		sim->seed);
	fflush(stdout);
	abort();
}

void sim_log(const Sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->verbose)
		return;
	printf("# %6" G_GINT64_FORMAT " ", sim->now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* --- Events ----------------------------------------------------------------------------------- */

static int compare_events(const void *a, const void *b, void *data)
{
	const SimEvent *left = a;
	const SimEvent *right = b;

	if (left->at_ms != right->at_ms)
		return left->at_ms < right->at_ms ? -1 : 1;
	return left->number < right->number ? -1 : left->number > right->number;
}

static void put_event(Sim *sim, const SimEvent *event)
{
	g_sequence_insert_sorted(
		sim->events, g_memdup2(event, sizeof(*event)), compare_events, NULL);
}

void sim_schedule(Sim *sim, SimEventType type, unsigned node, int64_t delay_ms)
{
	SimEvent event = {.at_ms = sim->now_ms + delay_ms,
		.number = ++sim->n_events,
		.type = type,
		.node = node,
		.run = sim->nodes[node].run};

	assert(delay_ms >= 0);

	put_event(sim, &event);
}

/* --- The env of a replica --------------------------------------------------------------------- */

static int64_t env_now_ms(void *data)
{
	const SimNode *node = data;

	return node->sim->now_ms;
}

static int env_send(void *data, GBytes *message)
{
	return bus_send(data, message);
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	sim_disk_start(data, batch);
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
	const SimNode *node = data;

	sim_trace(node->sim, changes->len);
}

static void env_answer(void *data, void *token, int result)
{
	client_answer(data, token, result);
}

static void env_state_changed(void *data)
{
	SimNode *node = data;
	ReplicaStatus status;

	/* While it is being made there is nothing to ask. */
	if (!node->replica)
		return;
	fault_provoke(node);
	if (!node->sim->verbose)
		return;
	replica_status(node->replica, &status);
	sim_log(node->sim,
		"node %u: %s epoch %" G_GUINT64_FORMAT " need %u last %" G_GUINT64_FORMAT
		" commit %" G_GUINT64_FORMAT "%s",
		node->id, replica_state_to_string(status.state), status.epoch, status.need,
		status.last, status.commit, status.quorate ? " quorate" : "");
}

/* --- Nodes ------------------------------------------------------------------------------------ */

void sim_node_start(SimNode *node)
{
	Sim *sim = node->sim;
	const ReplicaEnv env = {.data = node,
		.now_ms = env_now_ms,
		.send = env_send,
		.persist = env_persist,
		.applied = env_applied,
		.answer = env_answer,
		.state_changed = env_state_changed};
	ReplicaOptions options = {.node = node->id,
		.limits = {.file_max = 1 << 20, .total_max = 64 << 20, .entries_max = 1000}};
	g_autoptr(ReplicaBatch) image = sim_disk_read(&node->disk);
	g_autoptr(GError) err = NULL;

	assert(!node->replica);

	node->boot = next_random(sim);
	options.boot = node->boot;
	options.trusted = !sim->strangers && !node->disk.lost;
	if (replica_new(&options, &env, image, &node->replica, &err) < 0)
		sim_fail(sim, "node %u: does not start: %s", node->id, err->message);
	sim_log(sim, "node %u: starts with commit %" G_GUINT64_FORMAT, node->id,
		image->scalars.commit);
	node->run++;
	node->paused = false;
	node->tick_ms = -1;
	node->n_open = 0;
	node->n_submitted = 0;
	node->seen_commit = 0;
	node->seen_version = 0;
	node->powered = true;
	bus_reform(sim);
	sim_schedule(sim, SIM_EVENT_QUORUM, node->index, (int64_t)sim_random(sim, 30));
	sim_schedule(sim, SIM_EVENT_CLIENT, node->index, 1);
	bus_join(node);
}

void sim_node_stop(SimNode *node, bool power)
{
	sim_log(node->sim, "node %u: %s", node->id, power ? "power is gone" : "killed");
	sim_disk_crash(node, power);
	node->replica = replica_free(node->replica);
	node->run++;
	node->paused = false;
	bus_leave(node);
	if (power) {
		node->powered = false;
		bus_reform(node->sim);
	}
}

/* Sees to it that the replica's deadline is met. */
static void schedule_tick(SimNode *node)
{
	int64_t deadline_ms = node->replica ? replica_deadline_ms(node->replica) : -1;
	int64_t at_ms = MAX(deadline_ms, node->sim->now_ms + 1);

	if (deadline_ms < 0 || (node->tick_ms >= 0 && node->tick_ms <= at_ms))
		return;
	node->tick_ms = at_ms;
	sim_schedule(node->sim, SIM_EVENT_TICK, node->index, at_ms - node->sim->now_ms);
}

/* --- A run ------------------------------------------------------------------------------------ */

static void handle_node_event(SimNode *node, const SimEvent *event)
{
	switch (event->type) {
	case SIM_EVENT_DELIVER:
		bus_deliver(node);
		break;
	case SIM_EVENT_DISK:
		sim_disk_done(node);
		break;
	case SIM_EVENT_TICK:
		node->tick_ms = -1;
		replica_tick(node->replica);
		break;
	case SIM_EVENT_QUORUM:
		bus_tell_quorum(node);
		break;
	case SIM_EVENT_CLIENT:
		client_step(node);
		if (!node->sim->quiet)
			sim_schedule(node->sim, SIM_EVENT_CLIENT, node->index,
				1 + (int64_t)sim_random(node->sim, node->sim->client_ms_max));
		break;
	default:
		g_assert_not_reached();
	}
}

static void handle_event(Sim *sim, const SimEvent *event)
{
	SimNode *node = &sim->nodes[event->node];
	SimEvent later = *event;

	switch (event->type) {
	case SIM_EVENT_FAULT:
		if (sim->healing)
			return;
		fault_step(sim);
		/* Now and then what is broken stays so for longer than changes wait. */
		sim_schedule(sim, SIM_EVENT_FAULT, 0,
			1 + (int64_t)sim_random(sim, sim->fault_ms_max) +
				(sim_once_in(sim, 3000 / sim->fault_ms_max) ? 5500 : 0));
		return;
	case SIM_EVENT_SHOCK:
		if (!sim->healing)
			fault_step(sim);
		return;
	case SIM_EVENT_START:
		if (!node->replica)
			sim_node_start(node);
		return;
	case SIM_EVENT_RESUME:
		if (event->run == node->run)
			node->paused = false;
		return;
	case SIM_EVENT_ORDER:
		bus_order(node);
		return;
	default:
		break;
	}
	if (event->run != node->run || !node->replica)
		return;
	if (node->paused) {
		later.at_ms = sim->now_ms + 10;
		put_event(sim, &later);
		return;
	}
	handle_node_event(node, event);
}

static void step(Sim *sim)
{
	GSequenceIter *first = g_sequence_get_begin_iter(sim->events);
	SimEvent event = *(const SimEvent *)g_sequence_get(first);

	g_sequence_remove(first);
	assert(event.at_ms >= sim->now_ms);
	sim->now_ms = event.at_ms;
	sim_trace(sim, (uint64_t)event.type << 8 | event.node);
	handle_event(sim, &event);
	check_step(sim);
	for (unsigned i = 0; i < sim->n_nodes; i++)
		schedule_tick(&sim->nodes[i]);
}

static void init(Sim *sim, uint64_t seed, bool verbose)
{
	static const unsigned sizes[] = {1, 2, 3, 3, 3, 3, 4, 5};
	static const uint64_t fault_ms[] = {40, 200, 500};
	static const uint64_t shocks[] = {5, 20, 1000};
	static const uint64_t client_ms[] = {10, 60, 200};
	static const uint64_t client_depth[] = {2, 6, 20};
	static const uint64_t deliver_ms[] = {2, 4, 15};
	static const uint64_t disk_ms[] = {2, 5, 20};

	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->random = seed;
	sim->verbose = verbose;
	sim->events = g_sequence_new(g_free);
	sim->requests = g_ptr_array_new_with_free_func(request_free);
	sim->answered = g_ptr_array_new();
	sim->by_change = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	sim->n_nodes = sizes[sim_random(sim, G_N_ELEMENTS(sizes))];
	sim->fault_ms_max = fault_ms[sim_random(sim, G_N_ELEMENTS(fault_ms))];
	sim->shock_once_in = shocks[sim_random(sim, G_N_ELEMENTS(shocks))];
	sim->client_ms_max = client_ms[sim_random(sim, G_N_ELEMENTS(client_ms))];
	sim->client_depth = client_depth[sim_random(sim, G_N_ELEMENTS(client_depth))];
	sim->deliver_ms_max = deliver_ms[sim_random(sim, G_N_ELEMENTS(deliver_ms))];
	sim->disk_ms_max = disk_ms[sim_random(sim, G_N_ELEMENTS(disk_ms))];
	sim->strangers = sim_once_in(sim, 3);
	check_init(sim);
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->sim = sim;
		node->index = i;
		node->id = i + 1;
		g_queue_init(&node->sent);
		g_queue_init(&node->items);
		sim_disk_init(&node->disk);
	}
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim_node_start(&sim->nodes[i]);
	sim_schedule(sim, SIM_EVENT_FAULT, 0, 200);
}

static void clear(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->replica = replica_free(node->replica);
		bus_clear(node);
		sim_disk_clear(&node->disk);
	}
	check_clear(sim);
	g_hash_table_destroy(sim->by_change);
	g_ptr_array_unref(sim->answered);
	g_ptr_array_unref(sim->requests);
	g_sequence_free(sim->events);
}

static void add_figures(SimFigures *total, const SimFigures *figures)
{
	const uint64_t *from = (const uint64_t *)figures;
	uint64_t *to = (uint64_t *)total;

	for (size_t i = 0; i < sizeof(*total) / sizeof(uint64_t); i++)
		to[i] += from[i];
}

uint64_t sim_run(uint64_t seed, bool verbose, SimFigures *total)
{
	g_autofree Sim *sim = g_new(Sim, 1);
	int64_t injure_ms, healed_ms;
	uint64_t acknowledged;

	init(sim, seed, verbose);
	injure_ms = INJURE_MS_MIN + (int64_t)sim_random(sim, INJURE_MS_MAX - INJURE_MS_MIN);
	while (sim->now_ms < injure_ms)
		step(sim);

	sim_log(sim, "heal");
	sim->healing = true;
	fault_heal(sim);
	healed_ms = sim->now_ms;
	acknowledged = sim->figures.acknowledged;
	while (sim->now_ms < healed_ms + HEAL_MS && !(sim->quiet && check_is_healed(sim))) {
		sim->quiet = sim->now_ms > healed_ms + WRITE_MS &&
			     sim->figures.acknowledged > acknowledged;
		step(sim);
	}
	check_end(sim);
	if (sim->figures.acknowledged == acknowledged)
		sim_fail(sim, "nothing was written after healing");
	add_figures(total, &sim->figures);
	clear(sim);
	return sim->trace;
}
