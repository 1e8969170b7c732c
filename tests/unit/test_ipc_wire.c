/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/ipc_wire.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static const uint8_t content[] = "content";

static IpcRequest sample_request(IpcType type)
{
	IpcRequest request = {.type = type, .number = 77};

	switch (type) {
	case IPC_READ:
		request.read.path = "nodes/n1";
		break;
	case IPC_CHANGE:
		request.change.bytes = content;
		request.change.size = sizeof(content);
		break;
	case IPC_STATUS_SET:
		request.status_set.key = "load";
		request.status_set.bytes = content;
		request.status_set.size = sizeof(content);
		break;
	case IPC_STATUS_GET:
		request.status_get.node = 3;
		request.status_get.key = "load";
		break;
	case IPC_SUBSCRIBE:
		request.subscribe.kinds = EVENT_PATH | EVENT_LOG;
		request.subscribe.exact = true;
		request.subscribe.text = "a/b";
		break;
	case IPC_UNSUBSCRIBE:
	case IPC_CANCEL:
		request.unsubscribe.number = 5;
		break;
	case IPC_LOG_WRITE:
		request.log_write = (ClusterLogEntry){.priority = 4,
			.host = "",
			.user = "root@pam",
			.tag = "test",
			.message = "text"};
		break;
	case IPC_LOCK:
		request.lock.name = "ha";
		request.lock.owner = "n1";
		request.lock.ttl_s = 60;
		request.lock.wait = true;
		break;
	case IPC_RENEW:
	case IPC_UNLOCK:
		request.renew.token = 99;
		break;
	default:
		break;
	}
	return request;
}

static IpcAnswer sample_answer(IpcType type, const GByteArray *list)
{
	IpcAnswer answer = {.type = type, .number = type == IPC_HELLO ? 0 : 77};

	switch (type) {
	case IPC_HELLO:
		answer.hello.may_change = true;
		break;
	case IPC_READ:
		answer.read = (IpcEntry){.inode = 1,
			.version = 2,
			.mtime_s = 3,
			.bytes = content,
			.size = sizeof(content)};
		break;
	case IPC_CHANGE:
		answer.change.version = 12;
		break;
	case IPC_STATE:
		answer.state = (IpcState){.node = 2,
			.quorate = true,
			.writable = true,
			.state = REPLICA_STATE_ACTIVE,
			.need = 2,
			.epoch = 3,
			.commit = 4,
			.version = 5,
			.n_nodes = 2,
			.nodes = {{.id = 1, .online = true, .name = "n1"},
				{.id = 2, .in_store = true, .catching_up = true, .name = "n2"}}};
		break;
	case IPC_STATUS_GET:
		answer.status_get.version = 6;
		answer.status_get.bytes = content;
		answer.status_get.size = sizeof(content);
		break;
	case IPC_STATUS_LIST:
	case IPC_LOG_READ:
		answer.status_list = (IpcList){2, list->data, list->len};
		break;
	case IPC_LOCK:
		answer.lock.token = 13;
		answer.lock.until_ms = 14;
		break;
	case IPC_RENEW:
		answer.renew.until_ms = 15;
		break;
	default:
		break;
	}
	return answer;
}

/* Two elements of the kind that the type lists. */
static GByteArray *sample_list(IpcType type)
{
	const ClusterLogEntry entry = {.node = 1,
		.time_s = 2,
		.priority = 3,
		.host = "n1",
		.user = "root",
		.tag = "cfs",
		.message = "text"};
	const IpcKey key = {.node = 1, .version = 2, .size = 3, .key = "load"};
	GByteArray *list = g_byte_array_new();

	for (unsigned i = 0; i < 2; i++)
		if (type == IPC_LOG_READ)
			ipc_list_put_entry(list, &entry);
		else
			ipc_list_put_key(list, &key);
	return list;
}

static void every_request_comes_back(void **state)
{
	for (IpcType type = IPC_HELLO + 1; type < IPC_N_TYPES; type++) {
		IpcRequest request = sample_request(type), decoded;
		g_autoptr(GBytes) bytes = ipc_encode_request(&request);
		g_autoptr(GBytes) again = NULL;
		size_t size;
		const uint8_t *data = g_bytes_get_data(bytes, &size);

		assert_int_equal(ipc_message_size(data, size, size), size);
		assert_int_equal(ipc_decode_request(data, size, &decoded), 0);
		assert_int_equal(decoded.type, type);
		assert_int_equal(decoded.number, 77);
		again = ipc_encode_request(&decoded);
		assert_true(g_bytes_equal(bytes, again));
	}
}

