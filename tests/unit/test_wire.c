/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/wire.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define HEADER(type) \
	WIRE_VERSION, type, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0

static const WireView view = {.node = 2, .boot = UINT64_C(0x0102030405060708), .counter = 9};

static const uint8_t list_row[WIRE_LIST_ROW_SIZE] = {
	8, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 'd', 'i', 'g', 'e', 's', 't'};

static WireMessage sample(WireType type)
{
	WireMessage message = {.type = type, .view = view};

	switch (type) {
	case WIRE_VIEW:
		message.announce.n_members = 1;
		message.announce.members[0] = 3;
		message.announce.n_nodes = 2;
		message.announce.nodes[0] = 1;
		message.announce.nodes[1] = 0x01020304;
		break;
	case WIRE_STATE:
		message.state = (WireState){.promised = 5,
			.adopted = 4,
			.last = 3,
			.commit = 2,
			.quorate = true,
			.unsure = true,
			.n_online = 2,
			.n_configured = 1,
			.configured = {6}};
		memset(message.state.last_hash, 0xaa, REPLICA_HASH_SIZE);
		memset(message.state.commit_hash, 0xbb, REPLICA_HASH_SIZE);
		break;
	case WIRE_PROMISE:
		message.promise.epoch = 5;
		break;
	case WIRE_OPS:
		message.ops.epoch = 5;
		message.ops.boot = 4;
		message.ops.acknowledges = true;
		message.ops.acknowledged = 258;
		message.ops.n_ops = 2;
		message.ops.ops[0] = (WireOp){.seq = 1, .bytes = (const uint8_t *)"ab", .size = 2};
		message.ops.ops[1] = (WireOp){.seq = 3, .bytes = (const uint8_t *)"c", .size = 1};
		break;
	case WIRE_ACK:
		message.ack.epoch = 5;
		message.ack.index = 258;
		break;
	case WIRE_PIECE:
		message.piece.epoch = 5;
		message.piece.number = 1;
		message.piece.final = true;
		message.piece.bytes = (const uint8_t *)"xyz";
		message.piece.size = 3;
		break;
	case WIRE_RENEW:
		message.renew.epoch = 5;
		message.renew.n_tokens = 2;
		message.renew.tokens[0] = 258;
		message.renew.tokens[1] = 1;
		break;
	case WIRE_CONFIRM:
		message.confirm.epoch = 5;
		message.confirm.renewals = 258;
		break;
	case WIRE_LIST:
		message.list.epoch = 5;
		message.list.session = 6;
		message.list.after = 7;
		message.list.upto = 9;
		message.list.n_rows = 1;
		message.list.bytes = list_row;
		break;
	case WIRE_AGAIN:
		message.again.epoch = 5;
		break;
	case WIRE_INVALID:
	case WIRE_N_TYPES:
		g_assert_not_reached();
	}
	return message;
}

static void assert_golden(WireType type, const uint8_t *golden, size_t size)
{
	WireMessage message = sample(type);
	g_autoptr(GBytes) bytes = wire_encode(&message);
	gsize have;
	const void *data = g_bytes_get_data(bytes, &have);

	assert_int_equal(have, size);
	assert_memory_equal(data, golden, size);
}

