/* SPDX-License-Identifier: Apache-2.0 */

/* What must hold.  There is one history: the first node that commits an index writes it, every other
 * one must agree.  A model applies the history once; nodes and answers are compared with it.
 *
 * After each step of a node:
 *	- its committed prefix is a prefix of the history, and its tree what the history made;
 *	- what it committed first is on the disks of a majority;
 *	- its commit index and the version of its tree have not gone back;
 *	- a change that was acknowledged is in the history, with the result that it has there, behind all
 *	  that had been acknowledged when it was asked for; one that was refused for lack of quorum is
 *	  not, ever;
 *	- a guest is there once (tree_check() of the model).
 * In the end all nodes have the whole history, and no client waits. */

#include "tests/sim/sim.h"

#include <string.h>

#include "cfs/replica_internal.h"

typedef struct SimCommitted {
	uint8_t hash[REPLICA_HASH_SIZE];
	uint64_t digest; /* Of the tree up to here. */
} SimCommitted;

void check_init(Sim *sim)
{
	static const TreeLimits limits = {.file_max = OP_DATA_MAX,
		.total_max = TREE_TOTAL_MAX,
		.entries_max = TREE_ENTRIES_MAX};

	sim->history = g_array_new(FALSE, FALSE, sizeof(SimCommitted));
	sim->model = tree_new(&limits);
}

void check_clear(Sim *sim)
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

static uint64_t quick_digest(const Tree *tree)
{
	uint64_t digest = tree_version(tree);

	tree_each(tree, add_to_digest, &digest);
	return digest;
}

static const SimCommitted *committed(const Sim *sim, uint64_t index)
{
	return &g_array_index(sim->history, SimCommitted, index - 1);
}

/* Whether a disk holds the history up to index. */
static bool disk_holds(const Sim *sim, const SimDisk *disk, uint64_t index, const uint8_t *hash)
{
	const ReplicaEntry *entry = g_tree_lookup(disk->durable->entries, &index);
	uint64_t commit = disk->durable->scalars.commit;

	if (entry)
		return memcmp(entry->hash, hash, REPLICA_HASH_SIZE) == 0;
	return commit >= index && commit <= sim->history->len &&
	       memcmp(disk->durable->scalars.commit_hash, committed(sim, commit)->hash,
		       REPLICA_HASH_SIZE) == 0;
}

static void check_disks(const SimNode *node, uint64_t index, const uint8_t *hash)
{
	const Sim *sim = node->sim;
	unsigned n_disks = 0;

	/* A disk may have been lost between its acknowledgement and the news of it. */
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimDisk *disk = &sim->nodes[i].disk;

		n_disks += disk_holds(sim, disk, index, hash) ||
			   (disk->lost && disk->durable->scalars.adopted == 0);
	}
	if (n_disks < sim->n_nodes / 2 + 1)
		sim_fail(sim, "node %u: committed %" G_GUINT64_FORMAT " with %u disks", node->id,
			index, n_disks);
}

/* The node is the first that has committed the next index. */
static void extend_history(SimNode *node, const ReplicaEntry *entry)
{
	Sim *sim = node->sim;
	SimRequest *request = client_find(sim, entry->origin, entry->boot, entry->seq);
	SimCommitted next;
	g_autoptr(GError) err = NULL;

	if (!request)
		sim_fail(sim, "node %u: nobody asked for entry %" G_GUINT64_FORMAT, node->id,
			entry->index);
	if (request->index != 0)
		sim_fail(sim, "node %u: entry %" G_GUINT64_FORMAT " repeats %" G_GUINT64_FORMAT,
			node->id, entry->index, request->index);
	if (request->answered && request->result == -EROFS)
		sim_fail(sim, "node %u: entry %" G_GUINT64_FORMAT " was refused", node->id,
			entry->index);
	check_disks(node, entry->index, entry->hash);

	request->index = entry->index;
	request->model_result = tree_apply(sim->model, request->op, entry->origin, NULL);
	if (tree_check(sim->model, &err) < 0)
		sim_fail(sim, "the tree at %" G_GUINT64_FORMAT ": %s", entry->index, err->message);
	memcpy(next.hash, entry->hash, REPLICA_HASH_SIZE);
	next.digest = quick_digest(sim->model);
	g_array_append_val(sim->history, next);
}

