/* SPDX-License-Identifier: Apache-2.0 */

/* Answers and events.  Layouts are at the top of ipc_wire.c. */

#include "cfs/ipc_wire_internal.h"

#include <string.h>

#include "base/macro.h"

/* Above all errnos of Linux. */
#define ERRNO_MAX 4095

static void put_state(GByteArray *out, const IpcState *state)
{
	bytes_put_u32(out, state->node);
	bytes_put_u8(out, state->standalone);
	bytes_put_u8(out, state->quorate);
	bytes_put_u8(out, state->writable);
	bytes_put_u8(out, state->state);
	bytes_put_u32(out, state->need);
	bytes_put_u64(out, state->epoch);
	bytes_put_u64(out, state->commit);
	bytes_put_u64(out, state->version);
	bytes_put_u32(out, state->n_nodes);
	for (uint32_t i = 0; i < state->n_nodes; i++) {
		const IpcNode *node = &state->nodes[i];

		bytes_put_u32(out, node->id);
		bytes_put_u8(out, node->online);
		bytes_put_u8(out, node->in_store);
		bytes_put_u8(out, node->catching_up);
		ipc_put_string(out, node->name);
	}
}

static void get_state(BytesReader *reader, IpcState *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->standalone = ipc_get_bool(reader);
	ret->quorate = ipc_get_bool(reader);
	ret->writable = ipc_get_bool(reader);
	ret->state = bytes_get_u8(reader);
	ret->need = bytes_get_u32(reader);
	ret->epoch = bytes_get_u64(reader);
	ret->commit = bytes_get_u64(reader);
	ret->version = bytes_get_u64(reader);
	ret->n_nodes = bytes_get_u32(reader);
	if (ret->state >= REPLICA_N_STATES || ret->n_nodes > REPLICA_NODES_MAX)
		reader->failed = true;
	for (uint32_t i = 0; i < ret->n_nodes && !reader->failed; i++) {
		IpcNode *node = &ret->nodes[i];

		node->id = bytes_get_u32(reader);
		node->online = ipc_get_bool(reader);
		node->in_store = ipc_get_bool(reader);
		node->catching_up = ipc_get_bool(reader);
		node->name = ipc_get_string(reader);
	}
}

static void put_success(GByteArray *out, const IpcAnswer *answer)
{
	switch (answer->type) {
	case IPC_HELLO:
		bytes_put_u8(out, answer->hello.may_change);
		break;
	case IPC_READ:
		bytes_put_u64(out, answer->read.inode);
		bytes_put_u64(out, answer->read.version);
		bytes_put_u32(out, answer->read.mtime_s);
		bytes_put_u8(out, answer->read.directory);
		ipc_put_bytes(out, answer->read.bytes, answer->read.size);
		break;
	case IPC_CHANGE:
		bytes_put_u64(out, answer->change.version);
		break;
	case IPC_STATE:
		put_state(out, &answer->state);
		break;
	case IPC_STATUS_GET:
		bytes_put_u64(out, answer->status_get.version);
		ipc_put_bytes(out, answer->status_get.bytes, answer->status_get.size);
		break;
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		ipc_put_list(out, &answer->status_list);
		break;
	case IPC_LOCK:
		bytes_put_u64(out, answer->lock.token);
		bytes_put_u64(out, (uint64_t)answer->lock.until_ms);
		break;
	case IPC_RENEW:
		bytes_put_u64(out, (uint64_t)answer->renew.until_ms);
		break;
	case IPC_BARRIER:
	case IPC_STATUS_SET:
	case IPC_SUBSCRIBE:
	case IPC_UNSUBSCRIBE:
	case IPC_LOG_WRITE:
	case IPC_UNLOCK:
	case IPC_CANCEL:
		break;
	case IPC_INVALID:
	case IPC_N_TYPES:
		g_assert_not_reached();
	}
}

