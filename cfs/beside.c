/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/beside.h"

#include "base/macro.h"

int beside_flow_check(const BesideFlow *flow)
{
	return flow->under_way < BESIDE_UNDER_WAY_MAX ? 0 : -EAGAIN;
}

void beside_flow_sent(BesideFlow *flow, size_t size)
{
	flow->under_way += size;
}

void beside_flow_back(BesideFlow *flow, size_t size)
{
	/* It may have been sent before a change of membership, and not count any more. */
	flow->under_way -= MIN(size, flow->under_way);
}

bool beside_contains(const GArray *nodes, uint32_t node)
{
	for (unsigned i = 0; i < nodes->len; i++)
		if (g_array_index(nodes, uint32_t, i) == node)
			return true;
	return false;
}

bool beside_has_newcomers(const GArray *before, const uint32_t *nodes, unsigned n_nodes)
{
	for (unsigned i = 0; i < n_nodes; i++)
		if (!beside_contains(before, nodes[i]))
			return true;
	return false;
}

uint32_t beside_speaker(
	const GArray *before, const uint32_t *nodes, unsigned n_nodes, uint32_t self)
{
	for (unsigned i = 0; i < n_nodes; i++)
		if (nodes[i] == self || beside_contains(before, nodes[i]))
			return nodes[i];
	return self;
}

void beside_remember(GArray *before, const uint32_t *nodes, unsigned n_nodes)
{
	g_array_set_size(before, 0);
	if (n_nodes > 0)
		g_array_append_vals(before, nodes, n_nodes);
}
