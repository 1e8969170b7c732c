/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/bytes.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static void numbers_are_little_endian(void **state)
{
	static const uint8_t expected[] = {1, 3, 2, 7, 6, 5, 4, 8, 7, 6, 5, 4, 3, 2, 1, 'x'};
	g_autoptr(GByteArray) out = g_byte_array_new();

	bytes_put_u8(out, 1);
	bytes_put_u16(out, 0x0203);
	bytes_put_u32(out, 0x04050607);
	bytes_put_u64(out, UINT64_C(0x0102030405060708));
	bytes_put(out, "x", 1);
	bytes_put(out, NULL, 0);
	assert_int_equal(out->len, sizeof(expected));
	assert_memory_equal(out->data, expected, sizeof(expected));
}

static void reading_gives_back_what_was_written(void **state)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	BytesReader reader;

	bytes_put_u8(out, UINT8_MAX);
	bytes_put_u16(out, 0x1234);
	bytes_put_u32(out, UINT32_MAX);
	bytes_put_u64(out, UINT64_MAX - 1);
	reader = bytes_reader(out->data, out->len);
	assert_int_equal(bytes_get_u8(&reader), UINT8_MAX);
	assert_int_equal(bytes_get_u16(&reader), 0x1234);
	assert_int_equal(bytes_get_u32(&reader), UINT32_MAX);
	assert_false(bytes_at_end(&reader));
	assert_true(bytes_get_u64(&reader) == UINT64_MAX - 1);
	assert_true(bytes_at_end(&reader));
}

static void a_reader_that_ran_over_stays_failed(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	BytesReader reader = bytes_reader(bytes, sizeof(bytes));

	assert_int_equal(bytes_get_u32(&reader), 0);
	assert_true(reader.failed);
	assert_int_equal(bytes_get_u8(&reader), 0);
	assert_null(bytes_get(&reader, 1));
	assert_false(bytes_at_end(&reader));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(reading_gives_back_what_was_written),
		cmocka_unit_test(a_reader_that_ran_over_stays_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
