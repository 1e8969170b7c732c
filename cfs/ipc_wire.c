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

#include "cfs/ipc_wire_internal.h"

#include <string.h>

#include "base/macro.h"

#define LENGTH_SIZE 4

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

void ipc_put_string(GByteArray *out, const char *string)
{
	size_t size = strlen(string) + 1;

	assert(size <= UINT32_MAX);

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, string, size);
}

const char *ipc_get_string(BytesReader *reader)
{
	size_t size = bytes_get_u32(reader);
	const uint8_t *at = bytes_get(reader, size);

	if (!at || size == 0 || memchr(at, '\0', size) != at + size - 1) {
		reader->failed = true;
		return "";
	}
	return (const char *)at;
}

void ipc_put_bytes(GByteArray *out, const uint8_t *bytes, size_t size)
{
	assert(size <= UINT32_MAX);

	bytes_put_u32(out, (uint32_t)size);
	bytes_put(out, bytes, size);
}

const uint8_t *ipc_get_bytes(BytesReader *reader, size_t *ret_size)
{
	*ret_size = bytes_get_u32(reader);
	return bytes_get(reader, *ret_size);
}

bool ipc_get_bool(BytesReader *reader)
{
	uint8_t value = bytes_get_u8(reader);

	if (value > 1)
		reader->failed = true;
	return value == 1;
}

void ipc_put_entry(GByteArray *out, const ClusterLogEntry *entry)
{
	bytes_put_u32(out, entry->node);
	bytes_put_u64(out, entry->boot);
	bytes_put_u32(out, entry->number);
	bytes_put_u64(out, entry->time_s);
	bytes_put_u8(out, entry->priority);
	bytes_put_u32(out, entry->pid);
	ipc_put_string(out, entry->host);
	ipc_put_string(out, entry->user);
	ipc_put_string(out, entry->tag);
	ipc_put_string(out, entry->message);
}

void ipc_get_entry(BytesReader *reader, ClusterLogEntry *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->boot = bytes_get_u64(reader);
	ret->number = bytes_get_u32(reader);
	ret->time_s = bytes_get_u64(reader);
	ret->priority = bytes_get_u8(reader);
	ret->pid = bytes_get_u32(reader);
	ret->host = ipc_get_string(reader);
	ret->user = ipc_get_string(reader);
	ret->tag = ipc_get_string(reader);
	ret->message = ipc_get_string(reader);
}

static void put_key(GByteArray *out, const IpcKey *key)
{
	bytes_put_u32(out, key->node);
	bytes_put_u64(out, key->version);
	bytes_put_u32(out, key->size);
	ipc_put_string(out, key->key);
}

static void get_key(BytesReader *reader, IpcKey *ret)
{
	ret->node = bytes_get_u32(reader);
	ret->version = bytes_get_u64(reader);
	ret->size = bytes_get_u32(reader);
	ret->key = ipc_get_string(reader);
}

/* --- Lists ------------------------------------------------------------------------------------ */

void ipc_list_put_key(GByteArray *list, const IpcKey *key)
{
	put_key(list, key);
}

void ipc_list_put_entry(GByteArray *list, const ClusterLogEntry *entry)
{
	ipc_put_entry(list, entry);
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
	ipc_get_entry(&reader, ret);
	list_advance(list, &reader);
	return true;
}

void ipc_put_list(GByteArray *out, const IpcList *list)
{
	bytes_put_u32(out, list->n);
	bytes_put(out, list->bytes, list->size);
}

void ipc_get_list(BytesReader *reader, IpcType type, IpcList *ret)
{
	ClusterLogEntry entry;
	IpcKey key;

	ret->n = bytes_get_u32(reader);
	ret->bytes = reader->at;
	ret->size = reader->left;
	for (uint32_t i = 0; i < ret->n && !reader->failed; i++)
		if (type == IPC_LOG_READ)
			ipc_get_entry(reader, &entry);
		else
			get_key(reader, &key);
}

/* --- Whole messages --------------------------------------------------------------------------- */

GByteArray *ipc_begin(IpcClass class, unsigned type, uint64_t number)
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

GBytes *ipc_finish(GByteArray *out)
{
	uint32_t behind = GUINT32_TO_LE((uint32_t)(out->len - LENGTH_SIZE));

	memcpy(out->data, &behind, sizeof(behind));
	return g_byte_array_free_to_bytes(out);
}

int ipc_get_header(BytesReader *reader, size_t size, IpcHeader *ret)
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
