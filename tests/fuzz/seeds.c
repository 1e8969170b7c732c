/* SPDX-License-Identifier: Apache-2.0 */

/* Makes the first inputs of the fuzz targets whose input is bytes, with the product's own encoders.
 * They are kept in tests/fuzz/corpus; this is run again when a layout changes.
 *
 *	seeds CORPUS */

#include <stdio.h>
#include <stdlib.h>

#include <glib/gstdio.h>

#include "base/macro.h"
#include "cfs/beside.h"
#include "cfs/bytes.h"
#include "cfs/ipc_wire.h"
#include "cfs/op.h"
#include "cfs/store.h"
#include "cfs/stream.h"
#include "cfs/tree.h"
#include "cfs/wire.h"

static const char *corpus;

static void keep(const char *target, const char *name, const void *bytes, size_t size)
{
	g_autofree char *directory = g_build_filename(corpus, target, NULL);
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autoptr(GError) err = NULL;

	(void)g_mkdir_with_parents(directory, 0755);
	if (!g_file_set_contents(path, bytes, (gssize)size, &err)) {
		(void)fprintf(stderr, "seeds: %s\n", err->message);
		exit(EXIT_FAILURE);
	}
}

static GByteArray *encoded(const Op *op)
{
	GByteArray *bytes = g_byte_array_new();

	op_encode(op, bytes);
	return bytes;
}

static void keep_op(const char *name, const Op *op)
{
	g_autoptr(GByteArray) bytes = encoded(op);

	keep("op", name, bytes->data, bytes->len);
}

static void make_ops(void)
{
	g_autoptr(Op) create = op_new(OP_CREATE, "nodes/n1/lxc/101.conf");
	g_autoptr(Op) replace = op_new(OP_REPLACE, "a/f");
	g_autoptr(Op) write = op_new(OP_WRITE, "a/f");
	g_autoptr(Op) truncation = op_new(OP_TRUNCATE, "a/f");
	g_autoptr(Op) renaming = op_new(OP_RENAME, "a/f");
	g_autoptr(Op) removal = op_new(OP_UNLINK, "a/f");
	g_autoptr(Op) utime = op_new(OP_UTIME, "a/f");
	g_autoptr(Op) barrier = op_new(OP_BARRIER, "");
	g_autoptr(Op) lock = op_new(OP_LOCK, "priv/lock/l");
	g_autoptr(Op) unlock = op_new(OP_RMDIR, "priv/lock/l");
	g_autoptr(Op) transaction = op_new(OP_TRANSACTION, "");
	Op *part;

	create->data = g_bytes_new_static("arch: amd64\n", 12);
	create->condition = OP_IF_ABSENT;
	keep_op("create", create);
	replace->data = g_bytes_new_static("new", 3);
	replace->condition = OP_IF_VERSION;
	replace->if_version = 7;
	keep_op("replace", replace);
	write->data = g_bytes_new_static("x", 1);
	write->flags = OP_FLAG_APPEND;
	write->inode = 7;
	keep_op("write", write);
	truncation->offset = 3;
	keep_op("truncate", truncation);
	renaming->target = g_strdup("a/g");
	renaming->flags = OP_FLAG_NOREPLACE;
	keep_op("rename", renaming);
	keep_op("unlink", removal);
	utime->mtime_s = 1700000000;
	keep_op("utime", utime);
	keep_op("barrier", barrier);
	lock->owner = g_strdup("n1/task");
	lock->ttl_s = 60;
	keep_op("lock", lock);
	unlock->takeover = (OpTakeover){.token = 9, .epoch = 2, .renewals = 4};
	keep_op("takeover", unlock);

	part = op_new(OP_UNLINK, "a/f");
	part->condition = OP_IF_VERSION;
	part->if_version = 8;
	op_add(transaction, part);
	part = op_new(OP_CREATE, "a/h");
	part->data = g_bytes_new_static("moved", 5);
	op_add(transaction, part);
	keep_op("transaction", transaction);
}