static void every_answer_comes_back(void **state)
{
	for (IpcType type = IPC_HELLO; type < IPC_N_TYPES; type++) {
		g_autoptr(GByteArray) list = sample_list(type);
		IpcAnswer answer = sample_answer(type, list);
		g_autoptr(GBytes) bytes = ipc_encode_answer(&answer);
		g_autoptr(GBytes) again = NULL;
		IpcReply reply;
		size_t size;
		const uint8_t *data = g_bytes_get_data(bytes, &size);

		assert_int_equal(ipc_decode_reply(data, size, &reply), 0);
		assert_false(reply.is_event);
		assert_int_equal(reply.answer.type, type);
		again = ipc_encode_answer(&reply.answer);
		assert_true(g_bytes_equal(bytes, again));
	}
}

static void failures_carry_nothing_but_the_errno(void **state)
{
	const IpcAnswer answer = {.type = IPC_READ, .number = 1, .result = -ENOENT};
	g_autoptr(GBytes) bytes = ipc_encode_answer(&answer);
	IpcReply reply;

	assert_int_equal(g_bytes_get_size(bytes), 20);
	assert_int_equal(ipc_decode_reply(g_bytes_get_data(bytes, NULL), 20, &reply), 0);
	assert_int_equal(reply.answer.result, -ENOENT);
}

static void every_event_comes_back(void **state)
{
	for (unsigned kind = 1; kind <= EVENT_KINDS; kind <<= 1) {
		const IpcEvent event = {.number = 4,
			.event = {.kind = kind, .node = 1, .version = 2, .on = true, .text = "t"}};
		g_autoptr(GBytes) bytes = ipc_encode_event(&event);
		IpcReply reply;
		size_t size;
		const uint8_t *data = g_bytes_get_data(bytes, &size);

		assert_int_equal(ipc_decode_reply(data, size, &reply), 0);
		assert_true(reply.is_event);
		assert_int_equal(reply.event.number, 4);
		assert_int_equal(reply.event.event.kind, kind);
		assert_string_equal(reply.event.event.text, "t");
	}
}

static void lists_are_read_one_by_one(void **state)
{
	g_autoptr(GByteArray) keys = sample_list(IPC_STATUS_LIST);
	g_autoptr(GByteArray) entries = sample_list(IPC_LOG_READ);
	IpcList list = {2, keys->data, keys->len};
	ClusterLogEntry entry;
	IpcKey key;

	assert_true(ipc_list_next_key(&list, &key));
	assert_true(ipc_list_next_key(&list, &key));
	assert_string_equal(key.key, "load");
	assert_int_equal(key.size, 3);
	assert_false(ipc_list_next_key(&list, &key));
	list = (IpcList){2, entries->data, entries->len};
	assert_true(ipc_list_next_entry(&list, &entry));
	assert_true(ipc_list_next_entry(&list, &entry));
	assert_string_equal(entry.message, "text");
	assert_false(ipc_list_next_entry(&list, &entry));
}

/* The layout is a contract between versions. */
static void bytes_are_as_documented(void **state)
{
	static const uint8_t golden[] = {28, 0, 0, 0, 1, 1, 13, 0, 77, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0,
		0, 'h', 0, 1, 0, 0, 0, 0, 60, 0, 0, 0, 1};
	IpcRequest request = {.type = IPC_LOCK, .number = 77};
	g_autoptr(GBytes) bytes = NULL;

	request.lock.name = "h";
	request.lock.owner = "";
	request.lock.ttl_s = 60;
	request.lock.wait = true;
	bytes = ipc_encode_request(&request);
	assert_int_equal(g_bytes_get_size(bytes), sizeof(golden));
	assert_memory_equal(g_bytes_get_data(bytes, NULL), golden, sizeof(golden));
}

static void a_message_is_whole_or_too_long(void **state)
{
	static const uint8_t header[] = {6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7};

	for (size_t size = 0; size < 10; size++)
		assert_int_equal(ipc_message_size(header, size, 100), 0);
	assert_int_equal(ipc_message_size(header, 10, 100), 10);
	assert_int_equal(ipc_message_size(header, 11, 10), 10);
	assert_int_equal(ipc_message_size(header, 4, 9), -EMSGSIZE);
}

