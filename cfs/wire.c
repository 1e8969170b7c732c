/* SPDX-License-Identifier: Apache-2.0 */

/* Layouts, all numbers little-endian.  Every message begins with
 *
 *	offset  size  what
 *	     0     1  version, WIRE_VERSION
 *	     1     1  type (WireType)
 *	     2     2  0
 *	     4     4  view: node
 *	     8     8  view: boot
 *	    16     8  view: counter
 *
 * and goes on at 24 with
 *
 *	VIEW     u32 n, n * u32 member, u32 m, m * u32 node (both ascending, none 0)
 *	STATE    u64 promised, u64 adopted, u64 last, u64 commit, 32 bytes hash at last,
 *	         32 bytes hash at commit, u8 quorate, u8 reduced, u8 trusted, u8 unsure, u32 n_online,
 *	         u32 n, n * u32 configured node
 *	PROMISE  u64 epoch
 *	OPS      u64 epoch, u64 boot, u8 acknowledges, u64 acknowledged (0 unless it does),
 *	         u32 n (1 to REPLICA_IN_FLIGHT_MAX),
 *	         n * (u64 seq (ascending, none 0), u32 size, operation)
 *	ACK      u64 epoch, u64 index
 *	PIECE    u64 epoch, u32 number, u8 final, u8 0, u16 0, u32 size, bytes
 *	LIST     u64 epoch, u32 session, u64 after, u64 upto, u32 n,
 *	         n * (u64 inode (ascending, above after, not above upto), u64 version,
 *	         16 bytes digest)
 *	AGAIN    u64 epoch
 *	RENEW    u64 epoch, u32 n (1 to WIRE_RENEW_MAX), n * u64 token (none 0)
 *	CONFIRM  u64 epoch, u64 renewals */

#include "cfs/wire.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

/* We go on from what we hear: a higher number of a broken member would become ours, and one more than our
 * own database may hold. */
#define NUMBER_HEARD_MAX (REPLICA_NUMBER_MAX / 2)

bool wire_view_equal(const WireView *a, const WireView *b)
{
	return a->node == b->node && a->boot == b->boot && a->counter == b->counter;
}

/* --- Encoding --------------------------------------------------------------------------------- */

static void put_nodes(GByteArray *out, const uint32_t *nodes, uint32_t n_nodes)
{
	assert(n_nodes <= REPLICA_NODES_MAX);

	bytes_put_u32(out, n_nodes);
	for (uint32_t i = 0; i < n_nodes; i++)
		bytes_put_u32(out, nodes[i]);
}

static void put_state(GByteArray *out, const WireState *state)
{
	bytes_put_u64(out, state->promised);
	bytes_put_u64(out, state->adopted);
	bytes_put_u64(out, state->last);
	bytes_put_u64(out, state->commit);
	bytes_put(out, state->last_hash, sizeof(state->last_hash));
	bytes_put(out, state->commit_hash, sizeof(state->commit_hash));
	bytes_put_u8(out, state->quorate);
	bytes_put_u8(out, state->reduced);
	bytes_put_u8(out, state->trusted);
	bytes_put_u8(out, state->unsure);
	bytes_put_u32(out, state->n_online);
	put_nodes(out, state->configured, state->n_configured);
}

static void put_ops(GByteArray *out, const WireMessage *message)
{
	assert(message->ops.n_ops >= 1);
	assert(message->ops.n_ops <= REPLICA_IN_FLIGHT_MAX);

	bytes_put_u64(out, message->ops.epoch);
	bytes_put_u64(out, message->ops.boot);
	bytes_put_u8(out, message->ops.acknowledges);
	bytes_put_u64(out, message->ops.acknowledged);
	bytes_put_u32(out, message->ops.n_ops);
	for (uint32_t i = 0; i < message->ops.n_ops; i++) {
		const WireOp *op = &message->ops.ops[i];

		bytes_put_u64(out, op->seq);
		bytes_put_u32(out, (uint32_t)op->size);
		bytes_put(out, op->bytes, op->size);
	}
}

