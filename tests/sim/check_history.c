/* SPDX-License-Identifier: Apache-2.0 */

/* There is one history: the first node that commits an index writes it, every other one must agree.
 * A model applies each change of the history once; trees of nodes and answers are compared with it. */

#include "tests/sim/sim.h"

#include <string.h>

#include "cfs/replica_internal.h"

void check_history_init(Sim *sim)
{
	static const TreeLimits limits = {.file_max = OP_DATA_MAX,
		.total_max = TREE_TOTAL_MAX,
		.entries_max = TREE_ENTRIES_MAX};

	sim->history = g_array_new(FALSE, FALSE, sizeof(SimCommitted));
	sim->model = tree_new(&limits);
}

void check_history_clear(Sim *sim)
{
	g_array_unref(sim->history);
	tree_free(sim->model);
}

static bool add_to_digest(const TreeNode *node, void *data)
{
	uint64_t *digest = data;

	*digest = *digest * 31 + tree_node_inode(node);
	*digest = *digest * 31 + tree_node_version(node);
	*digest = *digest * 31 + tree_node_parent(node);
	*digest = *digest * 31 + tree_node_mtime_s(node);
	*digest = *digest * 31 + g_str_hash(tree_node_name(node));
	if (!tree_node_is_directory(node))
		*digest = *digest * 31 + g_bytes_get_size(tree_node_data(node));
	return true;
}

uint64_t check_quick_digest(const Tree *tree)
{
	uint64_t digest = tree_version(tree);

	tree_each(tree, add_to_digest, &digest);
	return digest;
}

const SimCommitted *check_committed(const Sim *sim, uint64_t index)
{
	assert(index >= 1 && index <= sim->history->len);

	return &g_array_index(sim->history, SimCommitted, index - 1);
}

/* A change takes its place in the history; of one that is there already, this is a copy that must do
 * nothing. */
static void apply_to_model(Sim *sim, SimNode *node, const ReplicaEntry *entry)
{
	SimRequest *request = client_find(sim, entry->origin, entry->boot, entry->seq);
	g_autoptr(GError) err = NULL;
	uint64_t before;
	int expected;

	if (!request)
		sim_fail(sim, "history", "node %u: nobody asked for entry %" G_GUINT64_FORMAT,
			node->id, entry->index);
	if (request->index != 0) {
		sim->figures.repeated++;
		return;
	}
	if (request->answered && request->result == -EROFS)
		sim_fail(sim, "answers", "node %u: entry %" G_GUINT64_FORMAT " was refused",
			node->id, entry->index);
	request->index = entry->index;
	expected = check_before_change(sim, request->op);
	before = check_quick_digest(sim->model);
	request->model_result = tree_apply(sim->model, request->op, entry->origin, NULL);
	check_after_change(sim, request->op, expected, request->model_result, before);
	if (tree_check(sim->model, &err) < 0)
		sim_fail(sim, "history", "the tree at %" G_GUINT64_FORMAT ": %s", entry->index,
			err->message);
}

/* The node is the first that has committed the next index. */
static void extend_history(SimNode *node, const ReplicaEntry *entry)
{
	Sim *sim = node->sim;
	SimCommitted next;

	check_disks(node, entry->index, entry->hash);
	apply_to_model(sim, node, entry);
	memcpy(next.hash, entry->hash, REPLICA_HASH_SIZE);
	next.digest = check_quick_digest(sim->model);
	g_array_append_val(sim->history, next);
}

static void check_entry(SimNode *node, const ReplicaEntry *entry)
{
	Sim *sim = node->sim;

	if (entry->index > sim->history->len + 1)
		sim_fail(sim, "history", "node %u: commits %" G_GUINT64_FORMAT " of %u", node->id,
			entry->index, sim->history->len);
	if (entry->index == sim->history->len + 1)
		extend_history(node, entry);
	if (memcmp(entry->hash, check_committed(sim, entry->index)->hash, REPLICA_HASH_SIZE) != 0)
		sim_fail(sim, "history", "node %u: commits another entry %" G_GUINT64_FORMAT,
			node->id, entry->index);
}

void check_history(SimNode *node)
{
	const Image *image = node->replica->image;
	Sim *sim = node->sim;
	const SimCommitted *last;

	if (image->commit == node->seen_commit)
		return;
	for (uint64_t index = MAX(node->seen_commit + 1, image->log_first); index <= image->commit;
		index++)
		check_entry(node, &image_entry(image, index)->entry);
	if (image->commit > sim->history->len)
		sim_fail(sim, "history", "node %u: has committed what nobody has", node->id);

	last = check_committed(sim, image->commit);
	if (memcmp(image->commit_hash, last->hash, REPLICA_HASH_SIZE) != 0)
		sim_fail(sim, "history", "node %u: has another history up to %" G_GUINT64_FORMAT,
			node->id, image->commit);
	if (check_quick_digest(image->tree) != last->digest)
		sim_fail(sim, "history", "node %u: has another tree at %" G_GUINT64_FORMAT,
			node->id, image->commit);
	node->seen_commit = image->commit;
	sim_trace(sim, (uint64_t)node->replica->state << 32 | image->commit);
}
