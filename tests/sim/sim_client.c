/* SPDX-License-Identifier: Apache-2.0 */

/* Clients: on each node somebody changes few names, so that they meet, in every way there is, and
 * remembers what it was told. */

#include "tests/sim/sim.h"

#include <string.h>

#include "cfs/replica_internal.h"

#define N_FILES  6
#define N_GUESTS 4
#define N_OWNERS 2

/* Actions of clients after something has happened. */
#define EAGER_STEPS_MAX 20

static void request_free(void *data)
{
	SimRequest *request = data;

	op_free(request->op);
	g_free(request);
}

static guint hash_request(const void *data)
{
	const SimRequest *request = data;

	return (guint)(request->boot ^ request->seq * 0x9e3779b9);
}

static gboolean same_change(const void *a, const void *b)
{
	const SimRequest *left = a;
	const SimRequest *right = b;

	return left->seq == right->seq && left->boot == right->boot && left->node == right->node;
}

void client_init(Sim *sim)
{
	sim->requests = g_ptr_array_new_with_free_func(request_free);
	sim->answered = g_ptr_array_new();
	sim->by_change = g_hash_table_new(hash_request, same_change);
}

void client_clear(Sim *sim)
{
	g_hash_table_destroy(sim->by_change);
	g_ptr_array_unref(sim->answered);
	g_ptr_array_unref(sim->requests);
}

SimRequest *client_find(Sim *sim, uint32_t id, uint64_t boot, uint64_t seq)
{
	const SimRequest key = {.node = id - 1, .boot = boot, .seq = seq};

	return g_hash_table_lookup(sim->by_change, &key);
}

static char *random_path(Sim *sim)
{
	if (sim_once_in(sim, 2))
		return g_strdup_printf("nodes/n%u/lxc/%u.conf", (unsigned)sim_random(sim, N_OWNERS),
			100 + (unsigned)sim_random(sim, N_GUESTS));
	return g_strdup_printf("f%u", (unsigned)sim_random(sim, N_FILES));
}

/* Distinct each time; now and then something that needs more than one piece in a transfer. */
static GBytes *random_content(Sim *sim)
{
	char head[32];
	gsize size = (gsize)g_snprintf(head, sizeof(head), "request %u\n", sim->requests->len);
	gsize large = sim->character.piece_max > 0 ? 3 * sim->character.piece_max : 150 * 1000;
	gsize padded = sim_once_in(sim, 150) ? large : size;
	char *text = g_malloc(padded);

	memset(text, 'z', padded);
	memcpy(text, head, size);
	return g_bytes_new_take(text, padded);
}

static Op *make_directory(Sim *sim)
{
	static const char *const paths[] = {
		"nodes", "nodes/n0", "nodes/n1", "nodes/n0/lxc", "nodes/n1/lxc", "d", "d/e"};

	return op_new(OP_MKDIR, paths[sim_random(sim, G_N_ELEMENTS(paths))]);
}

static Op *make_op(Sim *sim)
{
	static const OpType types[] = {OP_CREATE, OP_CREATE, OP_CREATE, OP_REPLACE, OP_REPLACE,
		OP_WRITE, OP_WRITE, OP_TRUNCATE, OP_RENAME, OP_RENAME, OP_UNLINK, OP_UNLINK,
		OP_UTIME, OP_BARRIER, OP_MKDIR, OP_RMDIR};
	OpType type = types[sim_random(sim, G_N_ELEMENTS(types))];
	g_autofree char *path = NULL;
	Op *op;

	if (type == OP_BARRIER)
		return op_new(type, "");
	if (type == OP_MKDIR)
		return make_directory(sim);
	path = type == OP_RMDIR ? g_strdup("d/e") : random_path(sim);
	op = op_new(type, path);
	op->mtime_s = (uint32_t)sim->now_ms;
	if (type == OP_CREATE || type == OP_REPLACE || type == OP_WRITE)
		op->data = random_content(sim);
	if (type == OP_WRITE && sim_once_in(sim, 2))
		op->flags = OP_FLAG_APPEND;
	if (type == OP_TRUNCATE)
		op->offset = sim_random(sim, 100);
	if (type == OP_RENAME) {
		op->target = random_path(sim);
		op->flags = sim_once_in(sim, 3) ? OP_FLAG_NOREPLACE : 0;
	}
	return op;
}

