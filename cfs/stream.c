/* SPDX-License-Identifier: Apache-2.0 */

/* Layouts, all numbers little-endian.  An item is u8 type (StreamItemType), then
 *
 *	LOG      u8 STREAM_VERSION, u32 n, n * (u32 node (ascending, none 0), u64 common)
 *	TREE     u8 STREAM_VERSION, u32 node, u32 session
 *	ASK      u64 inode
 *	ROW      u64 inode, u64 parent, u64 version, u32 writer, u32 mtime_s,
 *	         u8 flags (1: directory, 2: has data), u16 length of name, name,
 *	         u32 length of data (0 without), data
 *	REMOVED  u64 inode
 *	PICTURE  u64 commit, 32 bytes hash at commit, u64 version, u64 entries, u64 bytes
 *	ORIGIN   u32 node, u64 boot, u64 seq, u32 length of results, results
 *	ENTRY    u64 index, u64 epoch, u64 boot, u64 seq, u32 origin, 32 bytes hash,
 *	         u32 length of operation, operation */

#include "cfs/stream.h"

#include <string.h>

#include "base/macro.h"

#define ROW_DIRECTORY 1
#define ROW_HAS_DATA  2

/* Bytes of the results of one origin: pairs of ten bytes (replica_disk.c). */
#define RESULTS_MAX (10 * REPLICA_IN_FLIGHT_MAX)

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_bytes(GByteArray *out, GBytes *bytes)
{
	gsize size = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, data, size);
}

static void put_log(GByteArray *out, const StreamItem *item)
{
	assert(item->log.n_members <= REPLICA_NODES_MAX);

	bytes_put_u8(out, STREAM_VERSION);
	bytes_put_u32(out, item->log.n_members);
	for (uint32_t i = 0; i < item->log.n_members; i++) {
		bytes_put_u32(out, item->log.members[i].node);
		bytes_put_u64(out, item->log.members[i].common);
	}
}

static void put_row(GByteArray *out, const ReplicaRow *row)
{
	size_t length = strlen(row->name);
	unsigned flags = (row->directory ? ROW_DIRECTORY : 0) | (row->data ? ROW_HAS_DATA : 0);

	assert(length <= OP_NAME_MAX);

	bytes_put_u64(out, row->inode);
	bytes_put_u64(out, row->parent);
	bytes_put_u64(out, row->version);
	bytes_put_u32(out, row->writer);
	bytes_put_u32(out, row->mtime_s);
	bytes_put_u8(out, (uint8_t)flags);
	bytes_put_u16(out, (uint16_t)length);
	bytes_put(out, row->name, length);
	put_bytes(out, row->data);
}

static void put_picture(GByteArray *out, const StreamItem *item)
{
	bytes_put_u64(out, item->picture.commit);
	bytes_put(out, item->picture.commit_hash, REPLICA_HASH_SIZE);
	bytes_put_u64(out, item->picture.version);
	bytes_put_u64(out, item->picture.n_entries);
	bytes_put_u64(out, item->picture.n_bytes);
}

static void put_origin(GByteArray *out, const ReplicaOrigin *origin)
{
	bytes_put_u32(out, origin->node);
	bytes_put_u64(out, origin->boot);
	bytes_put_u64(out, origin->seq);
	put_bytes(out, origin->results);
}

static void put_entry(GByteArray *out, const ReplicaEntry *entry)
{
	bytes_put_u64(out, entry->index);
	bytes_put_u64(out, entry->epoch);
	bytes_put_u64(out, entry->boot);
	bytes_put_u64(out, entry->seq);
	bytes_put_u32(out, entry->origin);
	bytes_put(out, entry->hash, REPLICA_HASH_SIZE);
	put_bytes(out, entry->op);
}

