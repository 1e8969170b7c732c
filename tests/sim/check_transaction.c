/* SPDX-License-Identifier: Apache-2.0 */

/* What conditions and transactions promise, in words of its own: the model applies changes with the same
 * code as the nodes, and would make the same mistake. */

#include "tests/sim/sim.h"

/* What a condition must answer, where the tree is now. */
static int judge(const Tree *tree, const Op *op)
{
	const TreeNode *node = tree_by_path(tree, op->path);

	switch (op->condition) {
	case OP_IF_ABSENT:
		return node ? -EEXIST : 0;
	case OP_IF_VERSION:
		if (!node)
			return -ENOENT;
		return tree_node_version(node) == op->if_version ? 0 : -ESTALE;
	case OP_IF_ANY:
	case OP_N_CONDITIONS:
		break;
	}
	return 0;
}

int check_before_change(const Sim *sim, const Op *op)
{
	/* Of a transaction only the first meets the tree as it is. */
	return judge(sim->model, op->type == OP_TRANSACTION ? g_ptr_array_index(op->ops, 0) : op);
}

/* Whether all that a transaction was to make is there, as far as its last operations are not undone by
 * it: the content of each file that it wrote last. */
static bool is_done(const Tree *tree, const Op *transaction)
{
	const Op *last = g_ptr_array_index(transaction->ops, transaction->ops->len - 1);
	const TreeNode *node = tree_by_path(tree, last->path);

	if (last->type == OP_CREATE || last->type == OP_REPLACE)
		return node && g_bytes_equal(tree_node_data(node), last->data);
	return last->type != OP_UNLINK || !node;
}

void check_after_change(const Sim *sim, const Op *op, int expected, int result, uint64_t before)
{
	if (expected < 0 && result == 0)
		sim_fail(sim, "transactions",
			"a change of '%s' was made against its condition (%s)", op->path,
			g_strerror(-expected));
	if (result < 0 && check_quick_digest(sim->model) != before)
		sim_fail(sim, "transactions", "a change of '%s' failed (%s), and left something",
			op->path, g_strerror(-result));
	if (op->type == OP_TRANSACTION && result == 0 && !is_done(sim->model, op))
		sim_fail(sim, "transactions", "a transaction was made in part");
}
