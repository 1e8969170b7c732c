/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/replicas.h"

#include <string.h>

#include "base/macro.h"

const TreeLimits replicas_limits = {.file_max = 1 << 20, .total_max = 8 << 20, .entries_max = 50};

/* --- The world of a replica ------------------------------------------------------------------- */

int64_t env_now_ms(void *data)
{
	return ((const struct node *)data)->f->now_ms;
}

static int env_send(void *data, GBytes *message)
{
	struct node *node = data;
	GByteArray *bytes = g_byte_array_new();
	uint8_t index = (uint8_t)(node->id - 1);
	gsize size;
	const uint8_t *from = g_bytes_get_data(message, &size);

	if (node->bus_full || (node->f->bus_max > 0 && node->f->bus.length >= node->f->bus_max)) {
		g_byte_array_unref(bytes);
		return -EAGAIN;
	}
	g_byte_array_append(bytes, &index, 1);
	g_byte_array_append(bytes, from, (guint)size);
	g_queue_push_tail(&node->f->bus, g_byte_array_free_to_bytes(bytes));
	return 0;
}

bool finish_disk(struct node *node, int result)
{
	if (!node->batch)
		return false;
	node->batch = NULL;
	replica_persisted(node->replica, result);
	return true;
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	struct node *node = data;

	assert_null(node->batch);
	/* What the rows do not contain is in the log. */
	assert_true(batch->log_first <= batch->scalars.commit + 1);
	assert_true(batch->scalars.known >= batch->scalars.commit);
	node->batch = batch;
	node->n_batches++;
	node->n_syncs += batch->sync;
	node->n_rows = MAX(node->n_rows, batch->rows->len);
	if (node->at_once && !node->held)
		finish_disk(node, 0);
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
	struct node *node = data;

	assert_true(changes->len > 0);
	node->n_applied++;
	node->n_own += token != NULL;
}

static void env_answer(void *data, void *token, int result)
{
	struct node *node = data;
	unsigned i = GPOINTER_TO_UINT(token) - 1;

	assert_int_equal(node->answers[i], NO_ANSWER);
	node->answers[i] = result;
}

static void env_bad_message(void *data, uint32_t from, int error)
{
	struct node *node = data;

	assert_true(from > 0);
	node->n_bad++;
	node->bad_error = error;
}

static void env_state_changed(void *data)
{
}

void start(struct node *node, uint64_t boot, const ReplicaBatch *image)
{
	const ReplicaEnv env = {.data = node,
		.now_ms = env_now_ms,
		.send = env_send,
		.persist = env_persist,
		.applied = env_applied,
		.answer = env_answer,
		.bad_message = env_bad_message,
		.state_changed = env_state_changed};
	const ReplicaOptions options = {.node = node->id,
		.boot = boot,
		.trusted = !node->stranger,
		.limits = replicas_limits,
		.log_entries_max = node->f->small ? 8 : 0,
		.piece_max = node->f->small ? 100 : 0,
		.list_max = node->f->small ? 3 : 0};
	g_autoptr(ReplicaBatch) empty = replica_batch_new();
	g_autoptr(GError) err = NULL;

	assert_int_equal(
		replica_new(&options, &env, image ? image : empty, &node->replica, &err), 0);
	for (unsigned i = 0; i < ANSWER_MAX; i++)
		node->answers[i] = NO_ANSWER;
}

static struct fixture *fixture_new(bool small)
{
	struct fixture *f = g_new0(struct fixture, 1);

	f->small = small;
	g_queue_init(&f->bus);
	for (unsigned i = 0; i < N_NODES; i++) {
		f->nodes[i].f = f;
		f->nodes[i].id = i + 1;
		start(&f->nodes[i], 100 + i, NULL);
	}
	return f;
}

int replicas_set_up(void **state)
{
	*state = fixture_new(false);
	return 0;
}

int replicas_set_up_small(void **state)
{
	*state = fixture_new(true);
	return 0;
}

static void bytes_free(void *data)
{
	g_bytes_unref(data);
}

int replicas_tear_down(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < N_NODES; i++)
		replica_free(f->nodes[i].replica);
	g_queue_clear_full(&f->bus, bytes_free);
	g_free(f);
	return 0;
}

/* Starts a node anew with nothing on its disk, and without the operator's word. */
void forget(struct node *node)
{
	node->replica = replica_free(node->replica);
	node->batch = NULL;
	node->stranger = true;
	start(node, node->id + 1000, NULL);
}

/* --- Driving ---------------------------------------------------------------------------------- */