static void check_history(SimNode *node)
{
	const Image *image = node->replica->image;
	Sim *sim = node->sim;

	for (uint64_t index = MAX(node->seen_commit + 1, image->log_first); index <= image->commit;
		index++) {
		const ReplicaEntry *entry = &image_entry(image, index)->entry;

		if (index > sim->history->len + 1)
			sim_fail(sim, "node %u: committed %" G_GUINT64_FORMAT " before others",
				node->id, index);
		if (index == sim->history->len + 1)
			extend_history(node, entry);
		if (memcmp(entry->hash, committed(sim, index)->hash, REPLICA_HASH_SIZE) != 0)
			sim_fail(sim, "node %u: committed another entry %" G_GUINT64_FORMAT,
				node->id, index);
	}
	if (image->commit > sim->history->len)
		sim_fail(sim, "node %u: has committed what nobody has", node->id);
	if (image->commit > 0 && memcmp(image->commit_hash, committed(sim, image->commit)->hash,
					 REPLICA_HASH_SIZE) != 0)
		sim_fail(sim, "node %u: another history up to %" G_GUINT64_FORMAT, node->id,
			image->commit);
	if (image->commit > 0 && image->commit != node->seen_commit &&
		quick_digest(image->tree) != committed(sim, image->commit)->digest)
		sim_fail(sim, "node %u: another tree at %" G_GUINT64_FORMAT, node->id,
			image->commit);
}

static void check_answer(Sim *sim, const SimRequest *request)
{
	const SimNode *node = &sim->nodes[request->node];

	if (request->result == -EROFS || request->result == -EIO) {
		if (request->result == -EROFS && request->index != 0)
			sim_fail(sim, "node %u: refused what is in the history", node->id);
		sim->figures.read_only += request->result == -EROFS;
		sim->figures.unknown += request->result == -EIO;
		return;
	}
	if (request->index == 0)
		sim_fail(sim, "node %u: acknowledged what is not in the history", node->id);
	if (request->result != request->model_result)
		sim_fail(sim, "node %u: answered %d instead of %d", node->id, request->result,
			request->model_result);
	if (request->index <= request->acknowledged)
		sim_fail(sim, "node %u: a change took effect before it was asked for", node->id);
	sim->acknowledged = MAX(sim->acknowledged, request->index);
	sim->figures.acknowledged += request->result == 0;
	sim->figures.refused += request->result < 0;
}

static void check_node(SimNode *node)
{
	Sim *sim = node->sim;

	if (node->replica) {
		const Image *image = node->replica->image;

		if (image->commit < node->seen_commit ||
			tree_version(image->tree) < node->seen_version)
			sim_fail(sim, "node %u: went back from %" G_GUINT64_FORMAT, node->id,
				node->seen_commit);
		check_history(node);
		node->seen_commit = image->commit;
		node->seen_version = tree_version(image->tree);
		sim_trace(sim, (uint64_t)node->replica->state << 32 | image->commit);
	}
}

void check_step(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++)
		check_node(&sim->nodes[i]);
	for (guint i = 0; i < sim->answered->len; i++)
		check_answer(sim, g_ptr_array_index(sim->answered, i));
	g_ptr_array_set_size(sim->answered, 0);
}

/* Whether all nodes are where they should be some time after the last fault. */
bool check_is_healed(Sim *sim)
{
	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];

		if (!node->replica || node->replica->state != REPLICA_STATE_ACTIVE ||
			node->n_open > 0 || node->replica->image->commit != sim->history->len ||
			image_last(node->replica->image) != sim->history->len)
			return false;
	}
	return true;
}

void check_end(Sim *sim)
{
	g_autofree char *expected = tree_dup_digest(sim->model);

	for (unsigned i = 0; i < sim->n_nodes; i++) {
		const SimNode *node = &sim->nodes[i];
		g_autofree char *digest = NULL;
		ReplicaStatus status;

		if (!node->replica)
			sim_fail(sim, "node %u: is down in the end", node->id);
		replica_status(node->replica, &status);
		if (status.state != REPLICA_STATE_ACTIVE || status.commit != sim->history->len ||
			status.last != status.commit || status.n_pending > 0)
			sim_fail(sim,
				"node %u: %s in the end, commit %" G_GUINT64_FORMAT
				", last %" G_GUINT64_FORMAT " of %u, %u waiting",
				node->id, replica_state_to_string(status.state), status.commit,
				status.last, sim->history->len, status.n_pending);
		digest = tree_dup_digest(replica_tree(node->replica));
		if (!str_equal(digest, expected))
			sim_fail(sim, "node %u: another tree in the end", node->id);
		sim->figures.transfers += status.counters.transfers_in;
		sim->figures.epochs += status.counters.epochs;
	}
}