/* One message of each type, by its number. */
static GBytes *message_of(WireType type, const GByteArray *op)
{
	WireMessage message = {.type = type, .view = {.node = 1, .boot = 1, .counter = 1}};

	switch (type) {
	case WIRE_VIEW:
		message.announce.n_members = message.announce.n_nodes = 3;
		for (uint32_t i = 0; i < 3; i++)
			message.announce.members[i] = message.announce.nodes[i] = i + 1;
		break;
	case WIRE_STATE:
		message.state = (WireState){.promised = 1,
			.adopted = 1,
			.last = 3,
			.commit = 2,
			.quorate = true,
			.trusted = true,
			.n_online = 3,
			.n_configured = 3,
			.configured = {1, 2, 3}};
		break;
	case WIRE_PROMISE:
		message.promise.epoch = 1;
		break;
	case WIRE_OPS:
		message.ops.epoch = message.ops.boot = 1;
		message.ops.acknowledges = true;
		message.ops.acknowledged = 1;
		message.ops.n_ops = 1;
		message.ops.ops[0] = (WireOp){.seq = 1, .bytes = op->data, .size = op->len};
		break;
	case WIRE_ACK:
		message.ack.epoch = message.ack.index = 1;
		break;
	case WIRE_PIECE:
		message.piece.epoch = 1;
		message.piece.final = true;
		message.piece.bytes = op->data;
		message.piece.size = op->len;
		break;
	case WIRE_RENEW:
		message.renew.epoch = message.renew.n_tokens = 1;
		message.renew.tokens[0] = 3;
		break;
	case WIRE_CONFIRM:
		message.confirm.epoch = message.confirm.renewals = 1;
		break;
	case WIRE_LIST:
		message.list.epoch = message.list.session = 1;
		message.list.upto = UINT64_MAX;
		message.list.bytes = op->data;
		break;
	case WIRE_AGAIN:
		message.again.epoch = 1;
		break;
	default:
		return NULL;
	}
	return wire_encode(&message);
}

/* Programs for replicas: see the commands in tests/fuzz/replica.c. */
#define SETTLE    0
#define DELIVER   1
#define PERSISTED 2
#define DISK_FULL 3
#define PASS      4
#define CUT       5
#define JOIN      6
#define SUBMIT    7
#define DAMAGE    8
#define INJECT    9
#define RENEW     10

#define PASS_A_WHILE        PASS, 100, 0
#define FORM                PASS_A_WHILE, SETTLE, PASS_A_WHILE, SETTLE
#define CREATE(node, name)  SUBMIT, node, 0, name
#define REPLACE(node, name) SUBMIT, node, 1, name
#define MKDIR(node, name)   SUBMIT, node, 2, name
#define LOCK(node, name)    SUBMIT, node, 5, name
#define APART               FORM, CREATE(0, 1), SETTLE, CUT, 2, FORM, CREATE(0, 2), REPLACE(1, 1), SETTLE
#define TRANSFER            APART, JOIN, 2, PASS_A_WHILE

static void keep_program(const char *name, const uint8_t *steps, size_t size)
{
	keep("replica", name, steps, size);
}