static void put_piece(GByteArray *out, const WireMessage *message)
{
	assert(message->piece.size <= WIRE_PIECE_MAX);

	bytes_put_u64(out, message->piece.epoch);
	bytes_put_u32(out, message->piece.number);
	bytes_put_u8(out, message->piece.final);
	bytes_put_u8(out, 0);
	bytes_put_u16(out, 0);
	bytes_put_u32(out, (uint32_t)message->piece.size);
	bytes_put(out, message->piece.bytes, message->piece.size);
}

static void put_renew(GByteArray *out, const WireMessage *message)
{
	assert(message->renew.n_tokens >= 1 && message->renew.n_tokens <= WIRE_RENEW_MAX);

	bytes_put_u64(out, message->renew.epoch);
	bytes_put_u32(out, message->renew.n_tokens);
	for (uint32_t i = 0; i < message->renew.n_tokens; i++)
		bytes_put_u64(out, message->renew.tokens[i]);
}

void wire_put_list_row(GByteArray *bytes, const WireListRow *row)
{
	bytes_put_u64(bytes, row->inode);
	bytes_put_u64(bytes, row->version);
	bytes_put(bytes, row->digest, sizeof(row->digest));
}

static void put_list(GByteArray *out, const WireMessage *message)
{
	assert(message->list.n_rows <= WIRE_LIST_ROWS_MAX);

	bytes_put_u64(out, message->list.epoch);
	bytes_put_u32(out, message->list.session);
	bytes_put_u64(out, message->list.after);
	bytes_put_u64(out, message->list.upto);
	bytes_put_u32(out, message->list.n_rows);
	bytes_put(out, message->list.bytes, (size_t)message->list.n_rows * WIRE_LIST_ROW_SIZE);
}

GBytes *wire_encode(const WireMessage *message)
{
	GByteArray *out = g_byte_array_new();

	assert(message);

	bytes_put_u8(out, WIRE_VERSION);
	bytes_put_u8(out, (uint8_t)message->type);
	bytes_put_u16(out, 0);
	bytes_put_u32(out, message->view.node);
	bytes_put_u64(out, message->view.boot);
	bytes_put_u64(out, message->view.counter);

	switch (message->type) {
	case WIRE_VIEW:
		put_nodes(out, message->announce.members, message->announce.n_members);
		put_nodes(out, message->announce.nodes, message->announce.n_nodes);
		break;
	case WIRE_STATE:
		put_state(out, &message->state);
		break;
	case WIRE_PROMISE:
		bytes_put_u64(out, message->promise.epoch);
		break;
	case WIRE_OPS:
		put_ops(out, message);
		break;
	case WIRE_ACK:
		bytes_put_u64(out, message->ack.epoch);
		bytes_put_u64(out, message->ack.index);
		break;
	case WIRE_PIECE:
		put_piece(out, message);
		break;
	case WIRE_LIST:
		put_list(out, message);
		break;
	case WIRE_AGAIN:
		bytes_put_u64(out, message->again.epoch);
		break;
	case WIRE_RENEW:
		put_renew(out, message);
		break;
	case WIRE_CONFIRM:
		bytes_put_u64(out, message->confirm.epoch);
		bytes_put_u64(out, message->confirm.renewals);
		break;
	case WIRE_INVALID:
	case WIRE_N_TYPES:
		g_assert_not_reached();
	}
	assert(out->len <= WIRE_SIZE_MAX);
	return g_byte_array_free_to_bytes(out);
}

/* --- Decoding --------------------------------------------------------------------------------- */

static int get_nodes(BytesReader *reader, uint32_t *nodes, uint32_t *ret_n_nodes)
{
	uint32_t n_nodes = bytes_get_u32(reader);
	uint32_t previous = 0;

	if (n_nodes > REPLICA_NODES_MAX)
		return -EBADMSG;

	for (uint32_t i = 0; i < n_nodes; i++) {
		nodes[i] = bytes_get_u32(reader);
		if (nodes[i] <= previous)
			return -EBADMSG;
		previous = nodes[i];
	}
	*ret_n_nodes = n_nodes;
	return 0;
}

