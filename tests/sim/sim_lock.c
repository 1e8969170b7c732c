/* SPDX-License-Identifier: Apache-2.0 */

/* Clients that want locks.
 *
 * On each node somebody wants each lock.  He believes that he has it from an answer until the lease is
 * over, counted from when he asked: for the lock, or for its last renewal that succeeded.  He goes on
 * believing when his store dies or his node is cut off; that is what leases are for.  What he believes
 * is written down in the time of the simulation, which no node knows. */

#include "tests/sim/sim.h"

#include "cfs/replica_internal.h"

/* For how long clients believe, and wait before they take over: shorter than any ttl, which the
 * replica leaves to them, so that many leases run out in a run. */
#define LEASE_MS 200

static char *lock_path(unsigned lock)
{
	return g_strdup_printf("priv/lock/l%u", lock);
}

static void believe(SimNode *node, unsigned lock, uint64_t token, int64_t asked_ms)
{
	SimLock *held = &node->locks[lock];

	if (held->token != token)
		*held = (SimLock){.token = token};
	if (check_is_excused(node->sim))
		return;
	held->until_ms = MAX(held->until_ms, asked_ms + LEASE_MS);
	sim_log(node->sim, "node %u: has lock %u by %" G_GUINT64_FORMAT " until %" G_GINT64_FORMAT,
		node->id, lock, token, held->until_ms);
	check_locks(node, lock);
}

/* --- Asking ----------------------------------------------------------------------------------- */

/* The owner tells one taking from all others. */
static Op *new_lock(Sim *sim, const char *path)
{
	Op *op = op_new(OP_LOCK, path);

	op->owner = g_strdup_printf("request %u", sim->requests->len);
	op->ttl_s = OP_TTL_MIN_S;
	return op;
}

static Op *new_unlock(const char *path, uint64_t token)
{
	Op *op = op_new(OP_RMDIR, path);

	op->condition = OP_IF_VERSION;
	op->if_version = token;
	return op;
}

/* Takes over, or removes, what nobody has renewed for the whole lease as this node saw it. */
static Op *new_takeover(SimNode *node, const char *path, uint64_t token)
{
	int64_t now_ms = node->sim->now_ms + node->clock_ms;
	ReplicaLease lease;
	Op *op;

	if (!replica_lease(node->replica, token, &lease) || now_ms <= lease.since_ms + LEASE_MS)
		return NULL;
	op = sim_once_in(node->sim, 4) ? op_new(OP_RMDIR, path) : new_lock(node->sim, path);
	op->takeover =
		(OpTakeover){.token = token, .epoch = lease.epoch, .renewals = lease.renewals};
	node->sim->figures.takeovers++;
	fault_provoke(node);
	return op;
}

static Op *make_directories(const Tree *tree)
{
	if (!tree_by_path(tree, "priv"))
		return op_new(OP_MKDIR, "priv");
	return tree_by_path(tree, "priv/lock") ? NULL : op_new(OP_MKDIR, "priv/lock");
}

Op *lock_make_op(SimNode *node)
{
	const Tree *tree = replica_tree(node->replica);
	unsigned lock = (unsigned)sim_random(node->sim, SIM_LOCKS);
	g_autofree char *path = lock_path(lock);
	const TreeNode *there = tree_by_path(tree, path);
	Op *op = make_directories(tree);

	if (op)
		return op;
	if (!there)
		return new_lock(node->sim, path);
	if (check_believes(node, lock)) {
		if (!sim_once_in(node->sim, 8))
			return NULL;
		/* Who gives up a lock stops believing in it first. */
		op = new_unlock(path, node->locks[lock].token);
		node->locks[lock].token = 0;
		return op;
	}
	return new_takeover(node, path, tree_node_inode(there));
}

/* Renews what this node has, or has had: a lease that has run out may be renewed as long as nobody has
 * taken the lock. */
void lock_renew(SimNode *node)
{
	Sim *sim = node->sim;
	unsigned lock = (unsigned)sim_random(sim, SIM_LOCKS);
	SimRequest *request;

	if (node->locks[lock].token == 0)
		return;
	request = g_new0(SimRequest, 1);
	request->node = node->index;
	request->boot = node->boot;
	request->lock = lock;
	request->token = node->locks[lock].token;
	request->asked_ms = sim->now_ms;
	g_ptr_array_add(sim->requests, request);
	node->n_open++;
	if (replica_renew(node->replica, request->token, request) == 0)
		return;
	node->n_open--;
	g_ptr_array_remove_index(sim->requests, sim->requests->len - 1);
}

/* --- Being answered --------------------------------------------------------------------------- */

void lock_renewed(SimNode *node, const SimRequest *request, int result)
{
	if (result == -ESTALE && node->locks[request->lock].token == request->token)
		node->locks[request->lock].token = 0;
	if (result != 0 || node->locks[request->lock].token != request->token)
		return;
	node->sim->figures.renewals++;
	believe(node, request->lock, request->token, request->asked_ms);
}

void lock_answered(SimNode *node, const SimRequest *request)
{
	const TreeNode *there = tree_by_path(replica_tree(node->replica), request->op->path);
	const char *name = op_lock_name(request->op->path);
	TreeLease lease;

	if (request->op->type != OP_LOCK || request->result != 0)
		return;
	if (!there || !tree_node_lease(there, &lease) ||
		!str_equal(lease.owner, request->op->owner))
		return; /* It is another's already. */
	node->sim->figures.locks++;
	believe(node, (unsigned)(name[1] - '0'), lease.token, request->asked_ms);
}
