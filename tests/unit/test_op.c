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
		2,
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

static void lock_encoding_is_the_documented_one(void **state)
{
	static const uint8_t golden[] = {
		2, OP_LOCK, 0, OP_IF_ABSENT | 0x80, 1, 0, 0, 0, /* mtime */
		0, 0, 0, 0, 0, 0, 0, 0,                         /* inode */
		0, 0, 0, 0, 0, 0, 0, 0,                         /* offset */
		11, 0, 0, 0, 0, 0, 0, 0,                        /* lengths */
		'p', 'r', 'i', 'v', '/', 'l', 'o', 'c', 'k', '/', 'x', 0x10, 0x0e, 0, 0, /* ttl */
		2, 'm', 'e',                                                             /* owner */
		5, 0, 0, 0, 0, 0, 0, 0,                                                  /* token */
		6, 0, 0, 0, 0, 0, 0, 0,                                                  /* epoch */
		7, 0, 0, 0, 0, 0, 0, 0, /* renewals */
	};
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(Op) op = op_new(OP_LOCK, "priv/lock/x");

	op->condition = OP_IF_ABSENT;
	op->mtime_s = 1;
	op->owner = g_strdup("me");
	op->ttl_s = 3600;
	op->takeover = (OpTakeover){.token = 5, .epoch = 6, .renewals = 7};
	op_encode(op, out);

	assert_int_equal(out->len, sizeof(golden));
	assert_memory_equal(out->data, golden, sizeof(golden));
}

static Op *op_lock(const char *path, const char *owner, uint32_t ttl_s)
{
	Op *op = op_new(OP_LOCK, path);

	op->owner = g_strdup(owner);
	op->ttl_s = ttl_s;
	return op;
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
	op = op_new(OP_UNLINK, "\xff\n");
	op->condition = OP_IF_VERSION;
	op->if_version = UINT64_MAX;
	g_ptr_array_add(ops, op);
	g_ptr_array_add(ops, op_lock("priv/lock/a", "", OP_TTL_MIN_S));
	op = op_lock("priv/lock/a", "node \xc3\xa9", OP_TTL_MAX_S);
	op->takeover = (OpTakeover){.token = 9, .epoch = 3};
	g_ptr_array_add(ops, op);
	op = op_new(OP_RMDIR, "priv/lock/a");
	op->takeover = (OpTakeover){.token = 9, .renewals = 1};
	g_ptr_array_add(ops, op);
	op = op_new(OP_TRANSACTION, "");
	op_add(op, op_lock("priv/lock/b", "x", 10));
	op_add(op, op_with_data(OP_CREATE, "c", "content"));
	op_add(op, op_rename("c", "d"));
	((Op *)g_ptr_array_index(op->ops, 2))->condition = OP_IF_ABSENT;
	g_ptr_array_add(ops, op);
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
		assert_int_equal(back->condition, op->condition);
		assert_int_equal(back->if_version, op->if_version);
		assert_true(str_equal(back->owner, op->owner));
		assert_int_equal(back->ttl_s, op->ttl_s);
		assert_memory_equal(&back->takeover, &op->takeover, sizeof(op->takeover));
		assert_int_equal(back->ops != NULL, op->ops != NULL);
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
		{0, 1},                            /* version */
		{1, 0},                            /* type */
		{1, OP_N_TYPES},                   /* type */
		{1, OP_MKDIR},                     /* has no data */
		{1, OP_RENAME},                    /* lacks a target */
		{1, OP_LOCK},                      /* lacks a lease */
		{1, OP_TRANSACTION},               /* lacks operations */
		{2, OP_FLAG_NOREPLACE}, {2, 0x80}, /* flags */
		{3, OP_IF_VERSION},                /* lacks the version */
		{3, OP_N_CONDITIONS}, {3, 0x80},   /* takes nothing over */
		{8, 1},                            /* a create names no inode */
		{16, 1},                           /* nor an offset */
		{26, 1},                           /* nor a target */
		{31, 1},                           /* more data than there is */
		{32, 0},                           /* NUL in the path */
		{33, '/'},                         /* "a/c" is fine */
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
		{"a\nb", 0},
		{"a\x7f", 0},
		{"\xc3/\xff", 0},
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

static void leases_are_checked(void **state)
{
	g_autofree char *longest = g_strnfill(OP_OWNER_MAX, 'o');
	g_autofree char *too_long = g_strnfill(OP_OWNER_MAX + 1, 'o');
	const struct {
		const char *path;
		const char *owner;
		uint32_t ttl_s;
		int r;
	} cases[] = {
		{"priv/lock/x", "", OP_TTL_MIN_S, 0},
		{"priv/lock/x", longest, OP_TTL_MAX_S, 0},
		{"priv/lock/x", too_long, 1, -ENAMETOOLONG},
		{"priv/lock/x", "two\nlines", 1, -EINVAL},
		{"priv/lock/x", "\xff", 1, -EINVAL},
		{"priv/lock/x", "\xc2\x9b", 1, -EINVAL},
		{"priv/lock/x", "", 0, -EINVAL},
		{"priv/lock/x", "", OP_TTL_MAX_S + 1, -EINVAL},
		{"priv/lock/x", NULL, 1, -EINVAL},
		{"priv/lock/x/y", "", 1, -EINVAL},
		{"priv/lock", "", 1, -EINVAL},
		{"priv/lock/..", "", 1, -EINVAL},
		{"locks/x", "", 1, -EINVAL},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Op) op = op_lock(cases[i].path, cases[i].owner, cases[i].ttl_s);

		assert_int_equal(op_check(op), cases[i].r);
	}
}