static int get_boolean(BytesReader *reader, bool *ret)
{
	uint8_t value = bytes_get_u8(reader);

	if (value > 1)
		return -EBADMSG;
	*ret = value;
	return 0;
}

static int get_state(BytesReader *reader, WireState *state)
{
	const uint8_t *hash;
	int r;

	state->promised = bytes_get_u64(reader);
	state->adopted = bytes_get_u64(reader);
	state->last = bytes_get_u64(reader);
	state->commit = bytes_get_u64(reader);
	hash = bytes_get(reader, sizeof(state->last_hash));
	if (!hash || state->adopted > state->promised || state->commit > state->last)
		return -EBADMSG;
	if (state->promised > NUMBER_HEARD_MAX || state->last > NUMBER_HEARD_MAX)
		return -EBADMSG;
	memcpy(state->last_hash, hash, sizeof(state->last_hash));
	hash = bytes_get(reader, sizeof(state->commit_hash));
	if (!hash)
		return -EBADMSG;
	memcpy(state->commit_hash, hash, sizeof(state->commit_hash));

	r = get_boolean(reader, &state->quorate);
	if (r < 0)
		return r;
	r = get_boolean(reader, &state->reduced);
	if (r < 0)
		return r;
	r = get_boolean(reader, &state->trusted);
	if (r < 0)
		return r;
	r = get_boolean(reader, &state->unsure);
	if (r < 0)
		return r;
	state->n_online = bytes_get_u32(reader);
	return get_nodes(reader, state->configured, &state->n_configured);
}

static int get_ops(BytesReader *reader, WireMessage *message)
{
	uint64_t previous = 0;
	int r;

	message->ops.epoch = bytes_get_u64(reader);
	message->ops.boot = bytes_get_u64(reader);
	r = get_boolean(reader, &message->ops.acknowledges);
	if (r < 0)
		return r;
	message->ops.acknowledged = bytes_get_u64(reader);
	if (!message->ops.acknowledges && message->ops.acknowledged != 0)
		return -EBADMSG;
	message->ops.n_ops = bytes_get_u32(reader);
	if (message->ops.n_ops < 1 || message->ops.n_ops > REPLICA_IN_FLIGHT_MAX)
		return -EBADMSG;

	for (uint32_t i = 0; i < message->ops.n_ops; i++) {
		WireOp *op = &message->ops.ops[i];

		op->seq = bytes_get_u64(reader);
		op->size = bytes_get_u32(reader);
		op->bytes = bytes_get(reader, op->size);
		if (!op->bytes || op->size > OP_SIZE_MAX || op->seq <= previous)
			return -EBADMSG;
		previous = op->seq;
	}
	return 0;
}

static int get_piece(BytesReader *reader, WireMessage *message)
{
	int r;

	message->piece.epoch = bytes_get_u64(reader);
	message->piece.number = bytes_get_u32(reader);
	r = get_boolean(reader, &message->piece.final);
	if (r < 0)
		return r;
	if (bytes_get_u8(reader) != 0 || bytes_get_u16(reader) != 0)
		return -EBADMSG;
	message->piece.size = bytes_get_u32(reader);
	message->piece.bytes = bytes_get(reader, message->piece.size);
	return message->piece.bytes && message->piece.size <= WIRE_PIECE_MAX ? 0 : -EBADMSG;
}

static int get_renew(BytesReader *reader, WireMessage *message)
{
	message->renew.epoch = bytes_get_u64(reader);
	message->renew.n_tokens = bytes_get_u32(reader);
	if (message->renew.n_tokens < 1 || message->renew.n_tokens > WIRE_RENEW_MAX)
		return -EBADMSG;

	for (uint32_t i = 0; i < message->renew.n_tokens; i++) {
		message->renew.tokens[i] = bytes_get_u64(reader);
		if (message->renew.tokens[i] == 0)
			return -EBADMSG;
	}
	return 0;
}

