/* SPDX-License-Identifier: Apache-2.0 */

/* Sums of rows.  sqlite knows whether its pages hang together, not whether a bit of a file's content
 * has flipped: such a row would be served, and given to others, as if it were what was written.
 *
 * Words of 8 bytes, little-endian, are mixed in one after the other, each part with its length before
 * it.  Each step is one to one, so a change within one word always changes the sum. */

#include <string.h>

#include "base/macro.h"
#include "cfs/store_private.h"

#define SUM_START  UINT64_C(0xcbf29ce484222325)
#define SUM_FACTOR UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * SUM_FACTOR;
	return sum ^ sum >> 32;
}

static uint64_t mix_bytes(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t word;

	sum = mix(sum, size);
	for (; size >= sizeof(word); size -= sizeof(word), bytes += sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		sum = mix(sum, GUINT64_FROM_LE(word));
	}
	if (size == 0)
		return sum;
	word = 0;
	memcpy(&word, bytes, size);
	return mix(sum, GUINT64_FROM_LE(word));
}

static uint64_t mix_gbytes(uint64_t sum, GBytes *bytes)
{
	gsize size = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

	return mix_bytes(mix(sum, bytes != NULL), data, size);
}

uint64_t store_sum_row(const ReplicaRow *row)
{
	uint64_t sum = mix(SUM_START, row->inode);

	sum = mix(sum, row->parent);
	sum = mix(sum, row->version);
	sum = mix(sum, row->writer);
	sum = mix(sum, row->mtime_s);
	sum = mix(sum, row->directory);
	sum = mix_bytes(sum, row->name, strlen(row->name));
	return mix_gbytes(sum, row->data);
}

uint64_t store_sum_entry(const ReplicaEntry *entry, uint64_t known)
{
	uint64_t sum = mix(SUM_START, entry->index);

	sum = mix(sum, entry->epoch);
	sum = mix(sum, entry->boot);
	sum = mix(sum, entry->seq);
	sum = mix(sum, entry->origin);
	sum = mix(sum, known);
	sum = mix_bytes(sum, entry->hash, sizeof(entry->hash));
	return mix_gbytes(sum, entry->op);
}
