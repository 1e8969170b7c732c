/* SPDX-License-Identifier: Apache-2.0 */

/* What replicas make of messages that no replica would send, in every state.
 *
 * The input is a program for three members on one bus: to deliver, to write, to let time pass, to
 * cut a member off and bring it back, to ask for changes, and, between these, to damage the message
 * that comes next or to put in one of the input's own bytes.  All who get a message get the same,
 * as the bus promises.  One member may lie so, and is heard no more but for its lies: what it would
 * make of words that it never said is not asked.  Nothing that it says may stop the others; and
 * while nobody has lied, members that have applied as much have the same tree. */

#include "cfs/replica.h"

#include "cfs/wire.h"
#include "tests/fuzz/fuzz.h"

#define N_NODES   3
#define STEPS_MAX 400
#define BUS_MAX   256

/* Of wire.c: version, type, zeros, then the view. */
#define HEADER_SIZE 24
#define VIEW_OFFSET 4

typedef struct World World;

typedef struct Node {
	World *world;
	uint32_t id;
	unsigned side; /* Of the cut. */
	Replica *replica;
	bool writing;
} Node;

typedef struct Packet {
	unsigned sender; /* Index of the node. */
	GByteArray *bytes;
} Packet;

struct World {
	int64_t now_ms;
	Node nodes[N_NODES];
	GQueue bus;                              /* Of Packet. */
	uint8_t view[HEADER_SIZE - VIEW_OFFSET]; /* Of the message that was delivered last. */
	const Node *liar;                        /* NULL: none yet. */
	uintptr_t n_submitted;
};

static const TreeLimits limits = {.file_max = 65536, .total_max = 1048576, .entries_max = 200};

static int64_t env_now_ms(void *data)
{
	return ((const Node *)data)->world->now_ms;
}

static void put_packet(World *world, unsigned sender, const void *bytes, size_t size)
{
	Packet *packet = g_new0(Packet, 1);

	packet->sender = sender;
	packet->bytes = g_byte_array_append(g_byte_array_new(), bytes, (guint)size);
	g_queue_push_tail(&world->bus, packet);
}

static int env_send(void *data, GBytes *message)
{
	Node *node = data;
	gsize size;
	const void *bytes = g_bytes_get_data(message, &size);

	if (g_queue_get_length(&node->world->bus) >= BUS_MAX)
		return -EAGAIN;
	put_packet(node->world, node->id - 1, bytes, size);
	return 0;
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	Node *node = data;

	assert(!node->writing);
	node->writing = true;
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
}

static void env_answer(void *data, void *token, int result)
{
}

static void env_bad_message(void *data, uint32_t node, int error)
{
}

static void env_state_changed(void *data)
{
}

/* Tells the members of one side that they are together. */
static void show_view(World *world, unsigned side)
{
	uint32_t members[N_NODES];
	unsigned n_members = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		if (world->nodes[i].side == side)
			members[n_members++] = world->nodes[i].id;
	for (unsigned i = 0; i < N_NODES; i++) {
		const uint32_t configured[N_NODES] = {1, 2, 3};
		const ReplicaQuorum quorum = {.quorate = n_members > N_NODES / 2,
			.configured = configured,
			.n_configured = N_NODES,
			.n_online = n_members};

		if (world->nodes[i].side != side)
			continue;
		replica_view_changed(world->nodes[i].replica, members, n_members);
		replica_quorum_changed(world->nodes[i].replica, &quorum);
	}
}

static void start(World *world)
{
	for (unsigned i = 0; i < N_NODES; i++) {
		Node *node = &world->nodes[i];
		const ReplicaEnv env = {.data = node,
			.now_ms = env_now_ms,
			.send = env_send,
			.persist = env_persist,
			.applied = env_applied,
			.answer = env_answer,
			.bad_message = env_bad_message,
			.state_changed = env_state_changed};
		const ReplicaOptions options = {
			.node = i + 1, .boot = i + 1, .trusted = true, .limits = limits};
		g_autoptr(ReplicaBatch) empty = replica_batch_new();
		int r;

		node->world = world;
		node->id = i + 1;
		r = replica_new(&options, &env, empty, &node->replica, NULL);
		assert(r == 0);
	}
	show_view(world, 0);
}

static void packet_free(Packet *packet)
{
	g_byte_array_unref(packet->bytes);
	g_free(packet);
}

static bool deliver(World *world)
{
	Packet *packet = g_queue_pop_head(&world->bus);
	unsigned side;

	if (!packet)
		return false;
	side = world->nodes[packet->sender].side;
	if (packet->bytes->len >= HEADER_SIZE)
		memcpy(world->view, packet->bytes->data + VIEW_OFFSET, sizeof(world->view));
	for (unsigned i = 0; i < N_NODES; i++)
		if (world->nodes[i].side == side && world->liar != &world->nodes[i])
			replica_message(world->nodes[i].replica, packet->sender + 1,
				packet->bytes->data, packet->bytes->len);
	packet_free(packet);
	return true;
}

static void persisted(Node *node, int result)
{
	if (!node->writing)
		return;
	node->writing = false;
	replica_persisted(node->replica, result);
}

static void pass(World *world, int64_t ms)
{
	world->now_ms += ms;
	for (unsigned i = 0; i < N_NODES; i++)
		replica_tick(world->nodes[i].replica);
}

/* Lets all that is under way come to its end. */
static void settle(World *world)
{
	for (unsigned i = 0; i < 100; i++) {
		bool busy = deliver(world);

		for (unsigned j = 0; j < N_NODES; j++) {
			busy |= world->nodes[j].writing;
			persisted(&world->nodes[j], 0);
		}
		if (!busy)
			break;
	}
}

