/* SPDX-License-Identifier: Apache-2.0 */

/* A message, little-endian:
 *
 *	offset size
 *	0      4     bytes behind this field
 *	4      1     IPC_VERSION
 *	5      1     1: request, 2: answer, 3: event
 *	6      1     IpcType; of an event EventKind
 *	7      1     0
 *	8      8     number: of the request, or of the one that is answered or has subscribed
 *	16           request: what its type needs
 *	             answer: u32 errno (0: success) and then, of a success, what its type needs
 *	             event: u32 node, u64 version, u8 on, string
 *
 *	string       u32 bytes with the NUL at its end, and these; no other NUL
 *	bytes        u32 size, and these
 *	bool         u8, 0 or 1
 *
 *	request      READ         string path
 *	             CHANGE       bytes operation
 *	             STATUS_SET   string key, bool remove, bytes value
 *	             STATUS_GET   u32 node, string key
 *	             SUBSCRIBE    u32 kinds, bool exact, string
 *	             UNSUBSCRIBE, CANCEL  u64 number
 *	             LOG_WRITE    entry
 *	             LOCK         string name, string owner, u32 ttl, bool wait
 *	             RENEW, UNLOCK  u64 token
 *	answer       HELLO        bool may_change
 *	             READ         u64 inode, u64 version, u32 mtime, bool directory, bytes content
 *	             CHANGE       u64 version
 *	             STATE        the fields of IpcState in order
 *	             STATUS_GET   u64 version, bytes value
 *	             STATUS_LIST  u32 n, and n times: u32 node, u64 version, u32 size, string key
 *	             LOG_READ     u32 n, and n times: entry
 *	             LOCK         u64 token, u64 until
 *	             RENEW        u64 until
 *	entry        u32 node, u64 boot, u32 number, u64 time, u8 priority, u32 pid, and the strings
 *	             host, user, tag, message
 *	             (all others have nothing) */

#include "cfs/ipc_wire.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

#define LENGTH_SIZE 4

/* Above all errnos of Linux. */
#define ERRNO_MAX 4095

enum {
	CLASS_REQUEST = 1,
	CLASS_ANSWER,
	CLASS_EVENT,
};

const char *ipc_type_to_string(IpcType type)
{
	static const char *const names[IPC_N_TYPES] = {
		[IPC_INVALID] = "invalid",
		[IPC_HELLO] = "hello",
		[IPC_READ] = "read",
		[IPC_CHANGE] = "change",
		[IPC_BARRIER] = "barrier",
		[IPC_STATE] = "state",
		[IPC_STATUS_SET] = "status-set",
		[IPC_STATUS_GET] = "status-get",
		[IPC_STATUS_LIST] = "status-list",
		[IPC_SUBSCRIBE] = "subscribe",
		[IPC_UNSUBSCRIBE] = "unsubscribe",
		[IPC_LOG_WRITE] = "log-write",
		[IPC_LOG_READ] = "log-read",
		[IPC_LOCK] = "lock",
		[IPC_RENEW] = "renew",
		[IPC_UNLOCK] = "unlock",
		[IPC_CANCEL] = "cancel",
	};

	assert(type < IPC_N_TYPES);
	return names[type];
}

bool ipc_type_only_reads(IpcType type)
{
	switch (type) {
	case IPC_READ:
	case IPC_BARRIER:
	case IPC_STATE:
	case IPC_STATUS_GET:
	case IPC_STATUS_LIST:
	case IPC_SUBSCRIBE:
	case IPC_UNSUBSCRIBE:
	case IPC_LOG_READ:
		return true;
	case IPC_INVALID:
	case IPC_HELLO:
	case IPC_CHANGE:
	case IPC_STATUS_SET:
	case IPC_LOG_WRITE:
	case IPC_LOCK:
	case IPC_RENEW:
	case IPC_UNLOCK:
	case IPC_CANCEL:
	case IPC_N_TYPES:
		break;
	}
	return false;
}

ssize_t ipc_message_size(const uint8_t *data, size_t size, size_t max)
{
	BytesReader reader = bytes_reader(data, size);
	size_t whole = LENGTH_SIZE + (size_t)bytes_get_u32(&reader);

	if (reader.failed)
		return 0;
	if (whole > max)
		return -EMSGSIZE;
	return whole <= size ? (ssize_t)whole : 0;
}

