/* SPDX-License-Identifier: Apache-2.0 */

/* Messages beside the log: what a member tells of its status and of the cluster log.  Three nodes
 * hear the same; the input is a program of views, changes and messages. */

#include "cfs/beside.h"

#include "cfs/clusterlog.h"
#include "cfs/status.h"
#include "tests/fuzz/fuzz.h"

#define N_NODES   3
#define STEPS_MAX 300
#define BUS_MAX   64

typedef struct World {
	Status *status[N_NODES];
	ClusterLog *log[N_NODES];
	GQueue bus;     /* Of GBytes, … */
	GQueue senders; /* … and of their senders. */
} World;

typedef struct Sender {
	World *world;
	uint32_t node;
} Sender;

static int env_send(void *data, GBytes *message)
{
	Sender *sender = data;

	if (g_queue_get_length(&sender->world->bus) >= BUS_MAX)
		return -EAGAIN;
	g_queue_push_tail(&sender->world->bus, g_bytes_ref(message));
	g_queue_push_tail(&sender->world->senders, GUINT_TO_POINTER(sender->node));
	return 0;
}

static void env_changed(void *data, const StatusItem *item)
{
	assert(item->key && strlen(item->key) <= STATUS_KEY_MAX);
}

static void env_added(void *data)
{
}

static void hear(World *world, uint32_t sender, const uint8_t *bytes, size_t size)
{
	int first = 0;

	for (unsigned i = 0; i < N_NODES; i++) {
		int r = 0;

		switch (beside_type(bytes, size)) {
		case BESIDE_STATUS:
			r = status_message(world->status[i], sender, bytes, size);
			break;
		case BESIDE_LOG:
			r = clusterlog_message(world->log[i], bytes, size);
			break;
		default:
			break;
		}
		/* Whether it is a message depends on its bytes alone. */
		if (i == 0)
			first = r;
		assert((r == -EBADMSG) == (first == -EBADMSG));
	}
}

static void deliver(World *world)
{
	g_autoptr(GBytes) message = g_queue_pop_head(&world->bus);
	uint32_t sender = GPOINTER_TO_UINT(g_queue_pop_head(&world->senders));
	gsize size;
	const uint8_t *bytes;

	if (!message)
		return;
	bytes = g_bytes_get_data(message, &size);
	hear(world, sender, bytes, size);
}

static void show_view(World *world, unsigned mask)
{
	uint32_t nodes[N_NODES];
	unsigned n_nodes = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		if (mask & 1U << i)
			nodes[n_nodes++] = i + 1;
	for (unsigned i = 0; i < N_NODES; i++) {
		if (!(mask & 1U << i))
			continue;
		status_view_changed(world->status[i], nodes, n_nodes);
		clusterlog_view_changed(world->log[i], nodes, n_nodes);
	}
}

static void write_log(World *world, unsigned i, FuzzInput *input)
{
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 1), &size);
	g_autofree char *text = fuzz_dup_text(bytes, size);
	const ClusterLogEntry entry = {.time_s = fuzz_number(input, 1),
		.priority = (uint8_t)(fuzz_number(input, 1) % 9),
		.host = "n",
		.user = "root",
		.tag = "test",
		.message = text};

	(void)clusterlog_write(world->log[i], &entry);
}

static void set_status(World *world, unsigned i, FuzzInput *input)
{
	g_autofree char *key = g_strdup_printf("k%u", (unsigned)fuzz_number(input, 1) % 4);
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 1), &size);
	g_autoptr(GBytes) value = g_bytes_new(bytes, size);

	(void)status_set(world->status[i], key, size > 0 ? value : NULL);
}

static void step(World *world, FuzzInput *input)
{
	unsigned command = (unsigned)fuzz_number(input, 1);
	unsigned i = command / 8 % N_NODES;
	const uint8_t *bytes;
	size_t size;

	switch (command % 8) {
	case 0:
		show_view(world, (unsigned)fuzz_number(input, 1));
		break;
	case 1:
		set_status(world, i, input);
		break;
	case 2:
		write_log(world, i, input);
		break;
	case 3:
		status_flush(world->status[i]);
		clusterlog_flush(world->log[i]);
		break;
	case 4:
		bytes = fuzz_bytes(input, fuzz_number(input, 2), &size);
		hear(world, i + 1, bytes, size);
		break;
	default:
		deliver(world);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	Sender senders[N_NODES];
	World world = {0};

	for (unsigned i = 0; i < N_NODES; i++) {
		const BesideEnv env = {.data = &senders[i], .send = env_send};
		const StatusOptions status = {
			.env = env, .node = i + 1, .version = 1, .changed = env_changed};
		const ClusterLogOptions log = {
			.env = env, .node = i + 1, .boot = i + 1, .added = env_added};

		senders[i] = (Sender){.world = &world, .node = i + 1};
		world.status[i] = status_new(&status);
		world.log[i] = clusterlog_new(&log);
	}
	show_view(&world, (1U << N_NODES) - 1);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(&world, &input);
	while (!g_queue_is_empty(&world.bus))
		deliver(&world);
	for (unsigned i = 0; i < N_NODES; i++) {
		status_free(world.status[i]);
		clusterlog_free(world.log[i]);
	}
	g_queue_clear_full(&world.bus, (GDestroyNotify)g_bytes_unref);
	g_queue_clear(&world.senders);
	return 0;
}
