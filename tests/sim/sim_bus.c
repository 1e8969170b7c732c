/* SPDX-License-Identifier: Apache-2.0 */

/* The bus, with what CPG promises and no more:
 *
 *  - total order: what is ordered while nodes share a ring reaches them in one order, changes of
 *    membership at their places between the messages;
 *  - nodes that go together from one ring to the next have taken the same before it.  That is all
 *    that was ordered up to the first message that none of them has, and, across such holes, the
 *    messages of their own that came behind it: the others' are gone for them.  Groups that part
 *    have different holes, so one may have taken what another has lost, and the other way round;
 *  - so a node gets its own messages back, unless its corosync or its process ends before;
 *  - a message that was sent but not ordered when the ring changed is ordered in the next one;
 *  - between a change of the network and the next ring, only who has the token and those who hear it
 *    have messages ordered, which reach nobody else unless all find together again before;
 *  - groups that part come to their next rings at different times;
 *  - who goes on from different rings to one is told of the others in any number of steps;
 *  - sending may fail with -EAGAIN at any time, and for long;
 *  - a process that joins or leaves within a ring is a change of membership in the order;
 *  - a corosync that stands still while it has the token goes on where it was, and may order and
 *    take messages of its own until it finds that the others have long formed another ring;
 *  - corosync may end and start again while the process goes on. */

#include "tests/sim/sim.h"

/* Messages that a corosync keeps for its turn. */
#define SENT_MAX 20

static void item_free(void *data)
{
	SimItem *item = data;

	g_clear_pointer(&item->bytes, g_bytes_unref);
	g_free(item);
}

static void bytes_free(void *data)
{
	g_bytes_unref(data);
}

void bus_init(SimNode *node)
{
	g_queue_init(&node->sent);
	g_queue_init(&node->items);
	g_queue_init(&node->arrived);
}

void bus_clear(SimNode *node)
{
	g_queue_clear_full(&node->sent, bytes_free);
	g_queue_clear_full(&node->items, item_free);
	g_queue_clear_full(&node->arrived, item_free);
}

/* --- Messages --------------------------------------------------------------------------------- */

static void schedule_arrival(SimNode *node)
{
	Sim *sim = node->sim;

	sim_schedule(sim, SIM_EVENT_ARRIVE, node->index,
		1 + (int64_t)sim_random(
			    sim, sim_once_in(sim, 50) ? 40 : sim->character.deliver_ms_max));
}

static void schedule_order(SimNode *node)
{
	sim_schedule(
		node->sim, SIM_EVENT_ORDER, node->index, 1 + (int64_t)sim_random(node->sim, 3));
}

static void put_item(SimNode *node, const SimItem *item)
{
	SimItem *copy = g_memdup2(item, sizeof(*item));

	if (copy->bytes)
		g_bytes_ref(copy->bytes);
	g_queue_push_tail(&node->items, copy);
	schedule_arrival(node);
}

int bus_send(SimNode *node, GBytes *bytes)
{
	Sim *sim = node->sim;

	if (!node->joined || node->lost)
		return -ENOTCONN;
	if (node->sent.length >= SENT_MAX || sim_once_in(sim, 20) ||
		(node->full && !sim_once_in(sim, 10)))
		return -EAGAIN;
	g_queue_push_tail(&node->sent, g_bytes_ref(bytes));
	schedule_order(node);
	sim->figures.messages++;
	return 0;
}

static bool shares_ring(const SimNode *a, const SimNode *b)
{
	return a->ring != 0 && a->ring == b->ring;
}

/* Whether the node has the token of its ring, or hears who has it. */
static bool has_token(const SimNode *node)
{
	const Sim *sim = node->sim;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *holder = &sim->nodes[i];

		if (holder->token && shares_ring(holder, node) && holder->cell == node->cell)
			return true;
	}
	return false;
}

/* Whether a message can come from its sender to the node; if it was ordered while the network was broken,
 * only to those who heard it. */
static bool can_arrive(const SimNode *node, const SimItem *item)
{
	return !item->late || (!node->cut && !node->behind) || has_token(node);
}