void wire_get_list_row(const uint8_t *bytes, uint32_t i, WireListRow *ret)
{
	BytesReader reader =
		bytes_reader(bytes + (size_t)i * WIRE_LIST_ROW_SIZE, WIRE_LIST_ROW_SIZE);

	ret->inode = bytes_get_u64(&reader);
	ret->version = bytes_get_u64(&reader);
	memcpy(ret->digest, bytes_get(&reader, sizeof(ret->digest)), sizeof(ret->digest));
}

static int get_list(BytesReader *reader, WireMessage *message)
{
	uint64_t previous;

	message->list.epoch = bytes_get_u64(reader);
	message->list.session = bytes_get_u32(reader);
	message->list.after = bytes_get_u64(reader);
	message->list.upto = bytes_get_u64(reader);
	message->list.n_rows = bytes_get_u32(reader);
	if (reader->failed || message->list.n_rows > WIRE_LIST_ROWS_MAX ||
		message->list.upto <= message->list.after)
		return -EBADMSG;
	message->list.bytes = bytes_get(reader, (size_t)message->list.n_rows * WIRE_LIST_ROW_SIZE);
	if (!message->list.bytes)
		return -EBADMSG;

	previous = message->list.after;
	for (uint32_t i = 0; i < message->list.n_rows; i++) {
		WireListRow row;

		wire_get_list_row(message->list.bytes, i, &row);
		if (row.inode <= previous || row.inode > message->list.upto)
			return -EBADMSG;
		previous = row.inode;
	}
	return 0;
}

static int get_announce(BytesReader *reader, WireMessage *message)
{
	int r;

	r = get_nodes(reader, message->announce.members, &message->announce.n_members);
	if (r < 0)
		return r;
	return get_nodes(reader, message->announce.nodes, &message->announce.n_nodes);
}

static int get_body(BytesReader *reader, WireMessage *message)
{
	switch (message->type) {
	case WIRE_VIEW:
		return get_announce(reader, message);
	case WIRE_STATE:
		return get_state(reader, &message->state);
	case WIRE_PROMISE:
		message->promise.epoch = bytes_get_u64(reader);
		return 0;
	case WIRE_OPS:
		return get_ops(reader, message);
	case WIRE_ACK:
		message->ack.epoch = bytes_get_u64(reader);
		message->ack.index = bytes_get_u64(reader);
		return 0;
	case WIRE_PIECE:
		return get_piece(reader, message);
	case WIRE_LIST:
		return get_list(reader, message);
	case WIRE_AGAIN:
		message->again.epoch = bytes_get_u64(reader);
		return 0;
	case WIRE_RENEW:
		return get_renew(reader, message);
	case WIRE_CONFIRM:
		message->confirm.epoch = bytes_get_u64(reader);
		message->confirm.renewals = bytes_get_u64(reader);
		return 0;
	case WIRE_INVALID:
	case WIRE_N_TYPES:
		break;
	}
	return -EBADMSG;
}

int wire_decode(const uint8_t *data, size_t size, WireMessage *ret)
{
	BytesReader reader = bytes_reader(data, size);
	uint8_t version;
	uint16_t zero;
	int r;

	assert(ret);

	if (size > WIRE_SIZE_MAX)
		return -EBADMSG;

	version = bytes_get_u8(&reader);
	if (reader.failed)
		return -EBADMSG;
	if (version != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	ret->type = (WireType)bytes_get_u8(&reader);
	zero = bytes_get_u16(&reader);
	ret->view.node = bytes_get_u32(&reader);
	ret->view.boot = bytes_get_u64(&reader);
	ret->view.counter = bytes_get_u64(&reader);
	if (reader.failed || zero != 0)
		return -EBADMSG;

	r = get_body(&reader, ret);
	if (r < 0)
		return r;
	return bytes_at_end(&reader) ? 0 : -EBADMSG;
}