/* Members that are cut off lose what was under way: a view comes between. */
static void cut(World *world, unsigned i, unsigned side)
{
	unsigned old = world->nodes[i].side;
	Packet *packet;

	if (old == side)
		return;
	while ((packet = g_queue_pop_head(&world->bus)))
		packet_free(packet);
	world->nodes[i].side = side;
	show_view(world, old);
	show_view(world, side);
}

static void submit(World *world, FuzzInput *input)
{
	static const OpType types[] = {
		OP_CREATE, OP_REPLACE, OP_MKDIR, OP_UNLINK, OP_BARRIER, OP_LOCK, OP_RMDIR};
	static const char *const names[] = {
		"f", "g", "h", "d", "priv", "priv/lock", "priv/lock/a", "priv/lock/b"};
	unsigned i = fuzz_number(input, 1) % N_NODES;
	OpType type = types[fuzz_number(input, 1) % G_N_ELEMENTS(types)];
	const char *name = names[fuzz_number(input, 1) % G_N_ELEMENTS(names)];
	g_autoptr(Op) op = op_new(type, type == OP_BARRIER ? "" : name);

	if (type == OP_CREATE || type == OP_REPLACE)
		op->data = g_bytes_new(name, strlen(name));
	if (type == OP_LOCK) {
		op->owner = g_strdup("n");
		op->ttl_s = 10;
	}
	world->n_submitted++;
	if (replica_submit(world->nodes[i].replica, op, GUINT_TO_POINTER(world->n_submitted)) == 0)
		(void)g_steal_pointer(&op);
}

/* Renews a lock, or what the input takes for one. */
static void renew(World *world, FuzzInput *input)
{
	unsigned i = fuzz_number(input, 1) % N_NODES;
	uint64_t lock = fuzz_number(input, 1);

	world->n_submitted++;
	(void)replica_renew(world->nodes[i].replica, lock, GUINT_TO_POINTER(world->n_submitted));
}

/* Whether a member may lie: if it has before, or nobody else has. */
static bool lie(World *world, unsigned i)
{
	if (!world->liar)
		world->liar = &world->nodes[i];
	return world->liar == &world->nodes[i];
}

/* Changes bytes of the message that comes next, or its length. */
static void damage(World *world, FuzzInput *input)
{
	Packet *packet = g_queue_peek_head(&world->bus);
	size_t at = fuzz_number(input, 2);
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 1) % 33, &size);

	if (!packet || packet->bytes->len == 0 || !lie(world, packet->sender))
		return;
	at %= packet->bytes->len;
	if (size == 0)
		g_byte_array_set_size(packet->bytes, (guint)at);
	else
		memcpy(packet->bytes->data + at, bytes, MIN(size, packet->bytes->len - at));
}

/* A message of the input's own bytes; its view, if wanted, is the one that the members are in. */
static void inject(World *world, FuzzInput *input)
{
	unsigned sender = fuzz_number(input, 1) % N_NODES;
	bool in_view = fuzz_number(input, 1) & 1;
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 2) % 1024, &size);
	g_autofree uint8_t *copy = g_memdup2(bytes, size);

	if (size == 0 || !lie(world, sender))
		return;
	if (in_view && size >= HEADER_SIZE) {
		copy[0] = WIRE_VERSION;
		copy[2] = copy[3] = 0;
		memcpy(copy + VIEW_OFFSET, world->view, sizeof(world->view));
	}
	put_packet(world, sender, copy, size);
}

static void step(World *world, FuzzInput *input)
{
	uint64_t command = fuzz_number(input, 1);

	switch (command % 11) {
	case 0:
		settle(world);
		break;
	case 1:
		(void)deliver(world);
		break;
	case 2:
		persisted(&world->nodes[fuzz_number(input, 1) % N_NODES], 0);
		break;
	case 3:
		persisted(&world->nodes[fuzz_number(input, 1) % N_NODES], -ENOSPC);
		break;
	case 4:
		pass(world, (int64_t)fuzz_number(input, 2));
		break;
	case 5:
		cut(world, fuzz_number(input, 1) % N_NODES, 1);
		break;
	case 6:
		cut(world, fuzz_number(input, 1) % N_NODES, 0);
		break;
	case 7:
		submit(world, input);
		break;
	case 8:
		damage(world, input);
		break;
	case 9:
		inject(world, input);
		break;
	default:
		renew(world, input);
		break;
	}
}

static void check(const World *world)
{
	ReplicaStatus first, other;

	for (unsigned i = 0; i < N_NODES; i++) {
		g_autofree char *first_tree =
			tree_dup_digest(replica_tree(world->nodes[i].replica));

		replica_status(world->nodes[i].replica, &first);
		for (unsigned j = 0; j < i; j++) {
			g_autofree char *tree =
				tree_dup_digest(replica_tree(world->nodes[j].replica));

			replica_status(world->nodes[j].replica, &other);
			assert(other.commit != first.commit || strcmp(tree, first_tree) == 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	World world = {0};
	Packet *packet;

	start(&world);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(&world, &input);
	settle(&world);
	pass(&world, 100);
	settle(&world);
	if (!world.liar)
		check(&world);

	while ((packet = g_queue_pop_head(&world.bus)))
		packet_free(packet);
	for (unsigned i = 0; i < N_NODES; i++)
		replica_free(world.nodes[i].replica);
	return 0;
}
