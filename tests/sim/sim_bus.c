/* SPDX-License-Identifier: Apache-2.0 */

/* The bus, with what CPG promises and no more:
 *
 *  - total order: what is ordered while nodes share a ring is delivered to them in one order, changes
 *    of membership at their places between the messages;
 *  - nodes that go together from one ring to the next have delivered the same before it: a cut is
 *    drawn for each such group, not before what any of them has taken, and the rest is gone for it.
 *    Other groups have other cuts, so one may have seen what another has lost;
 *  - a message that was sent but not ordered when the ring changed is ordered in the next one;
 *  - sending may fail with -EAGAIN at any time;
 *  - a process that joins or leaves within a ring is a change of membership in the order. */

#include "tests/sim/sim.h"

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

void bus_clear(SimNode *node)
{
	g_queue_clear_full(&node->sent, bytes_free);
	g_queue_clear_full(&node->items, item_free);
}

static void put_item(SimNode *node, const SimItem *item)
{
	SimItem *copy = g_memdup2(item, sizeof(*item));

	if (copy->bytes)
		g_bytes_ref(copy->bytes);
	g_queue_push_tail(&node->items, copy);
	sim_schedule(node->sim, SIM_EVENT_DELIVER, node->index,
		1 + (int64_t)sim_random(node->sim,
			    sim_once_in(node->sim, 50) ? 40 : node->sim->deliver_ms_max));
}

int bus_send(SimNode *node, GBytes *bytes)
{
	if (sim_once_in(node->sim, 20))
		return -EAGAIN;
	g_queue_push_tail(&node->sent, g_bytes_ref(bytes));
	sim_schedule(
		node->sim, SIM_EVENT_ORDER, node->index, 1 + (int64_t)sim_random(node->sim, 3));
	node->sim->figures.messages++;
	return 0;
}

/* The oldest message that the node has sent gets its place. */
void bus_order(SimNode *node)
{
	g_autoptr(GBytes) bytes = g_queue_pop_head(&node->sent);
	SimItem item = {.sender = node->id, .bytes = bytes};

	if (!bytes)
		return;
	item.position = ++node->sim->position;
	for (unsigned i = 0; i < node->sim->n_nodes; i++)
		if (node->sim->nodes[i].replica && node->sim->nodes[i].ring == node->ring)
			put_item(&node->sim->nodes[i], &item);
}

void bus_deliver(SimNode *node)
{
	SimItem *item = g_queue_pop_head(&node->items);

	if (!item)
		return;
	node->delivered = item->position;
	sim_trace(node->sim, item->position);
	if (item->bytes) {
		gsize size;
		const uint8_t *bytes = g_bytes_get_data(item->bytes, &size);

		replica_message(node->replica, item->sender, bytes, size);
	} else {
		sim_log(node->sim, "node %u: view of %u from %u", node->id, item->n_nodes,
			item->nodes[0]);
		replica_view_changed(node->replica, item->nodes, item->n_nodes);
	}
	item_free(item);
}

/* All processes of a ring learn who is in their group, each at the same place. */
static void put_membership(Sim *sim, unsigned ring, unsigned receivers, unsigned hidden)
{
	SimItem item = {.position = ++sim->position};

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];

		if (node->replica && node->ring == ring && !(hidden & 1U << i))
			item.nodes[item.n_nodes++] = node->id;
	}
	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (sim->nodes[i].replica && sim->nodes[i].ring == ring && receivers & 1U << i)
			put_item(&sim->nodes[i], &item);
}

void bus_join(SimNode *node)
{
	node->delivered = node->sim->position;
	put_membership(node->sim, node->ring, ~0U, 0);
}

/* To be called when the process is gone. */
void bus_leave(SimNode *node)
{
	bus_clear(node);
	if (node->ring)
		put_membership(node->sim, node->ring, ~0U, 0);
}

/* Draws the cut for the nodes that go together, and drops what is behind it. */
static void cut_group(Sim *sim, unsigned group)
{
	uint64_t cut = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		if (group & 1U << i && sim->nodes[i].replica)
			cut = MAX(cut, sim->nodes[i].delivered);
	cut += sim_random(sim, sim->position - cut + 1);

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];
		const SimItem *last;

		if (!(group & 1U << i))
			continue;
		while ((last = g_queue_peek_tail(&node->items)) && last->position > cut)
			item_free(g_queue_pop_tail(&node->items));
	}
}

/* The nodes of new_ring form it, coming from the rings in before. */
static void form_ring(Sim *sim, unsigned new_ring, const unsigned *before)
{
	unsigned done = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		unsigned group = before[i] & new_ring;

		if (!(new_ring & 1U << i) || done & 1U << i)
			continue;
		group |= 1U << i;
		done |= group;
		cut_group(sim, group);
		/* Often those who left are told of first, then those who came. */
		if (group != new_ring && sim_once_in(sim, 2))
			put_membership(sim, new_ring, group, ~group);
	}
	put_membership(sim, new_ring, ~0U, 0);
}

/* The network or the power of a node has changed: rings follow. */
void bus_reform(Sim *sim)
{
	unsigned before[SIM_NODES_MAX];
	unsigned formed = 0;

	for (unsigned i = 0; i < sim->n_nodes; i++)
		before[i] = sim->nodes[i].ring;
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		node->ring = 0;
		for (unsigned j = 0; node->powered && j < sim->n_nodes; j++)
			if (sim->nodes[j].powered && sim->nodes[j].cell == node->cell)
				node->ring |= 1U << j;
	}
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		SimNode *node = &sim->nodes[i];

		if (node->ring == before[i])
			continue;
		sim_schedule(sim, SIM_EVENT_QUORUM, i, (int64_t)sim_random(sim, 30));
		if (!node->ring || formed & 1U << i)
			continue;
		formed |= node->ring;
		form_ring(sim, node->ring, before);
	}
}

void bus_tell_quorum(SimNode *node)
{
	uint32_t configured[SIM_NODES_MAX];
	ReplicaQuorum quorum = {.configured = configured, .n_configured = node->sim->n_nodes};

	for (unsigned i = 0; i < node->sim->n_nodes; i++) {
		configured[i] = i + 1;
		quorum.n_online += node->ring >> i & 1;
	}
	quorum.quorate = quorum.n_online > node->sim->n_nodes / 2;
	replica_quorum_changed(node->replica, &quorum);
}
