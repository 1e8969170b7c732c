/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/stream.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

/* An item of each type; what it points to is static. */
static StreamItem sample(StreamItemType type, GBytes *bytes)
{
	StreamItem item = {.type = type};

	switch (type) {
	case STREAM_LOG:
		item.log.n_members = 2;
		item.log.members[0] = (StreamMember){.node = 1, .common = 7};
		item.log.members[1] = (StreamMember){.node = 3, .common = 7};
		break;
	case STREAM_TREE:
		item.tree.node = 2;
		item.tree.session = 9;
		break;
	case STREAM_ASK:
	case STREAM_REMOVED:
		item.inode = 258;
		break;
	case STREAM_ROW:
		item.row = (ReplicaRow){.inode = 5,
			.parent = 4,
			.version = 6,
			.writer = 1,
			.mtime_s = 2,
			.name = (char *)"ab",
			.data = bytes};
		break;
	case STREAM_PICTURE:
		item.picture.commit = 1;
		memset(item.picture.commit_hash, 0xaa, REPLICA_HASH_SIZE);
		item.picture.version = 2;
		item.picture.n_entries = 3;
		item.picture.n_bytes = 4;
		break;
	case STREAM_ORIGIN:
		item.origin = (ReplicaOrigin){.node = 1, .boot = 2, .seq = 3, .results = bytes};
		break;
	case STREAM_ENTRY:
		item.entry = (ReplicaEntry){
			.index = 1, .epoch = 2, .boot = 3, .seq = 4, .origin = 5, .op = bytes};
		break;
	case STREAM_INVALID:
	case STREAM_N_TYPES:
		g_assert_not_reached();
	}
	return item;
}

static GByteArray *encoded(StreamItemType type)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static("xyz", 3);
	StreamItem item = sample(type, bytes);
	GByteArray *out = g_byte_array_new();

	stream_put(out, &item);
	return out;
}

static void encodings_are_the_documented_ones(void **state)
{
	static const uint8_t ask[] = {STREAM_ASK, 2, 1, 0, 0, 0, 0, 0, 0};
	static const uint8_t tree[] = {STREAM_TREE, STREAM_VERSION, 2, 0, 0, 0, 9, 0, 0, 0};
	static const uint8_t row[] = {STREAM_ROW, 5, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 6,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 2, 0, 'a', 'b', 3, 0, 0, 0, 'x',
		'y', 'z'};
	g_autoptr(GByteArray) have_ask = encoded(STREAM_ASK);
	g_autoptr(GByteArray) have_tree = encoded(STREAM_TREE);
	g_autoptr(GByteArray) have_row = encoded(STREAM_ROW);

	assert_int_equal(have_ask->len, sizeof(ask));
	assert_memory_equal(have_ask->data, ask, sizeof(ask));
	assert_int_equal(have_tree->len, sizeof(tree));
	assert_memory_equal(have_tree->data, tree, sizeof(tree));
	assert_int_equal(have_row->len, sizeof(row));
	assert_memory_equal(have_row->data, row, sizeof(row));
}

static void items_come_back_from_any_cut(void **state)
{
	for (int type = STREAM_INVALID + 1; type < STREAM_N_TYPES; type++) {
		g_autoptr(GByteArray) bytes = encoded((StreamItemType)type);
		g_autoptr(GByteArray) again = g_byte_array_new();
		BytesReader reader;
		StreamItem item;

		for (guint size = 0; size < bytes->len; size++) {
			reader = bytes_reader(bytes->data, size);
			assert_int_equal(stream_get(&reader, &item), 0);
			assert_int_equal(reader.left, size);
		}
		reader = bytes_reader(bytes->data, bytes->len);
		assert_int_equal(stream_get(&reader, &item), 1);
		assert_int_equal(item.type, type);
		assert_int_equal(reader.left, 0);
		stream_put(again, &item);
		assert_int_equal(again->len, bytes->len);
		assert_memory_equal(again->data, bytes->data, bytes->len);
		stream_item_clear(&item);
	}
}

static void bytes_that_put_never_makes_are_refused(void **state)
{
	static const struct {
		StreamItemType type;
		unsigned at;
		uint8_t value;
		int r;
	} cases[] = {
		{STREAM_ASK, 0, STREAM_INVALID, -EBADMSG},
		{STREAM_ASK, 0, STREAM_N_TYPES, -EBADMSG}, {STREAM_LOG, 1, 0, -EBADMSG},
		{STREAM_LOG, 1, STREAM_VERSION + 1, -EPROTONOSUPPORT},
		{STREAM_LOG, 2, REPLICA_NODES_MAX + 1, -EBADMSG},
		{STREAM_LOG, 6, 0, -EBADMSG},  /* node 0 */
		{STREAM_LOG, 18, 1, -EBADMSG}, /* not ascending */
		{STREAM_TREE, 1, STREAM_VERSION + 1, -EPROTONOSUPPORT},
		{STREAM_ROW, 33, 4, -EBADMSG}, /* flags */
		{STREAM_ROW, 35, 1, -EBADMSG}, /* a name that is too long */
		{STREAM_ROW, 36, 0, -EBADMSG}, /* a name with an end in it */
		{STREAM_ROW, 33, 0, -EBADMSG}, /* bytes without data */
		{STREAM_ROW, 41, 2, -EBADMSG}, /* a file that is too large */
		{STREAM_ORIGIN, 23, 1, -EBADMSG},
		{STREAM_ENTRY, 72, 0x80, -EBADMSG}, /* an operation that is too large */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) bytes = encoded(cases[i].type);
		BytesReader reader;
		StreamItem item;

		bytes->data[cases[i].at] = cases[i].value;
		reader = bytes_reader(bytes->data, bytes->len);
		assert_int_equal(stream_get(&reader, &item), cases[i].r);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_are_the_documented_ones),
		cmocka_unit_test(items_come_back_from_any_cut),
		cmocka_unit_test(bytes_that_put_never_makes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
