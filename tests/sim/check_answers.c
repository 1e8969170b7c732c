/* SPDX-License-Identifier: Apache-2.0 */

/* What clients are told is true.  A change that was acknowledged, be it with success or with an errno
 * of the tree, is in the history, with the result that it has there; it is behind all that had been
 * acknowledged when it was asked for, so writes are linearizable.  One that was refused for lack of
 * quorum is not there, ever (see also check_history.c). */

#include "tests/sim/sim.h"

static void check_place(Sim *sim, const SimRequest *request)
{
	const SimNode *node = &sim->nodes[request->node];

	if (request->index == 0)
		sim_fail(sim, "answers", "node %u: acknowledges what is not in the history",
			node->id);
	if (request->result != request->model_result)
		sim_fail(sim, "answers", "node %u: answers %d instead of %d", node->id,
			request->result, request->model_result);
	if (request->index <= request->acknowledged)
		sim_fail(sim, "answers", "node %u: a change took effect before it was asked for",
			node->id);
	sim->acknowledged = MAX(sim->acknowledged, request->index);
	sim->figures.acknowledged += request->result == 0;
	sim->figures.refused += request->result < 0;
}

void check_answer(Sim *sim, const SimRequest *request)
{
	const SimNode *node = &sim->nodes[request->node];

	switch (request->result) {
	case -EROFS:
		if (request->index != 0)
			sim_fail(sim, "answers", "node %u: refuses what is in the history",
				node->id);
		sim->figures.read_only++;
		break;
	case -EIO:
		sim->figures.unknown++;
		break;
	case -ESTALE:
		/* A takeover that came too late gets into no log. */
		if (request->op->takeover.token != 0 && request->index == 0)
			break;
		G_GNUC_FALLTHROUGH;
	default:
		if (request->op->type == OP_BARRIER)
			check_barrier(sim, request);
		else
			check_place(sim, request);
	}
}