static void get_success(BytesReader *reader, IpcAnswer *ret)
{
	switch (ret->type) {
	case IPC_HELLO:
		ret->hello.may_change = ipc_get_bool(reader);
		break;
	case IPC_READ:
		ret->read.inode = bytes_get_u64(reader);
		ret->read.version = bytes_get_u64(reader);
		ret->read.mtime_s = bytes_get_u32(reader);
		ret->read.directory = ipc_get_bool(reader);
		ret->read.bytes = ipc_get_bytes(reader, &ret->read.size);
		break;
	case IPC_CHANGE:
		ret->change.version = bytes_get_u64(reader);
		break;
	case IPC_STATE:
		get_state(reader, &ret->state);
		break;
	case IPC_STATUS_GET:
		ret->status_get.version = bytes_get_u64(reader);
		ret->status_get.bytes = ipc_get_bytes(reader, &ret->status_get.size);
		break;
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		ipc_get_list(reader, ret->type, &ret->status_list);
		break;
	case IPC_LOCK:
		ret->lock.token = bytes_get_u64(reader);
		ret->lock.until_ms = (int64_t)bytes_get_u64(reader);
		break;
	case IPC_RENEW:
		ret->renew.until_ms = (int64_t)bytes_get_u64(reader);
		break;
	case IPC_BARRIER:
	case IPC_STATUS_SET:
	case IPC_SUBSCRIBE:
	case IPC_UNSUBSCRIBE:
	case IPC_LOG_WRITE:
	case IPC_UNLOCK:
	case IPC_CANCEL:
		break;
	case IPC_INVALID:
	case IPC_N_TYPES:
		reader->failed = true;
	}
}

GBytes *ipc_encode_answer(const IpcAnswer *answer)
{
	GByteArray *out = ipc_begin(IPC_CLASS_ANSWER, answer->type, answer->number);

	assert(answer->result <= 0 && answer->result >= -ERRNO_MAX);

	bytes_put_u32(out, (uint32_t)-answer->result);
	if (answer->result == 0)
		put_success(out, answer);
	return ipc_finish(out);
}

GBytes *ipc_encode_event(const IpcEvent *event)
{
	GByteArray *out = ipc_begin(IPC_CLASS_EVENT, event->event.kind, event->number);

	bytes_put_u32(out, event->event.node);
	bytes_put_u64(out, event->event.version);
	bytes_put_u8(out, event->event.on);
	ipc_put_string(out, event->event.text);
	return ipc_finish(out);
}

static void get_answer(BytesReader *reader, const IpcHeader *header, IpcAnswer *ret)
{
	uint32_t code = bytes_get_u32(reader);

	if (header->type >= IPC_N_TYPES || code > ERRNO_MAX ||
		(header->number == 0) != (header->type == IPC_HELLO)) {
		reader->failed = true;
		return;
	}
	ret->type = header->type;
	ret->number = header->number;
	ret->result = -(int)code;
	if (code == 0)
		get_success(reader, ret);
}

static void get_event(BytesReader *reader, const IpcHeader *header, IpcEvent *ret)
{
	/* One bit, of those that we know. */
	if ((header->type & ~EVENT_KINDS) || header->type == 0 ||
		(header->type & (header->type - 1)))
		reader->failed = true;
	ret->number = header->number;
	ret->event.kind = header->type;
	ret->event.node = bytes_get_u32(reader);
	ret->event.version = bytes_get_u64(reader);
	ret->event.on = ipc_get_bool(reader);
	ret->event.text = ipc_get_string(reader);
}

int ipc_decode_reply(const uint8_t *data, size_t size, IpcReply *ret)
{
	BytesReader reader = bytes_reader(data, size);
	IpcHeader header;
	int r = ipc_get_header(&reader, size, &header);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->is_event = header.class == IPC_CLASS_EVENT;
	if (header.class == IPC_CLASS_ANSWER)
		get_answer(&reader, &header, &ret->answer);
	else if (header.class == IPC_CLASS_EVENT)
		get_event(&reader, &header, &ret->event);
	else
		return -EBADMSG;
	return bytes_at_end(&reader) ? 0 : -EBADMSG;
}