/* --- Fields ----------------------------------------------------------------------------------- */

static void put_string(GByteArray *out, const char *string)
{
	size_t size = strlen(string) + 1;

	assert(size <= UINT32_MAX);

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, string, size);
}

static const char *get_string(BytesReader *reader)
{
	size_t size = bytes_get_u32(reader);
	const uint8_t *at = bytes_get(reader, size);

	if (!at || size == 0 || memchr(at, '\0', size) != at + size - 1) {
		reader->failed = true;
		return "";
	}
	return (const char *)at;
}

static void put_bytes(GByteArray *out, const uint8_t *bytes, size_t size)
{
	assert(size <= UINT32_MAX);

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, bytes, size);
}

static const uint8_t *get_bytes(BytesReader *reader, size_t *ret_size)
{
	*ret_size = bytes_get_u32(reader);
	return bytes_get(reader, *ret_size);
}

static bool get_bool(BytesReader *reader)
{
	uint8_t value = bytes_get_u8(reader);

	if (value > 1)
		reader->failed = true;
	return value == 1;
}

static void put_entry(GByteArray *out, const ClusterLogEntry *entry)
{
	bytes_put_u32(out, entry->node);
	bytes_put_u64(out, entry->boot);
	bytes_put_u32(out, entry->number);
	bytes_put_u64(out, entry->time_s);
	bytes_put_u8(out, entry->priority);
	bytes_put_u32(out, entry->pid);
	put_string(out, entry->host);
	put_string(out, entry->user);
	put_string(out, entry->tag);
	put_string(out, entry->message);
}

static void get_entry(BytesReader *reader, ClusterLogEntry *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->boot = bytes_get_u64(reader);
	ret->number = bytes_get_u32(reader);
	ret->time_s = bytes_get_u64(reader);
	ret->priority = bytes_get_u8(reader);
	ret->pid = bytes_get_u32(reader);
	ret->host = get_string(reader);
	ret->user = get_string(reader);
	ret->tag = get_string(reader);
	ret->message = get_string(reader);
}

static void put_key(GByteArray *out, const IpcKey *key)
{
	bytes_put_u32(out, key->node);
	bytes_put_u64(out, key->version);
	bytes_put_u32(out, key->size);
	put_string(out, key->key);
}

static void get_key(BytesReader *reader, IpcKey *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->version = bytes_get_u64(reader);
	ret->size = bytes_get_u32(reader);
	ret->key = get_string(reader);
}

/* --- Lists ------------------------------------------------------------------------------------ */

void ipc_list_put_key(GByteArray *list, const IpcKey *key)
{
	put_key(list, key);
}

void ipc_list_put_entry(GByteArray *list, const ClusterLogEntry *entry)
{
	put_entry(list, entry);
}

static void list_advance(IpcList *list, const BytesReader *reader)
{
	/* The list was walked through when it was decoded. */
	assert(!reader->failed);

	list->n--;
	list->bytes = reader->at;
	list->size = reader->left;
}

bool ipc_list_next_key(IpcList *list, IpcKey *ret)
{
	BytesReader reader = bytes_reader(list->bytes, list->size);

	if (list->n == 0)
		return false;
	get_key(&reader, ret);
	list_advance(list, &reader);
	return true;
}

bool ipc_list_next_entry(IpcList *list, ClusterLogEntry *ret)
{
	BytesReader reader = bytes_reader(list->bytes, list->size);

	if (list->n == 0)
		return false;
	get_entry(&reader, ret);
	list_advance(list, &reader);
	return true;
}

static void put_list(GByteArray *out, const IpcList *list)
{
	bytes_put_u32(out, list->n);
	bytes_put(out, list->bytes, list->size);
}

/* A list is the last field. */
static void get_list(BytesReader *reader, IpcType type, IpcList *ret)
{
	ClusterLogEntry entry;
	IpcKey key;

	ret->n = bytes_get_u32(reader);
	ret->bytes = reader->at;
	ret->size = reader->left;
	for (uint32_t i = 0; i < ret->n && !reader->failed; i++)
		if (type == IPC_LOG_READ)
			get_entry(reader, &entry);
		else
			get_key(reader, &key);
}

