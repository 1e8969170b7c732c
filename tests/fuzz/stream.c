/* SPDX-License-Identifier: Apache-2.0 */

/* The streams in which a source sends what others miss: each item has one encoding, and a stream that
 * ends in the middle of an item waits for the rest. */

#include "cfs/stream.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BytesReader reader = bytes_reader(data, size);
	StreamItem item;

	for (;;) {
		g_autoptr(GByteArray) again = NULL;
		BytesReader before = reader;
		size_t read;
		int r = stream_get(&reader, &item);

		if (r == 0)
			assert(reader.at == before.at && reader.left == before.left);
		if (r <= 0)
			break;
		assert(r == 1);
		read = before.left - reader.left;
		again = g_byte_array_new();
		stream_put(again, &item);
		assert(again->len == read && memcmp(again->data, before.at, read) == 0);
		stream_item_clear(&item);
	}
	return 0;
}