static void encodings_are_the_documented_ones(void **state)
{
	static const uint8_t announce[] = {
		HEADER(WIRE_VIEW), 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 3, 2, 1};
	static const uint8_t promise[] = {HEADER(WIRE_PROMISE), 5, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t ack[] = {
		HEADER(WIRE_ACK), 5, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0};
	static const uint8_t ops[] = {HEADER(WIRE_OPS), 5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0,
		0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, /* two changes: */
		1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		'c'};
	static const uint8_t piece[] = {HEADER(WIRE_PIECE), 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1,
		0, 0, 0, 3, 0, 0, 0, 'x', 'y', 'z'};
	static const uint8_t renew[] = {HEADER(WIRE_RENEW), 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2,
		1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t confirm[] = {
		HEADER(WIRE_CONFIRM), 5, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0};
	static const uint8_t again[] = {HEADER(WIRE_AGAIN), 5, 0, 0, 0, 0, 0, 0, 0};
	uint8_t list[24 + 32 + 32] = {HEADER(WIRE_LIST), 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7, 0,
		0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
	uint8_t told[136] = {HEADER(WIRE_STATE), 5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 3,
		0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};

	memset(told + 56, 0xaa, REPLICA_HASH_SIZE);
	memset(told + 88, 0xbb, REPLICA_HASH_SIZE);
	told[120] = 1; /* quorate */
	told[123] = 1; /* unsure */
	told[124] = 2; /* online */
	told[128] = 1; /* configured */
	told[132] = 6;
	memcpy(list + 56, list_row, sizeof(list_row));

	assert_golden(WIRE_VIEW, announce, sizeof(announce));
	assert_golden(WIRE_STATE, told, sizeof(told));
	assert_golden(WIRE_PROMISE, promise, sizeof(promise));
	assert_golden(WIRE_OPS, ops, sizeof(ops));
	assert_golden(WIRE_ACK, ack, sizeof(ack));
	assert_golden(WIRE_PIECE, piece, sizeof(piece));
	assert_golden(WIRE_RENEW, renew, sizeof(renew));
	assert_golden(WIRE_CONFIRM, confirm, sizeof(confirm));
	assert_golden(WIRE_LIST, list, sizeof(list));
	assert_golden(WIRE_AGAIN, again, sizeof(again));
}

static void decoding_gives_back_what_was_encoded(void **state)
{
	for (int type = WIRE_INVALID + 1; type < WIRE_N_TYPES; type++) {
		WireMessage message = sample((WireType)type);
		g_autoptr(GBytes) bytes = wire_encode(&message);
		g_autoptr(GBytes) again = NULL;
		gsize size;
		const void *data = g_bytes_get_data(bytes, &size);
		WireMessage back;

		assert_int_equal(wire_decode(data, size, &back), 0);
		assert_int_equal(back.type, type);
		assert_true(wire_view_equal(&back.view, &view));
		again = wire_encode(&back);
		assert_true(g_bytes_equal(again, bytes));
	}
}

static void every_shorter_or_longer_message_is_refused(void **state)
{
	for (int type = WIRE_INVALID + 1; type < WIRE_N_TYPES; type++) {
		WireMessage message = sample((WireType)type);
		g_autoptr(GByteArray) bytes = g_bytes_unref_to_array(wire_encode(&message));
		WireMessage back;

		for (guint size = 0; size < bytes->len; size++)
			assert_int_equal(wire_decode(bytes->data, size, &back), -EBADMSG);
		g_byte_array_append(bytes, (const guint8 *)"x", 1);
		assert_int_equal(wire_decode(bytes->data, bytes->len, &back), -EBADMSG);
	}
}

static void bytes_that_encode_never_makes_are_refused(void **state)
{
	static const struct {
		WireType type;
		unsigned at;
		uint8_t value;
		int r;
	} cases[] = {
		{WIRE_ACK, 0, 2, -EPROTONOSUPPORT}, {WIRE_ACK, 1, WIRE_INVALID, -EBADMSG},
		{WIRE_ACK, 1, WIRE_N_TYPES, -EBADMSG}, {WIRE_ACK, 2, 1, -EBADMSG},
		{WIRE_VIEW, 24, REPLICA_NODES_MAX + 1, -EBADMSG},
		{WIRE_VIEW, 36, 0, -EBADMSG},   /* node 0 */
		{WIRE_VIEW, 39, 2, -EBADMSG},   /* not ascending */
		{WIRE_STATE, 24, 3, -EBADMSG},  /* promised below adopted */
		{WIRE_STATE, 48, 4, -EBADMSG},  /* commit above last */
		{WIRE_STATE, 31, 1, -EBADMSG},  /* an epoch that nobody reaches */
		{WIRE_STATE, 47, 1, -EBADMSG},  /* nor such an index */
		{WIRE_STATE, 120, 2, -EBADMSG}, /* neither yes nor no */
		{WIRE_STATE, 122, 2, -EBADMSG}, /* the same */
		{WIRE_STATE, 123, 2, -EBADMSG}, {WIRE_OPS, 40, 2, -EBADMSG},
		{WIRE_OPS, 40, 0, -EBADMSG}, /* acknowledges nothing, and says what */
		{WIRE_OPS, 49, 0, -EBADMSG}, /* no changes */
		{WIRE_OPS, 53, 3, -EBADMSG}, /* the next seq does not grow */
		{WIRE_OPS, 64, 1, -EBADMSG}, /* a size beyond the message */
		{WIRE_PIECE, 36, 2, -EBADMSG}, {WIRE_PIECE, 37, 1, -EBADMSG},
		{WIRE_PIECE, 43, 1, -EBADMSG}, {WIRE_LIST, 44, 7, -EBADMSG}, /* an empty range */
		{WIRE_LIST, 52, 2, -EBADMSG},  /* a row that is not there */
		{WIRE_LIST, 54, 1, -EBADMSG},  /* more rows than a list has */
		{WIRE_LIST, 56, 7, -EBADMSG},  /* a row before the range … */
		{WIRE_LIST, 57, 1, -EBADMSG},  /* … and one behind it */
		{WIRE_RENEW, 32, 0, -EBADMSG}, /* no renewals */
		{WIRE_RENEW, 33, 2, -EBADMSG}, /* too many */
		{WIRE_RENEW, 44, 0, -EBADMSG}, /* token 0 */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		WireMessage message = sample(cases[i].type);
		g_autoptr(GByteArray) bytes = g_bytes_unref_to_array(wire_encode(&message));
		WireMessage back;

		bytes->data[cases[i].at] = cases[i].value;
		assert_int_equal(wire_decode(bytes->data, bytes->len, &back), cases[i].r);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_are_the_documented_ones),
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(every_shorter_or_longer_message_is_refused),
		cmocka_unit_test(bytes_that_encode_never_makes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
