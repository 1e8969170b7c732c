/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/op.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static Op *op_with_data(OpType type, const char *path, const char *text)
{
	Op *op = op_new(type, path);

	op->data = g_bytes_new(text, strlen(text));
	return op;
}

static Op *op_rename(const char *path, const char *target)
{
	Op *op = op_new(OP_RENAME, path);

	op->target = g_strdup(target);
	return op;
}

static void encoding_is_the_documented_one(void **state)
{
	static const uint8_t golden[] = {
		1,
		OP_WRITE,
		OP_FLAG_APPEND,
		0,
		0x78,
		0x56,
		0x34,
		0x12, /* mtime */
		0x0a,
		0,
		0,
		0,
		0,
		0,
		0,
		0x80, /* inode */
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0, /* offset */
		3,
		0,
		0,
		0,
		2,
		0,
		0,
		0, /* lengths */
		'a',
		'/',
		'b',
		'h',
		'i',
	};
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(Op) op = op_with_data(OP_WRITE, "a/b", "hi");

	op->flags = OP_FLAG_APPEND;
	op->mtime_s = 0x12345678;
	op->inode = UINT64_C(0x800000000000000a);
	op_encode(op, out);

	assert_int_equal(out->len, sizeof(golden));
	assert_memory_equal(out->data, golden, sizeof(golden));
}

static void free_op(void *op)
{
	op_free(op);
}

/* One of each type, with everything that it may have. */
static GPtrArray *samples(void)
{
	GPtrArray *ops = g_ptr_array_new_with_free_func(free_op);
	Op *op;

	g_ptr_array_add(ops, op_with_data(OP_CREATE, "nodes/n1/lxc/100.conf", "memory: 1\n"));
	g_ptr_array_add(ops, op_with_data(OP_CREATE, "empty", ""));
	g_ptr_array_add(ops, op_new(OP_MKDIR, "d\xc3\xa9"));
	op = op_with_data(OP_WRITE, "a", "x");
	op->offset = UINT64_MAX;
	g_ptr_array_add(ops, op);
	op = op_with_data(OP_REPLACE, "a", "yy");
	op->inode = 7;
	g_ptr_array_add(ops, op);
	op = op_new(OP_TRUNCATE, "a");
	op->offset = 12;
	g_ptr_array_add(ops, op);
	op = op_rename("a/b", "c/d");
	op->flags = OP_FLAG_NOREPLACE;
	g_ptr_array_add(ops, op);
	g_ptr_array_add(ops, op_new(OP_UNLINK, "a"));
	g_ptr_array_add(ops, op_new(OP_RMDIR, "a b/c"));
	op = op_new(OP_UTIME, "a");
	op->mtime_s = UINT32_MAX;
	g_ptr_array_add(ops, op);
	g_ptr_array_add(ops, op_new(OP_BARRIER, ""));
	return ops;
}

static void decoding_gives_back_what_was_encoded(void **state)
{
	g_autoptr(GPtrArray) ops = samples();

	for (unsigned i = 0; i < ops->len; i++) {
		const Op *op = g_ptr_array_index(ops, i);
		g_autoptr(GByteArray) out = g_byte_array_new();
		g_autoptr(GByteArray) again = g_byte_array_new();
		g_autoptr(Op) back = NULL;

		op_encode(op, out);
		assert_int_equal(op_decode(out->data, out->len, &back), 0);
		assert_int_equal(back->type, op->type);
		assert_int_equal(back->flags, op->flags);
		assert_int_equal(back->mtime_s, op->mtime_s);
		assert_int_equal(back->offset, op->offset);
		assert_int_equal(back->inode, op->inode);
		assert_string_equal(back->path, op->path);
		assert_true(str_equal(back->target, op->target));
		assert_int_equal(back->data != NULL, op->data != NULL);
		if (op->data)
			assert_true(g_bytes_equal(back->data, op->data));
		op_encode(back, again);
		assert_int_equal(again->len, out->len);
		assert_memory_equal(again->data, out->data, out->len);
	}
}