/* --- Requests --------------------------------------------------------------------------------- */

static GByteArray *begin(unsigned class, unsigned type, uint64_t number)
{
	GByteArray *out = g_byte_array_new();

	bytes_put_u32(out, 0);
	bytes_put_u8(out, IPC_VERSION);
	bytes_put_u8(out, (uint8_t) class);
	bytes_put_u8(out, (uint8_t)type);
	bytes_put_u8(out, 0);
	bytes_put_u64(out, number);
	return out;
}

static GBytes *finish(GByteArray *out)
{
	uint32_t behind = GUINT32_TO_LE((uint32_t)(out->len - LENGTH_SIZE));

	memcpy(out->data, &behind, sizeof(behind));
	return g_byte_array_free_to_bytes(out);
}

GBytes *ipc_encode_request(const IpcRequest *request)
{
	GByteArray *out = begin(CLASS_REQUEST, request->type, request->number);

	assert(request->type > IPC_HELLO && request->type < IPC_N_TYPES);
	assert(request->number > 0);

	switch (request->type) {
	case IPC_READ:
		put_string(out, request->read.path);
		break;
	case IPC_CHANGE:
		put_bytes(out, request->change.bytes, request->change.size);
		break;
	case IPC_STATUS_SET:
		put_string(out, request->status_set.key);
		bytes_put_u8(out, request->status_set.remove);
		put_bytes(out, request->status_set.bytes, request->status_set.size);
		break;
	case IPC_STATUS_GET:
		bytes_put_u32(out, request->status_get.node);
		put_string(out, request->status_get.key);
		break;
	case IPC_SUBSCRIBE:
		bytes_put_u32(out, request->subscribe.kinds);
		bytes_put_u8(out, request->subscribe.exact);
		put_string(out, request->subscribe.text);
		break;
	case IPC_UNSUBSCRIBE:
	case IPC_CANCEL:
		bytes_put_u64(out, request->unsubscribe.number);
		break;
	case IPC_LOG_WRITE:
		put_entry(out, &request->log_write);
		break;
	case IPC_LOCK:
		put_string(out, request->lock.name);
		put_string(out, request->lock.owner);
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
	return finish(out);
}

static void get_request(BytesReader *reader, IpcRequest *ret)
{
	switch (ret->type) {
	case IPC_READ:
		ret->read.path = get_string(reader);
		break;
	case IPC_CHANGE:
		ret->change.bytes = get_bytes(reader, &ret->change.size);
		break;
	case IPC_STATUS_SET:
		ret->status_set.key = get_string(reader);
		ret->status_set.remove = get_bool(reader);
		ret->status_set.bytes = get_bytes(reader, &ret->status_set.size);
		break;
	case IPC_STATUS_GET:
		ret->status_get.node = bytes_get_u32(reader);
		ret->status_get.key = get_string(reader);
		break;
	case IPC_SUBSCRIBE:
		ret->subscribe.kinds = bytes_get_u32(reader);
		ret->subscribe.exact = get_bool(reader);
		ret->subscribe.text = get_string(reader);
		break;
	case IPC_UNSUBSCRIBE:
	case IPC_CANCEL:
		ret->unsubscribe.number = bytes_get_u64(reader);
		break;
	case IPC_LOG_WRITE:
		get_entry(reader, &ret->log_write);
		break;
	case IPC_LOCK:
		ret->lock.name = get_string(reader);
		ret->lock.owner = get_string(reader);
		ret->lock.ttl_s = bytes_get_u32(reader);
		ret->lock.wait = get_bool(reader);
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

typedef struct Header {
	uint8_t class;
	uint8_t type;
	uint64_t number;
} Header;

static int get_header(BytesReader *reader, size_t size, Header *ret)
{
	uint32_t behind = bytes_get_u32(reader);
	uint8_t version = bytes_get_u8(reader), padding;

	if (reader->failed || behind != size - LENGTH_SIZE)
		return -EBADMSG;
	if (version != IPC_VERSION)
		return -EPROTONOSUPPORT;
	ret->class = bytes_get_u8(reader);
	ret->type = bytes_get_u8(reader);
	padding = bytes_get_u8(reader);
	ret->number = bytes_get_u64(reader);
	return reader->failed || padding != 0 ? -EBADMSG : 0;
}

int ipc_decode_request(const uint8_t *data, size_t size, IpcRequest *ret)
{
	BytesReader reader = bytes_reader(data, size);
	Header header;
	int r = get_header(&reader, size, &header);

	*ret = (IpcRequest){.type = IPC_INVALID};
	if (r < 0)
		return r;
	if (header.class != CLASS_REQUEST || header.number == 0)
		return -EBADMSG;
	ret->number = header.number;
	if (header.type >= IPC_N_TYPES)
		return -EBADMSG;
	ret->type = header.type;
	get_request(&reader, ret);
	return bytes_at_end(&reader) ? 0 : -EBADMSG;
}

/* --- Answers and events ----------------------------------------------------------------------- */

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
		put_string(out, node->name);
	}
}

static void get_state(BytesReader *reader, IpcState *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->standalone = get_bool(reader);
	ret->quorate = get_bool(reader);
	ret->writable = get_bool(reader);
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
		node->online = get_bool(reader);
		node->in_store = get_bool(reader);
		node->catching_up = get_bool(reader);
		node->name = get_string(reader);
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
		put_bytes(out, answer->read.bytes, answer->read.size);
		break;
	case IPC_CHANGE:
		bytes_put_u64(out, answer->change.version);
		break;
	case IPC_STATE:
		put_state(out, &answer->state);
		break;
	case IPC_STATUS_GET:
		bytes_put_u64(out, answer->status_get.version);
		put_bytes(out, answer->status_get.bytes, answer->status_get.size);
		break;
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		put_list(out, &answer->status_list);
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
		ret->hello.may_change = get_bool(reader);
		break;
	case IPC_READ:
		ret->read.inode = bytes_get_u64(reader);
		ret->read.version = bytes_get_u64(reader);
		ret->read.mtime_s = bytes_get_u32(reader);
		ret->read.directory = get_bool(reader);
		ret->read.bytes = get_bytes(reader, &ret->read.size);
		break;
	case IPC_CHANGE:
		ret->change.version = bytes_get_u64(reader);
		break;
	case IPC_STATE:
		get_state(reader, &ret->state);
		break;
	case IPC_STATUS_GET:
		ret->status_get.version = bytes_get_u64(reader);
		ret->status_get.bytes = get_bytes(reader, &ret->status_get.size);
		break;
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		get_list(reader, ret->type, &ret->status_list);
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
	GByteArray *out = begin(CLASS_ANSWER, answer->type, answer->number);

	assert(answer->result <= 0 && answer->result >= -ERRNO_MAX);

	bytes_put_u32(out, (uint32_t)-answer->result);
	if (answer->result == 0)
		put_success(out, answer);
	return finish(out);
}

GBytes *ipc_encode_event(const IpcEvent *event)
{
	GByteArray *out = begin(CLASS_EVENT, event->event.kind, event->number);

	bytes_put_u32(out, event->event.node);
	bytes_put_u64(out, event->event.version);
	bytes_put_u8(out, event->event.on);
	put_string(out, event->event.text);
	return finish(out);
}

static void get_answer(BytesReader *reader, const Header *header, IpcAnswer *ret)
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

static void get_event(BytesReader *reader, const Header *header, IpcEvent *ret)
{
	/* One bit, of those that we know. */
	if ((header->type & ~EVENT_KINDS) || header->type == 0 ||
		(header->type & (header->type - 1)))
		reader->failed = true;
	ret->number = header->number;
	ret->event.kind = header->type;
	ret->event.node = bytes_get_u32(reader);
	ret->event.version = bytes_get_u64(reader);
	ret->event.on = get_bool(reader);
	ret->event.text = get_string(reader);
}

int ipc_decode_reply(const uint8_t *data, size_t size, IpcReply *ret)
{
	BytesReader reader = bytes_reader(data, size);
	Header header;
	int r = get_header(&reader, size, &header);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	ret->is_event = header.class == CLASS_EVENT;
	if (header.class == CLASS_ANSWER)
		get_answer(&reader, &header, &ret->answer);
	else if (header.class == CLASS_EVENT)
		get_event(&reader, &header, &ret->event);
	else
		return -EBADMSG;
	return bytes_at_end(&reader) ? 0 : -EBADMSG;
}
