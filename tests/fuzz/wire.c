/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of the bus: what is decoded has this one encoding. */

#include "cfs/wire.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GBytes) again = NULL;
	WireMessage message;
	gsize again_size;

	if (wire_decode(data, size, &message) < 0)
		return 0;
	again = wire_encode(&message);
	assert(memcmp(g_bytes_get_data(again, &again_size), data, size) == 0);
	assert(again_size == size);
	return 0;
}