/* A condition that holds where the node's tree is now, or not. */
static void put_condition(SimNode *node, Op *op)
{
	const TreeNode *there = tree_by_path(replica_tree(node->replica), op->path);

	op->condition = (OpCondition)sim_random(node->sim, OP_N_CONDITIONS);
	if (op->condition == OP_IF_VERSION)
		op->if_version = there ? tree_node_version(there) : 1;
}

static Op *make_transaction(SimNode *node)
{
	Sim *sim = node->sim;
	Op *transaction = op_new(OP_TRANSACTION, "");

	do {
		Op *op = make_op(sim);

		if (op->type == OP_BARRIER) {
			op_free(op);
			continue;
		}
		put_condition(node, op);
		op_add(transaction, op);
	} while (transaction->ops->len == 0 || (transaction->ops->len < 4 && !sim_once_in(sim, 3)));
	return transaction;
}

static Op *copy_op(const Op *op)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	Op *copy = NULL;

	op_encode(op, bytes);
	if (op_decode(bytes->data, bytes->len, &copy) < 0)
		g_assert_not_reached();
	return copy;
}

/* Asks for a change; false when it is refused at once. */
static bool submit(SimNode *node)
{
	Sim *sim = node->sim;
	g_autoptr(Op) op = sim_once_in(sim, 4) ? lock_make_op(node) : NULL;
	SimRequest *request = g_new0(SimRequest, 1);
	int r;

	if (!op)
		op = sim_once_in(sim, 10) ? make_transaction(node) : make_op(sim);

	request->op = copy_op(op);
	request->asked_ms = sim->now_ms;
	request->node = node->index;
	request->boot = node->boot;
	request->seq = ++node->n_submitted;
	request->acknowledged = sim->acknowledged;
	g_ptr_array_add(sim->requests, request);
	g_hash_table_add(sim->by_change, request);
	node->n_open++;

	r = replica_submit(node->replica, op, request);
	if (r == 0) {
		g_steal_pointer(&op);
		return true;
	}
	if (r != -EROFS && r != -EAGAIN)
		sim_fail(sim, "answers", "node %u: submitting gave %d", node->id, r);
	sim->figures.read_only += r == -EROFS;
	node->n_open--;
	node->n_submitted--;
	g_hash_table_remove(sim->by_change, request);
	g_ptr_array_remove_index(sim->requests, sim->requests->len - 1);
	return false;
}

void client_excite(Sim *sim)
{
	sim->eager = sim_once_in(sim, 2) ? 0 : (unsigned)sim_random(sim, EAGER_STEPS_MAX);
	sim->busy = (unsigned)sim_random(sim, 1U << sim->n_nodes);
}

/* Long times without a fault prove little; clients rest in them.  And when all are busy at all times,
 * no log is ever longer than the one that counts. */
static bool is_idle(const SimNode *node)
{
	Sim *sim = node->sim;

	if (sim->healing)
		return false;
	if (sim->eager == 0 || !(sim->busy & 1U << node->index))
		return !sim_once_in(sim, 100);
	sim->eager--;
	return false;
}

static void submit_up_to(SimNode *node, uint64_t n)
{
	for (uint64_t i = 0; i < n && node->n_open < node->sim->character.client_depth; i++)
		if (node->dying || !submit(node))
			return;
}

void client_step(SimNode *node)
{
	Sim *sim = node->sim;

	if (!sim->quiet && sim_once_in(sim, 3))
		lock_renew(node);
	if (!sim->quiet && replica_writable(node->replica) == 0 && !is_idle(node))
		submit_up_to(node, 1 + sim_random(sim, sim->character.client_depth));
}

void client_burst(SimNode *node)
{
	node->sim->eager = 0;
	submit_up_to(node, node->sim->character.client_depth);
}

void client_ask(SimNode *node)
{
	node->sim->eager = 0;
	submit_up_to(node, 1);
}

void client_answer(SimNode *node, SimRequest *request, int result)
{
	Sim *sim = node->sim;

	if (request->answered || request->boot != node->boot || request->node != node->index)
		sim_fail(sim, "answers", "node %u: answers a request that does not wait", node->id);
	request->answered = true;
	request->result = result;
	request->shown = node->replica->image->commit;
	node->n_open--;
	sim_trace(sim, (uint64_t)-result + 1);
	if (!request->op) {
		lock_renewed(node, request, result);
		return;
	}
	g_ptr_array_add(sim->answered, request);
	lock_answered(node, request);
}
