/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/pieces.h"

#include <errno.h>

#include "base/macro.h"

/* A piece on the bus:
 *
 *	offset  size  field
 *	0       1     version, 1
 *	1       1     PIECE_FIRST, PIECE_LAST
 *	2       2     number of the piece within its message, little-endian
 *	4             bytes of the message */
#define PIECE_VERSION 1
#define PIECE_FIRST   0x01
#define PIECE_LAST    0x02

G_STATIC_ASSERT(PIECES_MESSAGE_MAX / PIECE_DATA <= UINT16_MAX);

typedef struct Partial {
	uint16_t next;     /* Number of the piece that must come next. */
	GByteArray *bytes; /* What has arrived. */
} Partial;

struct Pieces {
	PiecesWhole whole;
	void *data;
	GHashTable *partials; /* Of Partial, by sender. */
};

size_t piece_begin(size_t message_size, size_t at, uint8_t ret_header[PIECE_HEADER])
{
	size_t size = MIN(message_size - at, PIECE_DATA);
	size_t number = at / PIECE_DATA;

	assert(at < message_size && at % PIECE_DATA == 0);
	assert(message_size <= PIECES_MESSAGE_MAX);

	ret_header[0] = PIECE_VERSION;
	ret_header[1] = (uint8_t)((at == 0 ? PIECE_FIRST : 0) |
				  (at + size == message_size ? PIECE_LAST : 0));
	ret_header[2] = (uint8_t)number;
	ret_header[3] = (uint8_t)(number >> 8);
	return size;
}

static void partial_free(void *data)
{
	Partial *partial = data;

	g_byte_array_unref(partial->bytes);
	g_free(partial);
}

Pieces *pieces_new(PiecesWhole whole, void *data)
{
	Pieces *pieces = g_new0(Pieces, 1);

	assert(whole);

	pieces->whole = whole;
	pieces->data = data;
	pieces->partials = g_hash_table_new_full(NULL, NULL, NULL, partial_free);
	return pieces;
}

Pieces *pieces_free(Pieces *pieces)
{
	if (!pieces)
		return NULL;

	g_hash_table_destroy(pieces->partials);
	g_free(pieces);
	return NULL;
}

static void forget(Pieces *pieces, uint32_t sender)
{
	(void)g_hash_table_remove(pieces->partials, GUINT_TO_POINTER(sender));
}

/* What there is of a sender's message, and the next piece of which is this one; NULL: the piece does
 * not follow on it, or its beginning was swept away. */
static Partial *find_partial(Pieces *pieces, uint32_t sender, uint16_t number, size_t size)
{
	Partial *partial = g_hash_table_lookup(pieces->partials, GUINT_TO_POINTER(sender));

	if (!partial)
		return NULL;
	if (number != partial->next || size > PIECES_MESSAGE_MAX - partial->bytes->len) {
		forget(pieces, sender);
		return NULL;
	}
	return partial;
}

static void begin(Pieces *pieces, uint32_t sender)
{
	Partial *partial = g_new0(Partial, 1);

	partial->bytes = g_byte_array_new();
	(void)g_hash_table_insert(pieces->partials, GUINT_TO_POINTER(sender), partial);
}

int pieces_add(Pieces *pieces, uint32_t sender, const uint8_t *bytes, size_t size)
{
	Partial *partial;
	uint16_t number;
	unsigned flags;

	if (size < PIECE_HEADER || bytes[0] != PIECE_VERSION)
		return -EBADMSG;
	flags = bytes[1];
	number = (uint16_t)(bytes[2] | bytes[3] << 8);
	bytes += PIECE_HEADER;
	size -= PIECE_HEADER;

	if (flags & PIECE_FIRST)
		forget(pieces, sender);
	/* Most messages are one piece, which need not be kept. */
	if (flags & PIECE_FIRST && flags & PIECE_LAST && number == 0) {
		pieces->whole(pieces->data, sender, bytes, size);
		return 0;
	}
	if (flags & PIECE_FIRST)
		begin(pieces, sender);
	partial = find_partial(pieces, sender, number, size);
	if (!partial)
		return 0;
	partial->next++;
	g_byte_array_append(partial->bytes, bytes, (guint)size);
	if (flags & PIECE_LAST) {
		(void)g_hash_table_steal(pieces->partials, GUINT_TO_POINTER(sender));
		pieces->whole(pieces->data, sender, partial->bytes->data, partial->bytes->len);
		partial_free(partial);
	}
	return 0;
}

void pieces_clear(Pieces *pieces)
{
	g_hash_table_remove_all(pieces->partials);
}
