/* SPDX-License-Identifier: Apache-2.0 */

/* Requests.  Layouts are at the top of ipc_wire.c. */

#include "cfs/ipc_wire_internal.h"

#include "base/macro.h"

GBytes *ipc_encode_request(const IpcRequest *request)
{
	GByteArray *out = ipc_begin(IPC_CLASS_REQUEST, request->type, request->number);

	assert(request->type > IPC_HELLO && request->type < IPC_N_TYPES);
	assert(request->number > 0);

	switch (request->type) {
	case IPC_READ:
		ipc_put_string(out, request->read.path);
		break;
	case IPC_CHANGE:
		ipc_put_bytes(out, request->change.bytes, request->change.size);
		break;
	case IPC_STATUS_SET:
		ipc_put_string(out, request->status_set.key);
		bytes_put_u8(out, request->status_set.remove);
		ipc_put_bytes(out, request->status_set.bytes, request->status_set.size);
		break;
	case IPC_STATUS_GET:
		bytes_put_u32(out, request->status_get.node);
		ipc_put_string(out, request->status_get.key);
		break;
	case IPC_SUBSCRIBE:
		bytes_put_u32(out, request->subscribe.kinds);
		bytes_put_u8(out, request->subscribe.exact);
		ipc_put_string(out, request->subscribe.text);
		break;
	case IPC_UNSUBSCRIBE:
	case IPC_CANCEL:
		bytes_put_u64(out, request->unsubscribe.number);
		break;
	case IPC_LOG_WRITE:
		ipc_put_entry(out, &request->log_write);
		break;
	case IPC_LOCK:
		ipc_put_string(out, request->lock.name);
		ipc_put_string(out, request->lock.owner);
		bytes_put_u32(out, request->lock.ttl_s);
		bytes_put_u8(out, request->lock.wait);
		break;
	case IPC_RENEW:
	case IPC_UNLOCK:
		bytes_put_u64(out, request->renew.token);
		break;
	case IPC_BARRIER:
	case IPC_STATE:
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		break;
	case IPC_INVALID:
	case IPC_HELLO:
	case IPC_N_TYPES:
		g_assert_not_reached();
	}
	return ipc_finish(out);
}

static void get_request(BytesReader *reader, IpcRequest *ret)
{
	switch (ret->type) {
	case IPC_READ:
		ret->read.path = ipc_get_string(reader);
		break;
	case IPC_CHANGE:
		ret->change.bytes = ipc_get_bytes(reader, &ret->change.size);
		break;
	case IPC_STATUS_SET:
		ret->status_set.key = ipc_get_string(reader);
		ret->status_set.remove = ipc_get_bool(reader);
		ret->status_set.bytes = ipc_get_bytes(reader, &ret->status_set.size);
		break;
	case IPC_STATUS_GET:
		ret->status_get.node = bytes_get_u32(reader);
		ret->status_get.key = ipc_get_string(reader);
		break;
	case IPC_SUBSCRIBE:
		ret->subscribe.kinds = bytes_get_u32(reader);
		ret->subscribe.exact = ipc_get_bool(reader);
		ret->subscribe.text = ipc_get_string(reader);
		break;
	case IPC_UNSUBSCRIBE:
	case IPC_CANCEL:
		ret->unsubscribe.number = bytes_get_u64(reader);
		break;
	case IPC_LOG_WRITE:
		ipc_get_entry(reader, &ret->log_write);
		break;
	case IPC_LOCK:
		ret->lock.name = ipc_get_string(reader);
		ret->lock.owner = ipc_get_string(reader);
		ret->lock.ttl_s = bytes_get_u32(reader);
		ret->lock.wait = ipc_get_bool(reader);
		break;
	case IPC_RENEW:
	case IPC_UNLOCK:
		ret->renew.token = bytes_get_u64(reader);
		break;
	case IPC_BARRIER:
	case IPC_STATE:
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		break;
	case IPC_INVALID:
	case IPC_HELLO:
	case IPC_N_TYPES:
		reader->failed = true;
	}
}

int ipc_decode_request(const uint8_t *data, size_t size, IpcRequest *ret)
{
	BytesReader reader = bytes_reader(data, size);
	IpcHeader header;
	int r = ipc_get_header(&reader, size, &header);

	*ret = (IpcRequest){.type = IPC_INVALID};
	if (r < 0)
		return r;
	if (header.class != IPC_CLASS_REQUEST || header.number == 0)
		return -EBADMSG;
	ret->number = header.number;
	if (header.type >= IPC_N_TYPES)
		return -EBADMSG;
	ret->type = header.type;
	get_request(&reader, ret);
	return bytes_at_end(&reader) ? 0 : -EBADMSG;
}