static void make_programs(void)
{
	static const uint8_t normal[] = {FORM, CREATE(0, 1), CREATE(1, 2), REPLACE(2, 1), DELIVER,
		PERSISTED, 0, PERSISTED, 1, SETTLE};
	static const uint8_t transfer[] = {TRANSFER, SETTLE, CREATE(2, 3), SETTLE};
	static const uint8_t locks[] = {FORM, MKDIR(0, 4), SETTLE, MKDIR(0, 5), SETTLE, LOCK(0, 6),
		LOCK(1, 7), SETTLE, RENEW, 0, 3, RENEW, 1, 4, DELIVER, DELIVER, SETTLE};
	static const uint8_t full[] = {
		FORM, CREATE(0, 1), DELIVER, DISK_FULL, 0, DISK_FULL, 1, PASS_A_WHILE, SETTLE};
	static const uint8_t damaged[] = {TRANSFER, DELIVER, DELIVER, DAMAGE, 30, 0, 2, 0xff, 0xff,
		DELIVER, DELIVER, DAMAGE, 60, 0, 4, 1, 2, 3, 4, SETTLE};
	g_autoptr(Op) op = op_new(OP_MKDIR, "d");
	g_autoptr(GByteArray) op_bytes = encoded(op);

	keep_program("normal", normal, sizeof(normal));
	keep_program("transfer", transfer, sizeof(transfer));
	keep_program("locks", locks, sizeof(locks));
	keep_program("disk-full", full, sizeof(full));
	keep_program("damaged", damaged, sizeof(damaged));
	for (int type = WIRE_INVALID; type < WIRE_N_TYPES; type++) {
		static const uint8_t before[] = {FORM, CREATE(0, 1), SETTLE, INJECT, 1, 1};
		static const uint8_t after[] = {SETTLE, CREATE(0, 2), SETTLE};
		g_autoptr(GBytes) message = message_of(type, op_bytes);
		g_autoptr(GByteArray) program = g_byte_array_new();
		g_autofree char *name = g_strdup_printf("message-%d", type);
		gsize size;
		const void *bytes;

		if (!message)
			continue;
		bytes = g_bytes_get_data(message, &size);
		keep("wire", name, bytes, size);
		bytes_put(program, before, sizeof(before));
		bytes_put_u16(program, (uint16_t)size);
		bytes_put(program, bytes, size);
		bytes_put(program, after, sizeof(after));
		keep_program(name, program->data, program->len);
	}
}

/* A stream of one item of each type. */
static void make_stream(void)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static("content", 7);
	g_autoptr(GByteArray) stream = g_byte_array_new();

	for (StreamItemType type = STREAM_LOG; type < STREAM_N_TYPES; type++) {
		StreamItem item = {.type = type};

		switch (type) {
		case STREAM_LOG:
			item.log.n_members = 1;
			item.log.members[0] = (StreamMember){.node = 2, .common = 5};
			break;
		case STREAM_TREE:
			item.tree.node = item.tree.session = 1;
			break;
		case STREAM_ASK:
		case STREAM_REMOVED:
			item.inode = 7;
			break;
		case STREAM_ROW:
			item.row = (ReplicaRow){.inode = 8,
				.version = 8,
				.writer = 1,
				.name = (char *)"f",
				.data = bytes};
			break;
		case STREAM_PICTURE:
			item.picture.commit = item.picture.version = 8;
			break;
		case STREAM_ORIGIN:
			item.origin = (ReplicaOrigin){.node = 1, .boot = 1, .seq = 1};
			break;
		default:
			item.entry = (ReplicaEntry){.index = 9,
				.epoch = 1,
				.boot = 1,
				.seq = 2,
				.origin = 1,
				.op = bytes};
			break;
		}
		stream_put(stream, &item);
	}
	keep("stream", "all", stream->data, stream->len);
}

static void keep_message(const char *target, const char *name, GBytes *message)
{
	gsize size;
	const void *bytes = g_bytes_get_data(message, &size);

	keep(target, name, bytes, size);
	g_bytes_unref(message);
}

/* The same as commands for tests/fuzz/ipc_server.c: a client sends it, and the server works. */
static void keep_sending(const char *name, unsigned client, GBytes *message)
{
	g_autoptr(GByteArray) program = g_byte_array_new();
	gsize size;
	const void *bytes = g_bytes_get_data(message, &size);

	bytes_put_u8(program, (uint8_t)(8 * client + 5));
	bytes_put_u16(program, (uint16_t)size);
	bytes_put(program, bytes, size);
	bytes_put_u16(program, 50 << 8);
	bytes_put_u8(program, 4);
	keep("ipc_server", name, program->data, program->len);
}