static void every_shorter_or_longer_text_is_refused(void **state)
{
	g_autoptr(GPtrArray) ops = samples();

	for (unsigned i = 0; i < ops->len; i++) {
		g_autoptr(GByteArray) out = g_byte_array_new();
		Op *back = NULL;

		op_encode(g_ptr_array_index(ops, i), out);
		for (size_t size = 0; size < out->len; size++)
			assert_int_equal(op_decode(out->data, size, &back), -EBADMSG);
		g_byte_array_append(out, (const guint8 *)"x", 1);
		assert_int_equal(op_decode(out->data, out->len, &back), -EBADMSG);
		assert_null(back);
	}
}

static void bytes_that_encode_never_makes_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{0, 2},                                            /* version */
		{1, 0},                                            /* type */
		{1, OP_N_TYPES},                                   /* type */
		{1, OP_MKDIR},                                     /* has no data */
		{1, OP_RENAME},                                    /* lacks a target */
		{2, OP_FLAG_NOREPLACE}, {2, 0x80}, {3, 1}, {8, 1}, /* a create names no inode */
		{16, 1},                                           /* nor an offset */
		{26, 1},                                           /* nor a target */
		{31, 1},                                           /* more data than there is */
		{32, 0},                                           /* NUL in the path */
		{32, 10},                                          /* control character */
		{33, '/'}, {32, 0xff},                             /* not UTF-8 */
	};
	g_autoptr(Op) op = op_with_data(OP_CREATE, "abc", "data");
	g_autoptr(GByteArray) out = g_byte_array_new();

	op_encode(op, out);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint8_t before = out->data[cases[i].at];
		g_autoptr(Op) back = NULL;
		int r;

		out->data[cases[i].at] = cases[i].value;
		r = op_decode(out->data, out->len, &back);
		out->data[cases[i].at] = before;
		/* "a/c" is a path like any other. */
		assert_int_equal(r, cases[i].value == '/' ? 0 : -EBADMSG);
	}
}

static void paths_are_checked(void **state)
{
	static const struct {
		const char *path;
		int r;
	} cases[] = {
		{"a", 0},
		{"a/b", 0},
		{"...", 0},
		{"..a", 0},
		{"blank inside", 0},
		{"", -EINVAL},
		{"/a", -EINVAL},
		{"a/", -EINVAL},
		{"a//b", -EINVAL},
		{".", -EINVAL},
		{"a/../b", -EINVAL},
		{"a/./b", -EINVAL},
		{"a\nb", -EINVAL},
		{"a\x7f", -EINVAL},
		{"\xc3", -EINVAL},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Op) op = op_new(OP_MKDIR, cases[i].path);
		g_autoptr(Op) rename = op_rename("ok", cases[i].path);

		assert_int_equal(op_check(op), cases[i].r);
		assert_int_equal(op_check(rename), cases[i].r);
	}
}

static void lengths_have_limits(void **state)
{
	g_autofree char *name = g_strnfill(OP_NAME_MAX, 'n');
	g_autofree char *name_too_long = g_strnfill(OP_NAME_MAX + 1, 'n');
	g_autoptr(GString) path = g_string_new("p");
	g_autoptr(Op) fits = op_new(OP_MKDIR, name);
	g_autoptr(Op) long_name = op_new(OP_MKDIR, name_too_long);
	g_autoptr(Op) long_path = NULL;
	g_autoptr(Op) big = op_new(OP_CREATE, "big");

	while (path->len <= OP_PATH_MAX)
		g_string_append(path, "/p");
	long_path = op_new(OP_MKDIR, path->str);
	big->data = g_bytes_new_take(g_malloc0(OP_DATA_MAX + 1), OP_DATA_MAX + 1);

	assert_int_equal(op_check(fits), 0);
	assert_int_equal(op_check(long_name), -ENAMETOOLONG);
	assert_int_equal(op_check(long_path), -ENAMETOOLONG);
	assert_int_equal(op_check(big), -EFBIG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoding_is_the_documented_one),
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(every_shorter_or_longer_text_is_refused),
		cmocka_unit_test(bytes_that_encode_never_makes_are_refused),
		cmocka_unit_test(paths_are_checked),
		cmocka_unit_test(lengths_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