static void arrive(SimNode *node)
{
	SimItem *item = g_queue_pop_head(&node->items);

	node->position = item->position;
	g_queue_push_tail(&node->arrived, item);
	sim_schedule(node->sim, SIM_EVENT_DISPATCH, node->index,
		node->slow ? (int64_t)sim_random(node->sim, 60) : 0);
}

void bus_hurry(SimNode *node)
{
	const SimItem *item;

	while ((item = g_queue_peek_head(&node->items)) && can_arrive(node, item))
		arrive(node);
}

void bus_arrive(SimNode *node)
{
	const SimItem *item = g_queue_peek_head(&node->items);

	if (!item || node->deaf || node->stalled || !can_arrive(node, item))
		return;
	/* When the network has broken, what is on its way may come or not. */
	if (!node->cut || item->late || sim_once_in(node->sim, 2))
		arrive(node);
}

/* What waited goes on. */
static void go_on(SimNode *node)
{
	for (guint i = 0; i < node->sent.length; i++)
		schedule_order(node);
	for (guint i = 0; i < node->items.length; i++)
		schedule_arrival(node);
}

void bus_hear(SimNode *node)
{
	node->deaf = false;
	go_on(node);
}

/* The oldest message that the node has sent gets its place. */
void bus_order(SimNode *node)
{
	Sim *sim = node->sim;
	g_autoptr(GBytes) bytes = NULL;
	SimItem item;

	if (node->ring == 0 || node->stalled || (node->cut ? !has_token(node) : node->deaf))
		return;
	bytes = g_queue_pop_head(&node->sent);
	if (!bytes)
		return;
	item = (SimItem){
		.position = ++sim->position, .sender = node->id, .bytes = bytes, .late = node->cut};
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].joined && shares_ring(&sim->nodes[i], node))
			put_item(&sim->nodes[i], &item);
	if (node->replica)
		fault_ambush(node, bytes);
}

void bus_dispatch(SimNode *node)
{
	SimItem *item = g_queue_pop_head(&node->arrived);

	if (!item)
		return;
	sim_trace(node->sim, item->position);
	if (item->bytes) {
		gsize size;
		const uint8_t *bytes = g_bytes_get_data(item->bytes, &size);

		replica_message(node->replica, item->sender, bytes, size);
	} else {
		sim_log(node->sim, "node %u: view of %u from %u", node->id, item->n_nodes,
			item->nodes[0]);
		if (node->doomed)
			node->calls_left = 1 + (unsigned)sim_random(node->sim, 2);
		replica_view_changed(node->replica, item->nodes, item->n_nodes);
	}
	item_free(item);
}

/* --- Membership ------------------------------------------------------------------------------- */

/* Processes in the group on nodes of bits that share the ring. */
static void put_membership(Sim *sim, uint64_t ring, unsigned receivers, unsigned shown)
{
	SimItem item = {.position = ++sim->position};

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];

		if (node->joined && node->ring == ring && shown & 1U << i)
			item.nodes[item.n_nodes++] = node->id;
	}
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].joined && sim->nodes[i].ring == ring && receivers & 1U << i)
			put_item(&sim->nodes[i], &item);
}

void bus_join(SimNode *node)
{
	if (!node->bus || node->joined || node->lost)
		return;
	node->joined = true;
	node->position = node->sim->position;
	if (node->ring != 0)
		put_membership(node->sim, node->ring, ~0U, ~0U);
}

/* The process is gone.  What it has sent is still ordered before that. */
void bus_leave(SimNode *node)
{
	bool was_joined = node->joined;

	while (!node->cut && !node->stalled && !node->deaf && node->ring != 0 &&
		node->sent.length > 0)
		bus_order(node);
	bus_clear(node);
	node->joined = false;
	node->lost = false;
	if (was_joined && node->ring != 0)
		put_membership(node->sim, node->ring, ~0U, ~0U);
}

/* --- Rings ------------------------------------------------------------------------------------ */

