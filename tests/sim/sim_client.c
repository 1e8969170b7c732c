/* SPDX-License-Identifier: Apache-2.0 */

/* Clients: on each node somebody changes few names, so that they meet, in every way there is, and
 * remembers what it was told. */

#include "tests/sim/sim.h"

#define N_FILES  6
#define N_GUESTS 4
#define N_OWNERS 2

void request_free(void *data)
{
	SimRequest *request = data;

	op_free(request->op);
	g_free(request);
}

static char *change_key(uint32_t id, uint64_t boot, uint64_t seq)
{
	return g_strdup_printf("%u %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, id, boot, seq);
}

SimRequest *client_find(Sim *sim, uint32_t id, uint64_t boot, uint64_t seq)
{
	g_autofree char *key = change_key(id, boot, seq);

	return g_hash_table_lookup(sim->by_change, key);
}

static char *random_path(Sim *sim)
{
	if (sim_once_in(sim, 2))
		return g_strdup_printf("nodes/n%u/lxc/%u.conf", (unsigned)sim_random(sim, N_OWNERS),
			100 + (unsigned)sim_random(sim, N_GUESTS));
	return g_strdup_printf("f%u", (unsigned)sim_random(sim, N_FILES));
}

static GBytes *random_content(Sim *sim)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_printf(text, "request %u\n", sim->requests->len);
	/* Now and then something that needs more than one piece in a transfer. */
	if (sim_once_in(sim, 150))
		g_string_set_size(text, 150 * 1000);
	memset(text->str, (int)('a' + sim_random(sim, 26)), 3);
	for (gsize i = 12; i < text->len; i++)
		text->str[i] = 'z';
	return g_string_free_to_bytes(g_steal_pointer(&text));
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

static Op *copy_op(const Op *op)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	Op *copy = NULL;

	op_encode(op, bytes);
	if (op_decode(bytes->data, bytes->len, &copy) < 0)
		g_assert_not_reached();
	return copy;
}

static void submit(SimNode *node)
{
	Sim *sim = node->sim;
	g_autoptr(Op) op = make_op(sim);
	SimRequest *request = g_new0(SimRequest, 1);
	int r;

	request->op = copy_op(op);
	request->node = node->index;
	request->boot = node->boot;
	request->seq = node->n_submitted + 1;
	request->acknowledged = sim->acknowledged;
	g_ptr_array_add(sim->requests, request);
	g_hash_table_insert(
		sim->by_change, change_key(node->id, request->boot, request->seq), request);
	node->n_open++;
	node->n_submitted++;

	r = replica_submit(node->replica, op, request);
	if (r == 0) {
		g_steal_pointer(&op);
		return;
	}
	if (r != -EROFS && r != -EAGAIN)
		sim_fail(sim, "node %u: submitting gave %d", node->id, r);
	sim->figures.read_only += r == -EROFS;
	node->n_open--;
	node->n_submitted--;
	g_ptr_array_remove_index(sim->requests, sim->requests->len - 1);
	{
		g_autofree char *key = change_key(node->id, node->boot, node->n_submitted + 1);

		g_hash_table_remove(sim->by_change, key);
	}
}

void client_step(SimNode *node)
{
	Sim *sim = node->sim;
	uint64_t n = 1 + sim_random(sim, sim->client_depth);

	for (uint64_t i = 0; !sim->quiet && i < n && node->n_open < sim->client_depth; i++)
		submit(node);
}

void client_answer(SimNode *node, SimRequest *request, int result)
{
	Sim *sim = node->sim;

	if (request->answered || request->boot != node->boot || request->node != node->index)
		sim_fail(sim, "node %u: a request is answered that does not wait", node->id);
	request->answered = true;
	request->result = result;
	node->n_open--;
	g_ptr_array_add(sim->answered, request);
	sim_trace(sim, (uint64_t)-result + 1);
}