static void conditions_and_takeovers_are_checked(void **state)
{
	g_autoptr(Op) directory = op_new(OP_MKDIR, "priv/lock/x");
	g_autoptr(Op) remove = op_new(OP_RMDIR, "priv/lock/x");
	g_autoptr(Op) elsewhere = op_new(OP_RMDIR, "priv/x");
	g_autoptr(Op) barrier = op_new(OP_BARRIER, "");

	directory->if_version = 1;
	assert_int_equal(op_check(directory), -EINVAL);
	directory->condition = OP_IF_VERSION;
	assert_int_equal(op_check(directory), 0);
	directory->condition = OP_N_CONDITIONS;
	assert_int_equal(op_check(directory), -EINVAL);
	barrier->condition = OP_IF_ABSENT;
	assert_int_equal(op_check(barrier), -EINVAL);

	remove->takeover.epoch = 1;
	assert_int_equal(op_check(remove), -EINVAL);
	remove->takeover.token = 1;
	assert_int_equal(op_check(remove), 0);
	elsewhere->takeover.token = 1;
	assert_int_equal(op_check(elsewhere), -EINVAL);
}

static void transactions_are_checked(void **state)
{
	g_autoptr(Op) outer = op_new(OP_TRANSACTION, "");
	Op *inner = op_new(OP_TRANSACTION, "");
	Op *takeover = op_new(OP_RMDIR, "priv/lock/x");

	assert_int_equal(op_check(outer), -EINVAL);
	while (outer->ops->len < OP_TRANSACTION_MAX)
		op_add(outer, op_new(OP_MKDIR, "a"));
	assert_int_equal(op_check(outer), 0);
	op_add(outer, op_new(OP_MKDIR, "a"));
	assert_int_equal(op_check(outer), -EINVAL);

	g_ptr_array_set_size(outer->ops, 1);
	op_add(inner, op_new(OP_MKDIR, "a"));
	op_add(outer, inner);
	assert_int_equal(op_check(outer), -EINVAL);
	g_ptr_array_set_size(outer->ops, 1);
	op_add(outer, op_new(OP_BARRIER, ""));
	assert_int_equal(op_check(outer), -EINVAL);
	g_ptr_array_set_size(outer->ops, 1);
	takeover->takeover.token = 1;
	op_add(outer, takeover);
	assert_int_equal(op_check(outer), -EINVAL);
	g_ptr_array_set_size(outer->ops, 1);
	op_add(outer, op_new(OP_MKDIR, "/"));
	assert_int_equal(op_check(outer), -EINVAL);
}

static void content_of_a_transaction_has_one_limit(void **state)
{
	g_autoptr(GBytes) half = g_bytes_new_take(g_malloc0(OP_DATA_MAX / 2), OP_DATA_MAX / 2);
	g_autoptr(Op) op = op_new(OP_TRANSACTION, "");

	for (unsigned i = 0; i < 3; i++) {
		Op *create = op_new(OP_CREATE, "a");

		create->data = g_bytes_ref(half);
		op_add(op, create);
		assert_int_equal(op_check(op), i < 2 ? 0 : -EFBIG);
	}
}

static void the_place_of_a_lock_has_its_name(void **state)
{
	assert_string_equal(op_lock_name("priv/lock/x"), "x");
	assert_null(op_lock_name("priv/lock/"));
	assert_null(op_lock_name("priv/lock"));
	assert_null(op_lock_name("priv/lock/x/y"));
	assert_null(op_lock_name("priv/lockx"));
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
		cmocka_unit_test(lock_encoding_is_the_documented_one),
		cmocka_unit_test(leases_are_checked),
		cmocka_unit_test(conditions_and_takeovers_are_checked),
		cmocka_unit_test(transactions_are_checked),
		cmocka_unit_test(content_of_a_transaction_has_one_limit),
		cmocka_unit_test(the_place_of_a_lock_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