/* Bits of the nodes that the node hears. */
static unsigned reach(const SimNode *node)
{
	const Sim *sim = node->sim;
	unsigned nodes = 0;

	if (node->stalled || node->behind)
		return node->members;
	for (unsigned i = 0; node->bus && i < sim->n_nodes; i++) {
		const SimNode *other = &sim->nodes[i];

		if (other->bus && !other->stalled && !other->behind && other->cell == node->cell)
			nodes |= 1U << i;
	}
	return nodes;
}

/* Whether the node's ring is made of those whom it hears. */
static bool is_settled(const SimNode *node)
{
	const Sim *sim = node->sim;
	unsigned nodes = reach(node);

	if (node->stalled || node->behind)
		return true;
	if (node->members != nodes)
		return false;
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (nodes & 1U << i && sim->nodes[i].ring != node->ring)
			return false;
	return true;
}

static bool is_ring_cut(const SimNode *node)
{
	const Sim *sim = node->sim;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].cut && shares_ring(&sim->nodes[i], node))
			return true;
	return false;
}

/* The network of a ring that was whole breaks: where its token is then. */
static void draw_token(SimNode *node)
{
	Sim *sim = node->sim;
	SimNode *holder = &sim->nodes[sim_random(sim, sim->n_nodes)];

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (shares_ring(&sim->nodes[i], node))
			sim->nodes[i].token = false;
	/* It may be lost. */
	if (shares_ring(holder, node))
		holder->token = !sim_once_in(sim, 4);
}

void bus_network_changed(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (!is_settled(&sim->nodes[i]) && !is_ring_cut(&sim->nodes[i]))
			draw_token(&sim->nodes[i]);
	for (unsigned i = 0; i < sim->n_nodes; i++)
		sim->nodes[i].cut = !is_settled(&sim->nodes[i]);
	sim_schedule(sim, SIM_EVENT_RINGS, 0,
		1 + (int64_t)sim_random(
			    sim, sim_once_in(sim, 3) ? 3 : sim->character.detect_ms_max));
}

void bus_start(SimNode *node)
{
	if (node->bus || !node->powered)
		return;
	sim_log(node->sim, "node %u: corosync starts", node->id);
	node->bus = true;
	if (node->replica && !node->lost)
		sim_schedule(node->sim, SIM_EVENT_JOIN, node->index,
			1 + (int64_t)sim_random(node->sim, 100));
	bus_network_changed(node->sim);
}

void bus_stop(SimNode *node)
{
	if (!node->bus)
		return;
	node->stalled = false;
	node->behind = false;
	sim_log(node->sim, "node %u: corosync ends", node->id);
	bus_clear(node);
	node->bus = false;
	node->joined = false;
	node->ring = 0;
	node->members = 0;
	if (node->replica && !node->lost) {
		node->lost = true;
		sim_schedule(
			node->sim, SIM_EVENT_LOST, node->index, (int64_t)sim_random(node->sim, 20));
	}
	bus_network_changed(node->sim);
}

void bus_stall(SimNode *node)
{
	Sim *sim = node->sim;

	/* There is one token: without it, the others order nothing before their next ring. */
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (shares_ring(&sim->nodes[i], node)) {
			sim->nodes[i].cut = true;
			sim->nodes[i].token = false;
		}
	/* They will not hear of what it orders from now on: it is in a ring of its own, only does not
	 * know. */
	node->stalled = true;
	node->cut = false;
	node->ring = ++sim->n_rings;
	sim_schedule(sim, SIM_EVENT_BUS_WAKE, node->index,
		10 + (int64_t)sim_random(sim, sim_once_in(sim, 4) ? 4000 : 500));
	bus_network_changed(sim);
}

void bus_wake(SimNode *node)
{
	if (!node->stalled)
		return;
	node->stalled = false;
	node->behind = true;
	go_on(node);
	sim_schedule(node->sim, SIM_EVENT_BUS_SEES, node->index,
		1 + (int64_t)sim_random(node->sim, 100));
}

void bus_see(SimNode *node)
{
	if (!node->behind)
		return;
	node->behind = false;
	bus_network_changed(node->sim);
}