static void make_requests(void)
{
	for (IpcType type = IPC_READ; type < IPC_N_TYPES; type++) {
		IpcRequest request = {.type = type, .number = 1};
		IpcAnswer answer = {.type = type, .number = 1};
		g_autofree char *asked = g_strconcat("ask-", ipc_type_to_string(type), NULL);
		g_autoptr(GBytes) sent = NULL;
		g_autofree char *read = g_strconcat("reader-asks-", ipc_type_to_string(type), NULL);
		g_autofree char *answered = g_strconcat("answer-", ipc_type_to_string(type), NULL);

		switch (type) {
		case IPC_READ:
			request.read.path = "storage.cfg";
			answer.read = (IpcEntry){
				.inode = 1, .version = 2, .bytes = (const uint8_t *)"x", .size = 1};
			break;
		case IPC_CHANGE:
			request.change.bytes = (const uint8_t *)"operation";
			request.change.size = 9;
			break;
		case IPC_STATE:
			answer.state = (IpcState){.node = 1, .n_nodes = 1};
			answer.state.nodes[0] = (IpcNode){.id = 1, .name = "n1"};
			break;
		case IPC_STATUS_SET:
			request.status_set.key = "load";
			request.status_set.bytes = (const uint8_t *)"1";
			request.status_set.size = 1;
			break;
		case IPC_STATUS_GET:
			request.status_get.node = 1;
			request.status_get.key = "load";
			break;
		case IPC_SUBSCRIBE:
			request.subscribe = (EventFilter){.kinds = EVENT_PATH, .text = "nodes"};
			break;
		case IPC_UNSUBSCRIBE:
			request.unsubscribe.number = 1;
			break;
		case IPC_LOG_WRITE:
			request.log_write = (ClusterLogEntry){.priority = 6,
				.host = "",
				.user = "root",
				.tag = "test",
				.message = "hello"};
			break;
		case IPC_LOCK:
			request.lock.name = "l";
			request.lock.owner = "n1/task";
			request.lock.ttl_s = 60;
			break;
		case IPC_RENEW:
		case IPC_UNLOCK:
			request.renew.token = 1;
			break;
		default:
			break;
		}
		sent = ipc_encode_request(&request);
		keep_sending(asked, 0, sent);
		keep_sending(read, 2, sent);
		keep_message("ipc", asked, g_steal_pointer(&sent));
		keep_message("ipc", answered, ipc_encode_answer(&answer));
	}
}

/* Programs for tests/fuzz/beside.c. */
static void make_beside(void)
{
	static const uint8_t steps[] = {1, 0, 2, 'o', 'k', 2, 5, 'h', 'e', 'l', 'l', 'o', 1, 6, 5,
		5, 5, 9, 0, 1, 'x', 0, 3, 5, 0, 7, 5, 5, 5, 5, 3, 5};
	g_autoptr(GByteArray) program = g_byte_array_new();

	keep("beside", "normal", steps, sizeof(steps));
	bytes_put_u8(program, 4);
	bytes_put_u16(program, 2 + 8 + 1 + 2 + 1 + 2);
	bytes_put_u8(program, WIRE_VERSION);
	bytes_put_u8(program, BESIDE_STATUS);
	bytes_put_u64(program, 5);
	bytes_put_u8(program, 1);
	bytes_put_u16(program, 1);
	bytes_put(program, "kok", 3);
	bytes_put_u8(program, 4);
	bytes_put_u16(program, 2 + 29 + 4 * 4);
	bytes_put_u8(program, WIRE_VERSION);
	bytes_put_u8(program, BESIDE_LOG);
	bytes_put_u32(program, 1);
	bytes_put_u64(program, 1);
	bytes_put_u32(program, 1);
	bytes_put_u64(program, 1);
	bytes_put_u8(program, 6);
	bytes_put_u32(program, 1);
	for (unsigned i = 0; i < 4; i++) {
		bytes_put_u16(program, 2);
		bytes_put(program, "ab", 2);
	}
	keep("beside", "messages", program->data, program->len);
}

/* Programs for tests/fuzz/pieces.c: two messages, the second between pieces of the first; a change of
 * membership in the middle of one; and pieces that one sends as he likes. */
