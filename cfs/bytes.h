/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fixed-size little-endian fields: appending to a byte array, and a reader that cannot run over.
 *
 * A reader that has failed stays failed and gives zeros, so that a decoder reads a whole layout and
 * asks once, at the end.  Sizes that it has read must still be checked by who uses them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

void bytes_put_u8(GByteArray *out, uint8_t value);
void bytes_put_u16(GByteArray *out, uint16_t value);
void bytes_put_u32(GByteArray *out, uint32_t value);
void bytes_put_u64(GByteArray *out, uint64_t value);

/* size may be 0, and data NULL then. */
void bytes_put(GByteArray *out, const void *data, size_t size);

typedef struct BytesReader {
	const uint8_t *at; /* Borrowed, like all that bytes_get() returns. */
	size_t left;
	bool failed; /* More was asked for than there is. */
} BytesReader;

BytesReader bytes_reader(const uint8_t *data, size_t size);

uint8_t bytes_get_u8(BytesReader *reader);
uint16_t bytes_get_u16(BytesReader *reader);
uint32_t bytes_get_u32(BytesReader *reader);
uint64_t bytes_get_u64(BytesReader *reader);

/* The next size bytes, or NULL when there are not so many. */
const uint8_t *bytes_get(BytesReader *reader, size_t size);

/* Whether everything was there and nothing is left. */
bool bytes_at_end(const BytesReader *reader);