void stream_put(GByteArray *out, const StreamItem *item)
{
	bytes_put_u8(out, (uint8_t)item->type);
	switch (item->type) {
	case STREAM_LOG:
		put_log(out, item);
		return;
	case STREAM_TREE:
		bytes_put_u8(out, STREAM_VERSION);
		bytes_put_u32(out, item->tree.node);
		bytes_put_u32(out, item->tree.session);
		return;
	case STREAM_ASK:
	case STREAM_REMOVED:
		bytes_put_u64(out, item->inode);
		return;
	case STREAM_ROW:
		put_row(out, &item->row);
		return;
	case STREAM_PICTURE:
		put_picture(out, item);
		return;
	case STREAM_ORIGIN:
		put_origin(out, &item->origin);
		return;
	case STREAM_ENTRY:
		put_entry(out, &item->entry);
		return;
	case STREAM_INVALID:
	case STREAM_N_TYPES:
		break;
	}
	g_assert_not_reached();
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* Bytes with their length before them.  A length above max is an error even before the bytes are
 * there: nobody waits for, and keeps, more than an item may have. */
static int get_bytes(BytesReader *reader, uint32_t max, GBytes **ret)
{
	uint32_t size = bytes_get_u32(reader);
	const uint8_t *data;

	if (!reader->failed && size > max)
		return -EBADMSG;
	data = bytes_get(reader, size);
	*ret = data && !reader->failed ? g_bytes_new(data, size) : NULL;
	return 0;
}

static int get_version(BytesReader *reader)
{
	uint8_t version = bytes_get_u8(reader);

	if (reader->failed || version == STREAM_VERSION)
		return 0;
	return version > STREAM_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
}

static int get_log(BytesReader *reader, StreamItem *item)
{
	uint32_t previous = 0;
	int r;

	r = get_version(reader);
	if (r < 0)
		return r;
	item->log.n_members = bytes_get_u32(reader);
	if (item->log.n_members > REPLICA_NODES_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < item->log.n_members && !reader->failed; i++) {
		StreamMember *member = &item->log.members[i];

		member->node = bytes_get_u32(reader);
		member->common = bytes_get_u64(reader);
		if (!reader->failed && member->node <= previous)
			return -EBADMSG;
		previous = member->node;
	}
	return 0;
}

static int get_tree(BytesReader *reader, StreamItem *item)
{
	int r;

	r = get_version(reader);
	item->tree.node = bytes_get_u32(reader);
	item->tree.session = bytes_get_u32(reader);
	return r;
}

static int get_row(BytesReader *reader, ReplicaRow *row)
{
	uint16_t length;
	const uint8_t *name;
	uint8_t flags;
	int r;

	row->inode = bytes_get_u64(reader);
	row->parent = bytes_get_u64(reader);
	row->version = bytes_get_u64(reader);
	row->writer = bytes_get_u32(reader);
	row->mtime_s = bytes_get_u32(reader);
	flags = bytes_get_u8(reader);
	length = bytes_get_u16(reader);
	if (flags > (ROW_DIRECTORY | ROW_HAS_DATA) || length > OP_NAME_MAX)
		return -EBADMSG;
	name = bytes_get(reader, length);
	if (name && memchr(name, '\0', length))
		return -EBADMSG;
	row->directory = flags & ROW_DIRECTORY;
	row->name = g_strndup((const char *)name, name ? length : 0);
	r = get_bytes(reader, flags & ROW_HAS_DATA ? OP_DATA_MAX : 0, &row->data);
	if (!(flags & ROW_HAS_DATA))
		g_clear_pointer(&row->data, g_bytes_unref);
	return r;
}

static int get_picture(BytesReader *reader, StreamItem *item)
{
	const uint8_t *hash;

	item->picture.commit = bytes_get_u64(reader);
	hash = bytes_get(reader, REPLICA_HASH_SIZE);
	if (hash)
		memcpy(item->picture.commit_hash, hash, REPLICA_HASH_SIZE);
	item->picture.version = bytes_get_u64(reader);
	item->picture.n_entries = bytes_get_u64(reader);
	item->picture.n_bytes = bytes_get_u64(reader);
	return 0;
}

static int get_origin(BytesReader *reader, ReplicaOrigin *origin)
{
	origin->node = bytes_get_u32(reader);
	origin->boot = bytes_get_u64(reader);
	origin->seq = bytes_get_u64(reader);
	return get_bytes(reader, RESULTS_MAX, &origin->results);
}

static int get_entry(BytesReader *reader, ReplicaEntry *entry)
{
	const uint8_t *hash;

	entry->index = bytes_get_u64(reader);
	entry->epoch = bytes_get_u64(reader);
	entry->boot = bytes_get_u64(reader);
	entry->seq = bytes_get_u64(reader);
	entry->origin = bytes_get_u32(reader);
	hash = bytes_get(reader, REPLICA_HASH_SIZE);
	if (hash)
		memcpy(entry->hash, hash, REPLICA_HASH_SIZE);
	return get_bytes(reader, OP_SIZE_MAX, &entry->op);
}

static int get_body(BytesReader *reader, StreamItem *item)
{
	switch (item->type) {
	case STREAM_LOG:
		return get_log(reader, item);
	case STREAM_TREE:
		return get_tree(reader, item);
	case STREAM_ASK:
	case STREAM_REMOVED:
		item->inode = bytes_get_u64(reader);
		return 0;
	case STREAM_ROW:
		return get_row(reader, &item->row);
	case STREAM_PICTURE:
		return get_picture(reader, item);
	case STREAM_ORIGIN:
		return get_origin(reader, &item->origin);
	case STREAM_ENTRY:
		return get_entry(reader, &item->entry);
	case STREAM_INVALID:
	case STREAM_N_TYPES:
		break;
	}
	return -EBADMSG;
}

int stream_get(BytesReader *reader, StreamItem *ret)
{
	BytesReader start = *reader;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (reader->left == 0)
		return 0;
	ret->type = (StreamItemType)bytes_get_u8(reader);
	r = get_body(reader, ret);
	if (r == 0 && !reader->failed)
		return 1;
	stream_item_clear(ret);
	*reader = start;
	return r;
}

void stream_item_clear(StreamItem *item)
{
	switch (item->type) {
	case STREAM_ROW:
		g_clear_pointer(&item->row.name, g_free);
		g_clear_pointer(&item->row.data, g_bytes_unref);
		break;
	case STREAM_ORIGIN:
		g_clear_pointer(&item->origin.results, g_bytes_unref);
		break;
	case STREAM_ENTRY:
		g_clear_pointer(&item->entry.op, g_bytes_unref);
		break;
	default:
		break;
	}
	item->type = STREAM_INVALID;
}