static void make_pieces(void)
{
	static const uint8_t mixed[] = {1, 5, 0, 2, 2, 5, 1, 0, 0, 6, 2};
	static const uint8_t cut[] = {1, 5, 0, 4, 2, 3, 2, 2, 1, 9, 0, 0, 2};
	static const uint8_t raw[] = {
		0, 6, 0, 1, 1, 0, 0, 'a', 'b', 0, 5, 0, 1, 2, 1, 0, 'c', 0, 5, 0, 1, 3, 0, 0, 'd'};

	keep("pieces", "mixed", mixed, sizeof(mixed));
	keep("pieces", "cut", cut, sizeof(cut));
	keep("pieces", "raw", raw, sizeof(raw));
}

/* Columns as tests/fuzz/store_rows.c reads them. */
static void put_number(GByteArray *out, uint64_t number)
{
	bytes_put_u8(out, 1);
	bytes_put_u64(out, number);
}

static void put_blob(GByteArray *out, uint8_t kind, const void *bytes, size_t size)
{
	bytes_put_u8(out, kind);
	bytes_put_u8(out, (uint8_t)size);
	bytes_put(out, bytes, size);
}

#define TEXT 3
#define BLOB 4

static void put_tree_row(GByteArray *out, uint64_t inode, uint64_t parent, bool directory,
	const char *name, const char *data)
{
	bytes_put_u8(out, 0);
	put_number(out, inode);
	put_number(out, parent);
	put_number(out, inode);
	put_number(out, 1);
	put_number(out, 1700000000);
	put_number(out, directory ? 4 : 8);
	put_blob(out, TEXT, name, strlen(name));
	if (data)
		put_blob(out, BLOB, data, strlen(data));
	else
		bytes_put_u8(out, 0);
}

static void make_rows(void)
{
	g_autoptr(GByteArray) rows = g_byte_array_new();
	g_autoptr(Op) op = op_new(OP_MKDIR, "d");
	g_autoptr(GByteArray) op_bytes = encoded(op);
	uint8_t hash[REPLICA_HASH_SIZE] = {0};

	put_tree_row(rows, 0, 0, false, "__version__", NULL);
	put_tree_row(rows, 1, 0, true, "a", NULL);
	put_tree_row(rows, 2, 1, false, "f", "content");
	keep("store_rows", "tree", rows->data, rows->len);
	keep("import", "tree", rows->data, rows->len);

	bytes_put_u8(rows, 1);
	for (unsigned i = 0; i < 5; i++)
		put_number(rows, 1);
	put_blob(rows, BLOB, hash, sizeof(hash));
	put_blob(rows, BLOB, op_bytes->data, op_bytes->len);
	put_number(rows, 1);
	bytes_put_u8(rows, 2);
	for (unsigned i = 0; i < 3; i++)
		put_number(rows, 1);
	put_blob(rows, BLOB, hash, 12);
	bytes_put_u8(rows, 3);
	put_blob(rows, TEXT, "commit", 6);
	put_number(rows, 1);
	keep("store_rows", "log", rows->data, rows->len);
}

/* A database as the daemon leaves it. */
static void make_file(void)
{
	g_autofree char *directory = g_dir_make_tmp("seeds-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(directory, "config.db", NULL);
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	g_autoptr(GBytes) data = g_bytes_new_static("content", 7);
	g_autoptr(Store) store = NULL;
	g_autofree char *bytes = NULL;
	gsize size;
	int r;

	r = store_open(path, &store, NULL);
	assert(r == 0);
	replica_batch_add_row(batch, 1, 0, 1, 1, 1700000000, true, "a", NULL);
	replica_batch_add_row(batch, 2, 1, 2, 1, 1700000000, false, "f", data);
	batch->scalars.version = 2;
	r = store_write(store, batch);
	assert(r == 0);
	store = store_close(store);
	if (!g_file_get_contents(path, &bytes, &size, NULL))
		exit(EXIT_FAILURE);
	keep("store_file", "small", bytes, size);
	(void)g_unlink(path);
	(void)g_rmdir(directory);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: seeds CORPUS\n");
		return EXIT_FAILURE;
	}
	corpus = argv[1];
	make_ops();
	make_programs();
	make_stream();
	make_requests();
	make_beside();
	make_pieces();
	make_rows();
	make_file();
	return EXIT_SUCCESS;
}
