/* SPDX-License-Identifier: Apache-2.0 */

/* What clients send to the store, and what the store sends to them: what is decoded has this one
 * encoding. */

#include "cfs/ipc_wire.h"

#include "tests/fuzz/fuzz.h"

static void expect(GBytes *again, const uint8_t *data, size_t size)
{
	gsize again_size;
	const void *bytes = g_bytes_get_data(again, &again_size);

	assert(again_size == size && memcmp(bytes, data, size) == 0);
	g_bytes_unref(again);
}

static void read_lists(const IpcAnswer *answer)
{
	IpcList keys = answer->status_list, entries = answer->log_read;
	ClusterLogEntry entry;
	IpcKey key;

	if (answer->result < 0)
		return;
	while (answer->type == IPC_STATUS_LIST && ipc_list_next_key(&keys, &key))
		assert(key.key);
	while (answer->type == IPC_LOG_READ && ipc_list_next_entry(&entries, &entry))
		assert(entry.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	IpcRequest request;
	IpcReply reply;
	ssize_t whole = ipc_message_size(data, size, IPC_READER_MAX);

	assert(whole == -EMSGSIZE || (whole >= 0 && (size_t)whole <= size));

	if (ipc_decode_request(data, size, &request) == 0)
		expect(ipc_encode_request(&request), data, size);
	if (ipc_decode_reply(data, size, &reply) < 0)
		return 0;
	if (reply.is_event) {
		expect(ipc_encode_event(&reply.event), data, size);
	} else {
		read_lists(&reply.answer);
		expect(ipc_encode_answer(&reply.answer), data, size);
	}
	return 0;
}
