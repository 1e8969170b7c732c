/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After the last fault all must be well in this time: a member that is silent is given up after 2 s,
 * a disk that failed is tried again after 1 s, a lock … */
#define HEAL_MS 12000

/* Clients go on for so long after it. */
#define WRITE_MS 500

/* --- Chance and words ------------------------------------------------------------------------- */

/* splitmix64: a seed means the same everywhere. */
uint64_t sim_random_u64(Sim *sim)
{
	uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t sim_random(Sim *sim, uint64_t limit)
{
	assert(limit > 0);

	return sim_random_u64(sim) % limit;
}

bool sim_once_in(Sim *sim, uint64_t times)
{
	return sim_random(sim, times) == 0;
}

unsigned sim_count(unsigned bits)
{
	return (unsigned)__builtin_popcount(bits);
}

void sim_trace(Sim *sim, uint64_t value)
{
	sim->trace = (sim->trace ^ value) * UINT64_C(0x100000001b3);
}

void sim_fail(const Sim *sim, const char *checker, const char *format, ...)
{
	va_list args;

	printf("# seed %" G_GUINT64_FORMAT " at %" G_GINT64_FORMAT " ms: [%s] ", sim->seed,
		sim->now_ms, checker);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
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

static bool is_before(const SimEvent *a, const SimEvent *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void push_event(GArray *heap, SimEvent event)
{
	SimEvent *events;
	guint at = heap->len;

	g_array_append_val(heap, event);
	events = (SimEvent *)(void *)heap->data;
	while (at > 0 && is_before(&event, &events[(at - 1) / 2])) {
		events[at] = events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	events[at] = event;
}

static SimEvent pop_event(GArray *heap)
{
	SimEvent *events = (SimEvent *)(void *)heap->data;
	SimEvent first = events[0];
	SimEvent last = events[heap->len - 1];
	guint at = 0;
	guint child;

	g_array_set_size(heap, heap->len - 1);
	while ((child = 2 * at + 1) < heap->len) {
		if (child + 1 < heap->len && is_before(&events[child + 1], &events[child]))
			child++;
		if (!is_before(&events[child], &last))
			break;
		events[at] = events[child];
		at = child;
	}
	if (heap->len > 0)
		events[at] = last;
	return first;
}

void sim_schedule(Sim *sim, SimEventType type, unsigned node, int64_t delay_ms)
{
	SimEvent event = {.at_ms = sim->now_ms + delay_ms,
		.number = ++sim->n_events,
		.type = type,
		.node = node,
		.run = sim->nodes[node].run};

	assert(delay_ms >= 0);

	push_event(sim->events, event);
}

/* --- The env of a replica --------------------------------------------------------------------- */

static int64_t env_now_ms(void *data)
{
	const SimNode *node = data;

	return node->sim->now_ms + node->clock_ms;
}

static int env_send(void *data, GBytes *message)
{
	return node_calls(data) ? bus_send(data, message) : 0;
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	if (node_calls(data))
		sim_disk_start(data, batch);
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
	SimNode *node = data;

	if (node_calls(node))
		sim_trace(node->sim, changes->len);
}

static void env_answer(void *data, void *token, int result)
{
	if (node_calls(data))
		client_answer(data, token, result);
}

static void env_bad_message(void *data, uint32_t node, int error)
{
	const SimNode *self = data;

	sim_fail(self->sim, "messages", "node %u: node %u sends what makes no sense (%d)", self->id,
		node, error);
}

static void env_state_changed(void *data)
{
	SimNode *node = data;
	ReplicaStatus status;

	/* While it is being made there is nothing to ask. */
	if (!node->replica || node->dying)
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

ReplicaEnv sim_env(SimNode *node)
{
	return (ReplicaEnv){.data = node,
		.now_ms = env_now_ms,
		.send = env_send,
		.persist = env_persist,
		.applied = env_applied,
		.answer = env_answer,
		.bad_message = env_bad_message,
		.state_changed = env_state_changed};
}

/* --- A run ------------------------------------------------------------------------------------ */

static void on_fault(Sim *sim)
{
	const SimCharacter *character = &sim->character;
	int64_t delay_ms = 1 + (int64_t)sim_random(sim, character->fault_ms_max);

	/* All have agreed on the nodelist. */
	if (sim->before && quorum_is_calm(sim))
		sim->before = 0;
	/* Now and then what is broken stays so for longer than changes wait. */
	if (sim_once_in(sim, 30))
		delay_ms += 5500;
	sim_schedule(sim, SIM_EVENT_FAULT, 0, delay_ms);
	fault_step(sim);
	if (sim->character.n_faults > 0)
		sim->character.n_faults--;
}

static void handle_event(Sim *sim, const SimEvent *event)
{
	SimNode *node = &sim->nodes[event->node];

	switch (event->type) {
	case SIM_EVENT_FAULT:
		if (!sim->healing)
			on_fault(sim);
		break;
	case SIM_EVENT_SHOCK:
		if (!sim->healing)
			fault_shock(node);
		break;
	case SIM_EVENT_SPRING:
		if (!sim->healing)
			fault_spring(node);
		break;
	case SIM_EVENT_SEVER:
		if (!sim->healing)
			fault_sever(node);
		break;
	case SIM_EVENT_MEND:
		if (!sim->healing)
			fault_mend(node);
		break;
	case SIM_EVENT_RINGS:
		bus_form_rings(sim);
		break;
	case SIM_EVENT_ORDER:
		bus_order(node);
		break;
	case SIM_EVENT_ARRIVE:
		bus_arrive(node);
		break;
	case SIM_EVENT_BUS_WAKE:
		bus_wake(node);
		break;
	case SIM_EVENT_BUS_SEES:
		bus_see(node);
		break;
	case SIM_EVENT_BUS_START:
		bus_start(node);
		break;
	case SIM_EVENT_START:
		node_start(node);
		break;
	case SIM_EVENT_RESUME:
		if (event->run == node->run)
			node_resume(node);
		break;
	case SIM_EVENT_SETTLE:
		quorum_settle(sim);
		break;
	default:
		node_event(node, event);
	}
}

/* Only the node to which something has happened can have changed. */
static void check_step(Sim *sim, SimNode *node)
{
	if (node->replica) {
		check_reads(node);
		check_history(node);
	}
	for (guint i = 0; i < sim->answered->len; i++)
		check_answer(sim, g_ptr_array_index(sim->answered, i));
	g_ptr_array_set_size(sim->answered, 0);
}

static void end_truce(Sim *sim)
{
	if (quorum_is_calm(sim)) {
		sim->truce_ms = 0;
		sim->word_need = 0;
	} else if (sim->now_ms > sim->truce_ms) {
		sim_fail(sim, "end", "the nodes do not find together");
	}
}

static void step(Sim *sim)
{
	SimEvent event = pop_event(sim->events);

	assert(event.at_ms >= sim->now_ms);

	sim->now_ms = event.at_ms;
	sim_trace(sim, (uint64_t)event.type << 8 | event.node);
	handle_event(sim, &event);
	check_step(sim, &sim->nodes[event.node]);
	node_after_step(&sim->nodes[event.node]);
	if (sim->truce_ms)
		end_truce(sim);
}

static void draw_character(Sim *sim)
{
	static const uint64_t fault_ms[] = {100, 300, 800};
	static const uint64_t shocks[] = {3, 10, 40};
	static const uint64_t peace_ms[] = {50, 300, 1000};
	static const uint64_t client_ms[] = {20, 60, 200};
	static const uint64_t client_depth[] = {2, 4, 12};
	static const uint64_t deliver_ms[] = {2, 4, 15};
	static const uint64_t disk_ms[] = {2, 5, 20, 80};
	static const uint64_t detect_ms[] = {1, 10, 30, 100, 1500};
	/* No fewer than what one event may commit, or check_history() would miss some. */
	static const uint32_t log_entries[] = {150, 300, 0};
	static const uint32_t pieces[] = {5000, 20000, 0};
	SimCharacter *character = &sim->character;

	character->n_faults = 60 + sim_random(sim, 200);
	character->fault_ms_max = fault_ms[sim_random(sim, G_N_ELEMENTS(fault_ms))];
	character->shock_once_in = shocks[sim_random(sim, G_N_ELEMENTS(shocks))];
	character->peace_ms_max = peace_ms[sim_random(sim, G_N_ELEMENTS(peace_ms))];
	character->client_ms_max = client_ms[sim_random(sim, G_N_ELEMENTS(client_ms))];
	character->client_depth = client_depth[sim_random(sim, G_N_ELEMENTS(client_depth))];
	character->deliver_ms_max = deliver_ms[sim_random(sim, G_N_ELEMENTS(deliver_ms))];
	character->disk_ms_max = disk_ms[sim_random(sim, G_N_ELEMENTS(disk_ms))];
	character->detect_ms_max = detect_ms[sim_random(sim, G_N_ELEMENTS(detect_ms))];
	character->strangers = sim_once_in(sim, 2);
	/* What goes together with everything else seldom gets to where it could do harm. */
	character->faults = 1U << SIM_FAULT_PARTITION | 1U << SIM_FAULT_MERGE |
			    (unsigned)sim_random(sim, 1U << SIM_N_FAULTS);
	character->lonely = sim_once_in(sim, 2);
	character->log_entries_max = log_entries[sim_random(sim, G_N_ELEMENTS(log_entries))];
	character->list_max = sim_once_in(sim, 2) ? 4 : 0;
	character->piece_max = pieces[sim_random(sim, G_N_ELEMENTS(pieces))];
}

static void init(Sim *sim, uint64_t seed, bool verbose)
{
	static const unsigned sizes[] = {1, 2, 3, 3, 3, 3, 3, 4, 5, 5};

	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->random = seed;
	sim->verbose = verbose;
	sim->events = g_array_new(FALSE, FALSE, sizeof(SimEvent));
	client_init(sim);
	check_history_init(sim);
	draw_character(sim);
	sim->n_nodes = sizes[sim_random(sim, G_N_ELEMENTS(sizes))];
	sim->configured = (1U << sim->n_nodes) - 1;
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->sim = sim;
		node->index = i;
		node->id = i + 1;
		g_queue_init(&node->held);
		bus_init(node);
		sim_disk_init(&node->disk);
	}
	for (unsigned i = 0; i < sim->n_nodes; i++)
		node_start(&sim->nodes[i]);
	sim_schedule(sim, SIM_EVENT_FAULT, 0, 200);
}

static void clear(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->replica = replica_free(node->replica);
		g_queue_clear_full(&node->held, g_free);
		bus_clear(node);
		sim_disk_clear(&node->disk);
	}
	check_history_clear(sim);
	client_clear(sim);
	g_array_unref(sim->events);
}

static void add_figures(SimFigures *total, const SimFigures *figures)
{
	const uint64_t *from = (const uint64_t *)figures;
	uint64_t *to = (uint64_t *)total;

	for (size_t i = 0; i < sizeof(*total) / sizeof(uint64_t); i++)
		to[i] += from[i];
}

/* Until the nodes are well, and clients have written since. */
static void heal(Sim *sim, unsigned nodes)
{
	int64_t from_ms = sim->now_ms;
	uint64_t acknowledged = sim->figures.acknowledged;

	fault_heal(sim, nodes);
	sim->quiet = false;
	while (sim->now_ms <= from_ms + HEAL_MS && !(sim->quiet && check_is_well(sim, nodes))) {
		sim->quiet = sim->now_ms > from_ms + WRITE_MS &&
			     sim->figures.acknowledged > acknowledged;
		step(sim);
	}
	check_end(sim, nodes);
	if (sim->figures.acknowledged == acknowledged)
		sim_fail(sim, "end", "nothing was written after healing");
}

/* All but one find together, as long as they can know what the one knows. */
static void heal_without_one(Sim *sim)
{
	unsigned node;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->configured & 1U << i && sim_disk_is_blank(&sim->nodes[i].disk))
			return;
	do
		node = 1U << sim_random(sim, sim->n_nodes);
	while (!(node & sim->configured));
	heal(sim, sim->configured & ~node);
}

uint64_t sim_run(uint64_t seed, bool verbose, SimFigures *total)
{
	g_autofree Sim *sim = g_new(Sim, 1);
	uint64_t trace;

	init(sim, seed, verbose);
	while (sim->character.n_faults > 0 || sim->word || sim->truce_ms)
		step(sim);

	sim_log(sim, "healing");
	sim->healing = true;
	if (sim->character.lonely && sim_count(sim->configured) >= 3)
		heal_without_one(sim);
	heal(sim, sim->configured);

	sim->figures.simulated_ms = (uint64_t)sim->now_ms;
	add_figures(total, &sim->figures);
	trace = sim->trace;
	clear(sim);
	return trace;
}