/* A message cut at any place, and one with a byte too many, are none. */
static void what_is_cut_is_no_message(void **state)
{
	for (IpcType type = IPC_HELLO + 1; type < IPC_N_TYPES; type++) {
		IpcRequest request = sample_request(type), decoded;
		g_autoptr(GBytes) bytes = ipc_encode_request(&request);
		g_autoptr(GByteArray) longer = g_byte_array_new();
		size_t size;
		const uint8_t *data = g_bytes_get_data(bytes, &size);

		for (size_t cut = 0; cut <= size + 1; cut++) {
			uint32_t behind = (uint32_t)cut - 4;

			/* The length fits, so that what follows it is what is wrong. */
			g_byte_array_set_size(longer, 0);
			g_byte_array_append(longer, data, (guint)size);
			g_byte_array_append(longer, (const uint8_t *)"", 1);
			memcpy(longer->data, &behind, sizeof(behind));
			assert_int_equal(ipc_decode_request(longer->data, cut, &decoded),
				cut == size ? 0 : -EBADMSG);
		}
	}
}

static void bad_fields_are_refused(void **state)
{
	static const struct {
		unsigned at;
		uint8_t byte;
		int expected;
	} cases[] = {
		{0, 27, -EBADMSG},        /* Length. */
		{4, 2, -EPROTONOSUPPORT}, /* Version. */
		{5, 2, -EBADMSG},         /* Class. */
		{6, IPC_HELLO, -EBADMSG}, {6, IPC_N_TYPES, -EBADMSG},
		{7, 1, -EBADMSG},  /* Padding. */
		{8, 0, -EBADMSG},  /* Number 0. */
		{16, 1, -EBADMSG}, /* A string without its NUL. */
		{20, 0, -EBADMSG}, /* One with two. */
		{31, 2, -EBADMSG}, /* Neither true nor false. */
	};
	IpcRequest request = sample_request(IPC_LOCK), decoded;
	uint8_t data[32];

	request.lock.name = "h";
	request.lock.owner = "";
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) bytes = ipc_encode_request(&request);

		assert_int_equal(g_bytes_get_size(bytes), sizeof(data));
		memcpy(data, g_bytes_get_data(bytes, NULL), sizeof(data));
		data[cases[i].at] = cases[i].byte;
		assert_int_equal(
			ipc_decode_request(data, sizeof(data), &decoded), cases[i].expected);
	}
}

static void replies_are_checked_as_well(void **state)
{
	const IpcAnswer answer = {.type = IPC_BARRIER, .number = 1, .result = -EIO};
	const IpcEvent event = {.number = 1, .event = {.kind = EVENT_LOG, .text = ""}};
	g_autoptr(GBytes) answered = ipc_encode_answer(&answer);
	g_autoptr(GBytes) told = ipc_encode_event(&event);
	uint8_t data[64];
	IpcReply reply;

	memcpy(data, g_bytes_get_data(answered, NULL), 20);
	data[8] = 0; /* Only a greeting has the number 0. */
	assert_int_equal(ipc_decode_reply(data, 20, &reply), -EBADMSG);
	data[8] = 1;
	data[18] = 1; /* No errno is so large. */
	assert_int_equal(ipc_decode_reply(data, 20, &reply), -EBADMSG);
	memcpy(data, g_bytes_get_data(told, NULL), g_bytes_get_size(told));
	data[6] = EVENT_LOG | EVENT_PATH;
	assert_int_equal(ipc_decode_reply(data, g_bytes_get_size(told), &reply), -EBADMSG);
	data[6] = 0;
	assert_int_equal(ipc_decode_reply(data, g_bytes_get_size(told), &reply), -EBADMSG);
	data[6] = EVENT_LOG;
	data[5] = 1; /* A request. */
	assert_int_equal(ipc_decode_reply(data, g_bytes_get_size(told), &reply), -EBADMSG);
}

static void readers_change_nothing(void **state)
{
	static const IpcType changing[] = {IPC_CHANGE, IPC_STATUS_SET, IPC_LOG_WRITE, IPC_LOCK,
		IPC_RENEW, IPC_UNLOCK, IPC_CANCEL};

	for (unsigned i = 0; i < G_N_ELEMENTS(changing); i++)
		assert_false(ipc_type_only_reads(changing[i]));
	assert_true(ipc_type_only_reads(IPC_READ));
	for (IpcType type = IPC_INVALID; type < IPC_N_TYPES; type++)
		assert_non_null(ipc_type_to_string(type));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_comes_back),
		cmocka_unit_test(every_answer_comes_back),
		cmocka_unit_test(failures_carry_nothing_but_the_errno),
		cmocka_unit_test(every_event_comes_back),
		cmocka_unit_test(lists_are_read_one_by_one),
		cmocka_unit_test(bytes_are_as_documented),
		cmocka_unit_test(a_message_is_whole_or_too_long),
		cmocka_unit_test(what_is_cut_is_no_message),
		cmocka_unit_test(bad_fields_are_refused),
		cmocka_unit_test(replies_are_checked_as_well),
		cmocka_unit_test(readers_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
