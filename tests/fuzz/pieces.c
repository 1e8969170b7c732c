/* SPDX-License-Identifier: Apache-2.0 */

/* What members of the bus send in pieces.  Whatever some of them send, a message comes whole or not at
 * all, and one whose pieces all came in order comes.
 *
 *	input   commands: u8 command and sender, then
 *	        0  a piece of any content: u16 size, bytes
 *	        1  a new message of the sender: u24 size
 *	        2  its next piece
 *	        3  a change of membership */

#include "cfs/pieces.h"

#include "tests/fuzz/fuzz.h"

#define N_SENDERS   3
#define STEPS_MAX   200
#define MESSAGE_MAX (8 * PIECE_DATA)

/* One who sends messages that are all of one byte. */
typedef struct Sender {
	size_t size; /* Of its message; 0: there is none. */
	size_t at;   /* Sent of it. */
	uint8_t fill;
	bool disturbed; /* Something has come between its pieces. */
	unsigned n_whole;
} Sender;

typedef struct World {
	Pieces *pieces;
	Sender senders[N_SENDERS];
	bool raw; /* What comes is not of a sender's message. */
} World;

static void on_whole(void *data, uint32_t number, const uint8_t *bytes, size_t size)
{
	World *world = data;
	Sender *sender = &world->senders[number - 1];

	assert(size <= PIECES_MESSAGE_MAX);

	if (world->raw || sender->disturbed)
		return;
	sender->n_whole++;
	assert(sender->at == sender->size && size == sender->size);
	for (size_t i = 0; i < size; i++)
		assert(bytes[i] == sender->fill);
}

static void add_raw(World *world, uint32_t number, FuzzInput *input)
{
	size_t size;
	const uint8_t *bytes = fuzz_bytes(input, fuzz_number(input, 2), &size);

	world->raw = true;
	(void)pieces_add(world->pieces, number, bytes, size);
	world->raw = false;
	world->senders[number - 1].disturbed |= world->senders[number - 1].at > 0;
}

static void begin(Sender *sender, FuzzInput *input)
{
	sender->size = fuzz_number(input, 3) % MESSAGE_MAX + 1;
	sender->at = 0;
	sender->fill++;
	sender->disturbed = false;
}

static void send_next(World *world, uint32_t number)
{
	Sender *sender = &world->senders[number - 1];
	unsigned n_before = sender->n_whole;
	g_autofree uint8_t *piece = NULL;
	size_t size;
	int r;

	if (sender->at == sender->size)
		return;
	piece = g_malloc(PIECE_HEADER + PIECE_DATA);
	size = piece_begin(sender->size, sender->at, piece);
	memset(piece + PIECE_HEADER, sender->fill, size);
	sender->at += size;
	r = pieces_add(world->pieces, number, piece, PIECE_HEADER + size);
	assert(r == 0);
	if (!sender->disturbed)
		assert(sender->n_whole - n_before == (sender->at == sender->size));
}

static void clear(World *world)
{
	pieces_clear(world->pieces);
	for (unsigned i = 0; i < N_SENDERS; i++)
		world->senders[i].disturbed |= world->senders[i].at > 0;
}

static void step(World *world, FuzzInput *input)
{
	unsigned command = (unsigned)fuzz_number(input, 1);
	uint32_t number = command / 4 % N_SENDERS + 1;

	switch (command % 4) {
	case 0:
		add_raw(world, number, input);
		break;
	case 1:
		begin(&world->senders[number - 1], input);
		break;
	case 2:
		send_next(world, number);
		break;
	default:
		clear(world);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	World world = {.pieces = NULL};

	world.pieces = pieces_new(on_whole, &world);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(&world, &input);
	world.pieces = pieces_free(world.pieces);
	return 0;
}