void tell_quorum(
	struct node *node, unsigned n_configured, unsigned n_online, bool quorate, bool two_node)
{
	static const uint32_t ids[] = {1, 2, 3};
	const ReplicaQuorum quorum = {.configured = ids,
		.n_configured = n_configured,
		.n_online = n_online,
		.quorate = quorate,
		.two_node = two_node};

	replica_quorum_changed(node->replica, &quorum);
}

void show_view(struct fixture *f, unsigned mask)
{
	uint32_t ids[N_NODES];
	unsigned n_ids = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			ids[n_ids++] = i + 1;
	for (unsigned i = 0; i < N_NODES; i++) {
		if (!(mask & 1U << i))
			continue;
		tell_quorum(&f->nodes[i], N_NODES, n_ids, n_ids > N_NODES / 2, false);
		replica_view_changed(f->nodes[i].replica, ids, n_ids);
	}
}

void set_view(struct fixture *f, unsigned mask)
{
	g_queue_clear_full(&f->bus, bytes_free);
	show_view(f, mask);
}

/* Delivers one message to the nodes of the mask; false when there is none. */
bool deliver(struct fixture *f, unsigned mask)
{
	g_autoptr(GBytes) message = g_queue_pop_head(&f->bus);
	gsize size;
	const uint8_t *bytes;

	if (!message)
		return false;
	bytes = g_bytes_get_data(message, &size);
	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			replica_message(f->nodes[i].replica, bytes[0] + 1U, bytes + 1, size - 1);
	return true;
}

WireType next_type(const struct fixture *f)
{
	GBytes *message = g_queue_peek_head((GQueue *)&f->bus);

	return message ? ((const uint8_t *)g_bytes_get_data(message, NULL))[2] : WIRE_INVALID;
}

void deliver_until(struct fixture *f, unsigned mask, WireType stop)
{
	while (next_type(f) != stop && deliver(f, mask))
		continue;
}

void hold(struct node *node)
{
	node->held = true;
}

void let_go(struct node *node)
{
	node->held = false;
	(void)finish_disk(node, 0);
}

/* Lets the nodes of the mask go on, without a clock, until nothing is under way; the disks of the
 * second mask are done with nothing. */
void settle_without(struct fixture *f, unsigned mask, unsigned stuck)
{
	bool more = true;

	while (more) {
		more = deliver(f, mask);
		for (unsigned i = 0; i < N_NODES; i++)
			if (mask & ~stuck & 1U << i && !f->nodes[i].held)
				more |= finish_disk(&f->nodes[i], 0);
	}
}

void settle(struct fixture *f, unsigned mask)
{
	settle_without(f, mask, 0);
}

void pass_clock(struct fixture *f, unsigned mask, int64_t ms)
{
	f->now_ms += ms;
	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			replica_tick(f->nodes[i].replica);
}

void pass(struct fixture *f, unsigned mask, int64_t ms)
{
	pass_clock(f, mask, ms);
	settle(f, mask);
}

void *new_token(struct node *node)
{
	assert_true(node->n_tokens < ANSWER_MAX);
	node->answers[node->n_tokens] = NO_ANSWER;
	return GUINT_TO_POINTER(++node->n_tokens);
}

int last_answer(const struct node *node)
{
	return node->answers[node->n_tokens - 1];
}

int submit(struct node *node, unsigned token, const char *path)
{
	g_autoptr(Op) op = op_new(OP_CREATE, path);
	int r;

	op->data = g_bytes_new_static("x", 1);
	r = replica_submit(node->replica, op, GUINT_TO_POINTER(token));
	if (r == 0)
		g_steal_pointer(&op);
	return r;
}

ReplicaStatus status(const struct node *node)
{
	ReplicaStatus ret;

	replica_status(node->replica, &ret);
	return ret;
}

bool has(const struct node *node, const char *path)
{
	return tree_by_path(replica_tree(node->replica), path) != NULL;
}

void create_files(struct fixture *f, unsigned mask, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		g_autofree char *path = g_strdup_printf("f%u", i);

		assert_int_equal(submit(&f->nodes[0], i + 1, path), 0);
		settle(f, mask);
		assert_int_equal(f->nodes[0].answers[i], 0);
	}
}

void assert_same_trees(const struct node *a, const struct node *b)
{
	g_autofree char *left = tree_dup_digest(replica_tree(a->replica));
	g_autofree char *right = tree_dup_digest(replica_tree(b->replica));

	assert_string_equal(left, right);
}

WireView current_view(struct fixture *f)
{
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(g_queue_peek_head(&f->bus), &size);
	WireMessage message;

	assert_int_equal(wire_decode(bytes + 1, size - 1, &message), 0);
	return message.view;
}