static bool is_kept(const SimItem *item, uint64_t cut, unsigned group)
{
	return item->position <= cut || (item->bytes && group & 1U << (item->sender - 1));
}

/* The last place before one that none of the group can have come to: that of a message of somebody whom
 * it did not hear. */
static uint64_t last_heard(const SimNode *node, unsigned group)
{
	for (const GList *at = node->items.head; at; at = at->next) {
		const SimItem *item = at->data;

		if (item->late && !(group & 1U << (item->sender - 1)))
			return item->position - 1;
	}
	return node->sim->position;
}

/* Draws the first hole of the nodes that go together, and drops what is lost. */
static void cut_group(Sim *sim, unsigned group)
{
	uint64_t first = 0;
	uint64_t last = sim->position;
	uint64_t cut;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];

		if (!(group & 1U << i) || !node->joined)
			continue;
		first = MAX(first, node->position);
		last = MIN(last, last_heard(node, group));
	}
	/* What one of them has come to, all do. */
	if (last <= first || sim_once_in(sim, 3))
		cut = first;
	else
		cut = first + sim_random(sim, last - first + 1);

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		GQueue kept = G_QUEUE_INIT;
		SimItem *item;

		if (!(group & 1U << i))
			continue;
		while ((item = g_queue_pop_head(&sim->nodes[i].items))) {
			if (is_kept(item, cut, group))
				g_queue_push_tail(&kept, item);
			else
				item_free(item);
		}
		sim->nodes[i].items = kept;
	}
}

/* A group learns that the others of its old ring have left, and who has come, in some steps. */
static void tell_group(Sim *sim, uint64_t ring, unsigned group, unsigned members)
{
	unsigned shown = group;

	if (group == members)
		return;
	if (sim_once_in(sim, 2))
		put_membership(sim, ring, group, shown);
	while (sim_once_in(sim, 2)) {
		shown |= members & 1U << sim_random(sim, sim->n_nodes);
		if (shown == members)
			return;
		put_membership(sim, ring, group, shown);
	}
}

/* Bits of those members who come from the node's old ring. */
static unsigned companions(const Sim *sim, const uint64_t *before, unsigned node, unsigned members)
{
	unsigned group = 1U << node;

	for (unsigned i = 0; before[node] != 0 && i < sim->n_nodes; i++)
		if (members & 1U << i && before[i] == before[node])
			group |= 1U << i;
	return group;
}

static void form_ring(Sim *sim, unsigned members)
{
	uint64_t before[SIM_NODES_MAX] = {0};
	uint64_t ring = ++sim->n_rings;
	unsigned done = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (!(members & 1U << i))
			continue;
		before[i] = node->ring;
		node->ring = ring;
		node->members = members;
		node->cut = false;
		node->token = false;
		node->deaf = false;
		sim_schedule(sim, SIM_EVENT_QUORUM, i, (int64_t)sim_random(sim, 30));
	}
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		unsigned group;

		if (!(members & 1U << i) || done & 1U << i)
			continue;
		group = companions(sim, before, i, members);
		done |= group;
		cut_group(sim, group);
		tell_group(sim, ring, group, members);
	}
	put_membership(sim, ring, ~0U, ~0U);
}

void bus_form_rings(Sim *sim)
{
	unsigned waiting = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (!node->bus || !(node->cut || !is_settled(node)))
			continue;
		if (is_settled(node)) {
			node->cut = false;
			node->deaf = false;
		} else if (!waiting && !sim->healing && !sim->truce_ms &&
			   sim_once_in(sim, has_token(node) ? 2 : 6))
			waiting = reach(node);
		else if (!(waiting & 1U << i))
			form_ring(sim, reach(node));
	}
	/* One group takes longer, mostly the one that has the token. */
	if (waiting)
		sim_schedule(sim, SIM_EVENT_RINGS, 0,
			1 + (int64_t)sim_random(sim, sim_once_in(sim, 3) ? 2500 : 50));
	for (unsigned i = 0; i < sim->n_nodes; i++)
		go_on(&sim->nodes[i]);
}
