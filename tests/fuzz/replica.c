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
#include "tests/unit/replicas.h"

#define STEPS_MAX 400
#define BUS_MAX   256

G_STATIC_ASSERT(STEPS_MAX <= ANSWER_MAX);

/* Of wire.c: version, type, zeros, then the view. */
#define HEADER_SIZE 24
#define VIEW_OFFSET 4

typedef struct World {
	struct fixture *f;
	unsigned sides[N_NODES];                 /* Of the cut. */
	uint8_t view[HEADER_SIZE - VIEW_OFFSET]; /* Of the message that was delivered last. */
	const struct node *liar;                 /* NULL: none yet. */
} World;

/* The nodes of one side. */
static unsigned side_mask(const World *world, unsigned side)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < N_NODES; i++)
		if (world->sides[i] == side)
			mask |= 1U << i;
	return mask;
}

static void start_world(World *world)
{
	void *fixture;

	(void)replicas_set_up(&fixture);
	world->f = fixture;
	world->f->bus_max = BUS_MAX;
	show_view(world->f, side_mask(world, 0));
}

/* A message as it is on the bus: its sender in front. */
static GByteArray *take_message(World *world)
{
	GBytes *message = g_queue_pop_head(&world->f->bus);

	return message ? g_bytes_unref_to_array(message) : NULL;
}

static void put_back(World *world, GByteArray *message)
{
	g_queue_push_head(&world->f->bus, g_byte_array_free_to_bytes(message));
}

static bool deliver_to_side(World *world)
{
	GByteArray *message = take_message(world);
	unsigned mask;

	if (!message)
		return false;
	if (message->len > HEADER_SIZE)
		memcpy(world->view, message->data + 1 + VIEW_OFFSET, sizeof(world->view));
	mask = side_mask(world, world->sides[message->data[0]]);
	if (world->liar)
		mask &= ~(1U << (world->liar->id - 1));
	put_back(world, message);
	return deliver(world->f, mask);
}

/* Lets all that is under way come to its end. */
static void settle_world(World *world)
{
	bool busy = true;

	for (unsigned i = 0; i < 100 && busy; i++) {
		busy = deliver_to_side(world);
		for (unsigned j = 0; j < N_NODES; j++)
			busy |= finish_disk(&world->f->nodes[j], 0);
	}
}

/* Members that are cut off lose what was under way: a view comes between. */
static void cut(World *world, unsigned i, unsigned side)
{
	unsigned old = world->sides[i];

	if (old == side)
		return;
	world->sides[i] = side;
	set_view(world->f, side_mask(world, old));
	show_view(world->f, side_mask(world, side));
}

static struct node *choose_node(World *world, FuzzInput *input)
{
	return &world->f->nodes[fuzz_number(input, 1) % N_NODES];
}

static void ask(World *world, FuzzInput *input)
{
	static const OpType types[] = {
		OP_CREATE, OP_REPLACE, OP_MKDIR, OP_UNLINK, OP_BARRIER, OP_LOCK, OP_RMDIR};
	static const char *const names[] = {
		"f", "g", "h", "d", "priv", "priv/lock", "priv/lock/a", "priv/lock/b"};
	struct node *node = choose_node(world, input);
	OpType type = types[fuzz_number(input, 1) % G_N_ELEMENTS(types)];
	const char *name = names[fuzz_number(input, 1) % G_N_ELEMENTS(names)];
	g_autoptr(Op) op = op_new(type, type == OP_BARRIER ? "" : name);

	if (type == OP_CREATE || type == OP_REPLACE)
		op->data = g_bytes_new(name, strlen(name));
	if (type == OP_LOCK) {
		op->owner = g_strdup("n");
		op->ttl_s = 10;
	}
	if (replica_submit(node->replica, op, new_token(node)) == 0)
		(void)g_steal_pointer(&op);
}

/* Renews a lock, or what the input takes for one. */
static void renew(World *world, FuzzInput *input)
{
	struct node *node = choose_node(world, input);
	uint64_t lock = fuzz_number(input, 1);

	(void)replica_renew(node->replica, lock, new_token(node));
}

/* Whether a member may lie: if it has before, or nobody else has. */
static bool lie(World *world, unsigned i)
{
	if (!world->liar)
		world->liar = &world->f->nodes[i];
	return world->liar == &world->f->nodes[i];
}

/* Changes bytes of the message that comes next, or its length. */
static void damage(World *world, FuzzInput *input)
{
	size_t at = fuzz_number(input, 2);
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 1) % 33, &size);
	GByteArray *message = take_message(world);

	if (!message)
		return;
	if (message->len > 1 && lie(world, message->data[0])) {
		at = 1 + at % (message->len - 1);
		if (size == 0)
			g_byte_array_set_size(message, (guint)at);
		else
			memcpy(message->data + at, bytes, MIN(size, message->len - at));
	}
	put_back(world, message);
}

/* A message of the input's own bytes; its view, if wanted, is the one that the members are in. */
static void inject(World *world, FuzzInput *input)
{
	uint8_t sender = fuzz_number(input, 1) % N_NODES;
	bool in_view = fuzz_number(input, 1) & 1;
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 2) % 1024, &size);
	g_autoptr(GByteArray) message = g_byte_array_new();
	uint8_t *copy;

	if (size == 0 || !lie(world, sender))
		return;
	g_byte_array_append(message, &sender, 1);
	g_byte_array_append(message, bytes, (guint)size);
	copy = message->data + 1;
	if (in_view && size >= HEADER_SIZE) {
		copy[0] = WIRE_VERSION;
		copy[2] = copy[3] = 0;
		memcpy(copy + VIEW_OFFSET, world->view, sizeof(world->view));
	}
	g_queue_push_tail(&world->f->bus, g_byte_array_free_to_bytes(g_steal_pointer(&message)));
}

static void step(World *world, FuzzInput *input)
{
	uint64_t command = fuzz_number(input, 1);

	switch (command % 11) {
	case 0:
		settle_world(world);
		break;
	case 1:
		(void)deliver_to_side(world);
		break;
	case 2:
		(void)finish_disk(choose_node(world, input), 0);
		break;
	case 3:
		(void)finish_disk(choose_node(world, input), -ENOSPC);
		break;
	case 4:
		pass_clock(world->f, ALL, (int64_t)fuzz_number(input, 2));
		break;
	case 5:
		cut(world, fuzz_number(input, 1) % N_NODES, 1);
		break;
	case 6:
		cut(world, fuzz_number(input, 1) % N_NODES, 0);
		break;
	case 7:
		ask(world, input);
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
	const struct node *nodes = world->f->nodes;

	for (unsigned i = 0; i < N_NODES; i++)
		for (unsigned j = 0; j < i; j++)
			if (status(&nodes[i]).commit == status(&nodes[j]).commit)
				assert_same_trees(&nodes[i], &nodes[j]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	World world = {.f = NULL};
	void *fixture;

	start_world(&world);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(&world, &input);
	settle_world(&world);
	pass_clock(world.f, ALL, 100);
	settle_world(&world);
	if (!world.liar)
		check(&world);
	fixture = world.f;
	(void)replicas_tear_down(&fixture);
	return 0;
}
