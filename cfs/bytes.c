/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/bytes.h"

#include <string.h>

#include "base/macro.h"

void bytes_put(GByteArray *out, const void *data, size_t size)
{
	assert(out);
	assert(size <= G_MAXUINT - out->len);

	if (size > 0)
		g_byte_array_append(out, data, (guint)size);
}

void bytes_put_u8(GByteArray *out, uint8_t value)
{
	bytes_put(out, &value, sizeof(value));
}

void bytes_put_u16(GByteArray *out, uint16_t value)
{
	value = GUINT16_TO_LE(value);
	bytes_put(out, &value, sizeof(value));
}

void bytes_put_u32(GByteArray *out, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	bytes_put(out, &value, sizeof(value));
}

void bytes_put_u64(GByteArray *out, uint64_t value)
{
	value = GUINT64_TO_LE(value);
	bytes_put(out, &value, sizeof(value));
}

BytesReader bytes_reader(const uint8_t *data, size_t size)
{
	assert(data || size == 0);

	return (BytesReader){.at = data, .left = size};
}

const uint8_t *bytes_get(BytesReader *reader, size_t size)
{
	const uint8_t *at = reader->at;

	assert(reader);

	if (reader->failed || size > reader->left) {
		reader->failed = true;
		return NULL;
	}
	reader->at += size;
	reader->left -= size;
	return at;
}

uint8_t bytes_get_u8(BytesReader *reader)
{
	const uint8_t *at = bytes_get(reader, 1);

	return at ? *at : 0;
}

uint16_t bytes_get_u16(BytesReader *reader)
{
	const uint8_t *at = bytes_get(reader, sizeof(uint16_t));
	uint16_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return GUINT16_FROM_LE(value);
}

uint32_t bytes_get_u32(BytesReader *reader)
{
	const uint8_t *at = bytes_get(reader, sizeof(uint32_t));
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return GUINT32_FROM_LE(value);
}

uint64_t bytes_get_u64(BytesReader *reader)
{
	const uint8_t *at = bytes_get(reader, sizeof(uint64_t));
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return GUINT64_FROM_LE(value);
}

bool bytes_at_end(const BytesReader *reader)
{
	return !reader->failed && reader->left == 0;
}
