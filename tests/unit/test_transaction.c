/* SPDX-License-Identifier: Apache-2.0 */

/* Conditions and transactions, as tree_apply() has them. */

#include "cfs/tree.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define WRITER 3

static const TreeLimits limits = {.file_max = 64, .total_max = 4096, .entries_max = 64};

static Op *new_op(OpType type, const char *path, const char *text)
{
	Op *op = op_new(type, path);

	if (text)
		op->data = g_bytes_new(text, strlen(text));
	op->mtime_s = 1000;
	return op;
}

static Op *new_rename(const char *path, const char *target)
{
	Op *op = op_new(OP_RENAME, path);

	op->target = g_strdup(target);
	return op;
}

static Op *only_if(Op *op, OpCondition condition, uint64_t version)
{
	op->condition = condition;
	op->if_version = version;
	return op;
}

/* Takes op. */
static int apply(Tree *tree, Op *op)
{
	g_autoptr(Op) owned = op;

	assert_int_equal(op_check(op), 0);
	return tree_apply(tree, op, WRITER, NULL);
}

static int set_up(void **state)
{
	static const char *const paths[] = {
		"nodes", "nodes/a", "nodes/b", "nodes/a/lxc", "nodes/b/lxc", "priv", "priv/lock"};
	Tree *tree = tree_new(&limits);

	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++)
		assert_int_equal(apply(tree, op_new(OP_MKDIR, paths[i])), 0);
	*state = tree;
	return 0;
}

static int tear_down(void **state)
{
	tree_free(*state);
	return 0;
}

static uint64_t version_of(const Tree *tree, const char *path)
{
	return tree_node_version(tree_by_path(tree, path));
}

/* --- Conditions ------------------------------------------------------------------------------- */

static void a_condition_of_absence_holds_for_all_types(void **state)
{
	Tree *tree = *state;

	assert_int_equal(apply(tree, only_if(new_op(OP_CREATE, "f", "x"), OP_IF_ABSENT, 0)), 0);
	assert_int_equal(
		apply(tree, only_if(new_op(OP_CREATE, "f", "y"), OP_IF_ABSENT, 0)), -EEXIST);
	assert_int_equal(
		apply(tree, only_if(new_op(OP_REPLACE, "f", "y"), OP_IF_ABSENT, 0)), -EEXIST);
	assert_int_equal(
		apply(tree, only_if(new_op(OP_REPLACE, "g", "y"), OP_IF_ABSENT, 0)), -ENOENT);
}

static void a_condition_of_version_sees_every_change(void **state)
{
	Tree *tree = *state;
	uint64_t version;

	assert_int_equal(apply(tree, new_op(OP_CREATE, "f", "x")), 0);
	version = version_of(tree, "f");
	assert_int_equal(
		apply(tree, only_if(new_op(OP_REPLACE, "f", "y"), OP_IF_VERSION, version)), 0);
	assert_int_equal(apply(tree, only_if(new_op(OP_REPLACE, "f", "z"), OP_IF_VERSION, version)),
		-ESTALE);
	assert_int_equal(apply(tree, only_if(new_op(OP_UNLINK, "f", NULL), OP_IF_VERSION, version)),
		-ESTALE);
	assert_int_equal(apply(tree, only_if(new_op(OP_UNLINK, "g", NULL), OP_IF_VERSION, version)),
		-ENOENT);
	assert_int_equal(apply(tree, only_if(new_op(OP_UNLINK, "f", NULL), OP_IF_VERSION,
					     version_of(tree, "f"))),
		0);
}

/* --- Transactions ----------------------------------------------------------------------------- */

static void operations_see_what_those_before_them_did(void **state)
{
	Tree *tree = *state;
	Op *op = op_new(OP_TRANSACTION, "");

	op_add(op, new_op(OP_MKDIR, "d", NULL));
	op_add(op, new_op(OP_CREATE, "d/f", "one"));
	op_add(op, new_op(OP_REPLACE, "d/f", "two"));
	op_add(op, new_rename("d/f", "f"));
	op_add(op, new_op(OP_RMDIR, "d", NULL));
	assert_int_equal(apply(tree, op), 0);
	assert_null(tree_by_path(tree, "d"));
	assert_int_equal(g_bytes_get_size(tree_node_data(tree_by_path(tree, "f"))), 3);
}

static void changes_come_as_one_set(void **state)
{
	Tree *tree = *state;
	g_autoptr(GPtrArray) changes = tree_changes_new();
	g_autoptr(Op) op = op_new(OP_TRANSACTION, "");

	op_add(op, new_op(OP_CREATE, "f", ""));
	op_add(op, new_op(OP_CREATE, "g", ""));
	assert_int_equal(tree_apply(tree, op, WRITER, changes), 0);
	assert_int_equal(changes->len, 2);
	assert_string_equal(((TreeChange *)g_ptr_array_index(changes, 0))->name, "f");
	assert_string_equal(((TreeChange *)g_ptr_array_index(changes, 1))->name, "g");

	/* One that fails adds none. */
	assert_int_equal(tree_apply(tree, op, WRITER, changes), -EEXIST);
	assert_int_equal(changes->len, 2);
}

static void the_first_failure_is_the_result_and_nothing_remains(void **state)
{
	Tree *tree = *state;
	g_autofree char *before = tree_dup_digest(tree);
	g_autofree char *after = NULL;
	uint64_t version = tree_version(tree);
	Op *op = op_new(OP_TRANSACTION, "");
	TreeGuest guest;

	op_add(op, new_op(OP_CREATE, "nodes/a/lxc/100.conf", "x"));
	op_add(op, new_rename("nodes/a/lxc/100.conf", "nodes/b/lxc/101.conf"));
	op_add(op, new_op(OP_RMDIR, "nodes/a/lxc", NULL));
	op_add(op, new_op(OP_UNLINK, "missing", NULL));
	op_add(op, new_op(OP_RMDIR, "nodes", NULL));
	assert_int_equal(apply(tree, op), -ENOENT);
	after = tree_dup_digest(tree);
	assert_string_equal(after, before);
	assert_int_equal(tree_version(tree), version);
	assert_false(tree_guest(tree, 100, &guest));
	assert_false(tree_guest(tree, 101, &guest));
	assert_int_equal(apply(tree, new_op(OP_CREATE, "nodes/a/lxc/100.conf", "")), 0);
}

static void a_guest_moves_with_its_condition(void **state)
{
	Tree *tree = *state;
	uint64_t version;
	TreeGuest guest;

	assert_int_equal(apply(tree, new_op(OP_CREATE, "nodes/a/lxc/100.conf", "old")), 0);
	version = version_of(tree, "nodes/a/lxc/100.conf");
	for (unsigned i = 0; i < 2; i++) {
		Op *op = op_new(OP_TRANSACTION, "");

		op_add(op, only_if(new_op(OP_REPLACE, "nodes/a/lxc/100.conf", "new"), OP_IF_VERSION,
				   i == 0 ? version + 1 : version));
		op_add(op, new_rename("nodes/a/lxc/100.conf", "nodes/b/lxc/100.conf"));
		assert_int_equal(apply(tree, op), i == 0 ? -ESTALE : 0);
		assert_true(tree_guest(tree, 100, &guest));
		assert_string_equal(guest.node, i == 0 ? "a" : "b");
	}
}

/* --- Limits ----------------------------------------------------------------------------------- */

static int admit(const Tree *tree, Op *op)
{
	g_autoptr(Op) owned = op;

	return tree_admit(tree, &limits, op);
}

static void a_file_may_not_outgrow_its_limit_in_steps(void **state)
{
	Tree *tree = *state;
	g_autofree char *half = g_strnfill(limits.file_max / 2, 'x');
	Op *op = op_new(OP_TRANSACTION, "");

	op_add(op, new_op(OP_CREATE, "f", half));
	for (unsigned i = 0; i < 2; i++) {
		Op *append = new_op(OP_WRITE, "f", half);

		append->flags = OP_FLAG_APPEND;
		op_add(op, append);
	}
	assert_int_equal(admit(tree, op), -EFBIG);
}

static void what_a_transaction_frees_makes_room_for_the_rest(void **state)
{
	Tree *tree = *state;
	const TreeLimits tight = {.file_max = 64,
		.total_max = tree_total_bytes(tree) + 20,
		.entries_max = tree_total_entries(tree) + 1};
	g_autoptr(Op) swap = op_new(OP_TRANSACTION, "");
	g_autoptr(Op) both = op_new(OP_TRANSACTION, "");
	g_autoptr(Op) large = op_new(OP_TRANSACTION, "");

	assert_int_equal(apply(tree, new_op(OP_CREATE, "f", "0123456789")), 0);
	op_add(swap, new_op(OP_UNLINK, "f", NULL));
	op_add(swap, new_op(OP_CREATE, "g", "0123456789abcdefghi"));
	assert_int_equal(tree_admit(tree, &tight, swap), 0);
	op_add(both, new_op(OP_CREATE, "g", ""));
	assert_int_equal(tree_admit(tree, &tight, both), -ENOSPC); /* entries */
	op_add(large, new_op(OP_REPLACE, "f", "0123456789"));
	op_add(large, new_op(OP_REPLACE, "f", "0123456789abcdefghijk"));
	assert_int_equal(tree_admit(tree, &tight, large), -ENOSPC); /* bytes */
}

/* --- Any transaction -------------------------------------------------------------------------- */

static uint64_t random_below(uint64_t *seed, uint64_t limit)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % limit;
}

static const char *random_path(uint64_t *seed)
{
	static const char *const paths[] = {"f", "g", "d", "d/f", "d/e", "nodes/a/lxc/100.conf",
		"nodes/b/lxc/100.conf", "nodes/a/lxc/101.conf", "nodes/b/lxc", "priv/lock/x",
		"priv/lock/y", "priv/lock/x/z", "priv"};

	return paths[random_below(seed, G_N_ELEMENTS(paths))];
}

static Op *random_op(uint64_t *seed, const Tree *tree)
{
	static const OpType types[] = {OP_CREATE, OP_CREATE, OP_MKDIR, OP_MKDIR, OP_WRITE,
		OP_REPLACE, OP_TRUNCATE, OP_RENAME, OP_RENAME, OP_UNLINK, OP_RMDIR, OP_UTIME,
		OP_LOCK};
	OpType type = types[random_below(seed, G_N_ELEMENTS(types))];
	Op *op = op_new(type, type == OP_LOCK ? "priv/lock/x" : random_path(seed));

	op->mtime_s = (uint32_t)random_below(seed, 100);
	if (type == OP_CREATE || type == OP_WRITE || type == OP_REPLACE)
		op->data = g_bytes_new("0123456789", random_below(seed, 10));
	if (type == OP_WRITE || type == OP_TRUNCATE)
		op->offset = random_below(seed, 20);
	if (type == OP_RENAME)
		op->target = g_strdup(random_path(seed));
	if (type == OP_LOCK) {
		op->owner = g_strdup("owner");
		op->ttl_s = 10;
	}
	if (random_below(seed, 8) == 0) {
		const TreeNode *node = tree_by_path(tree, op->path);

		op->condition = OP_IF_VERSION;
		op->if_version = node ? tree_node_version(node) : 1;
	}
	return op;
}

static bool copy_row(const TreeNode *node, void *data)
{
	assert_int_equal(
		tree_put_row(data, tree_node_inode(node), tree_node_parent(node),
			tree_node_version(node), tree_node_writer(node), tree_node_mtime_s(node),
			tree_node_is_directory(node), tree_node_name(node), tree_node_data(node)),
		0);
	return true;
}

/* Bytes, guests and order of children follow from the rows: a tree that is loaded from them must not
 * differ in these either. */
static void assert_consistent(const Tree *tree)
{
	g_autoptr(Tree) copy = tree_new(&limits);
	g_autoptr(GError) err = NULL;

	tree_each(tree, copy_row, copy);
	tree_set_version(copy, tree_version(tree));
	assert_int_equal(tree_check(copy, &err), 0);
	assert_int_equal(tree_total_bytes(copy), tree_total_bytes(tree));
	for (uint32_t id = 100; id <= 101; id++) {
		TreeGuest a, b;

		assert_int_equal(tree_guest(tree, id, &a), tree_guest(copy, id, &b));
		if (tree_guest(tree, id, &a))
			assert_string_equal(a.node, b.node);
	}
}

static void a_transaction_that_fails_leaves_no_trace(void **state)
{
	Tree *tree = *state;
	uint64_t seed = 1;
	unsigned n_failed = 0;
	unsigned n_done = 0;

	for (unsigned round = 0; round < 10000; round++) {
		g_autofree char *before = tree_dup_digest(tree);
		g_autofree char *after = NULL;
		g_autoptr(Op) op = op_new(OP_TRANSACTION, "");
		uint64_t n_ops = 1 + random_below(&seed, 4);
		uint64_t version = tree_version(tree);

		while (op->ops->len < n_ops)
			op_add(op, random_op(&seed, tree));
		if (tree_apply(tree, op, WRITER, NULL) == 0) {
			n_done++;
			assert_consistent(tree);
			continue;
		}
		n_failed++;
		after = tree_dup_digest(tree);
		assert_string_equal(after, before);
		assert_int_equal(tree_version(tree), version);
		assert_consistent(tree);
	}
	assert_true(n_failed > 1000 && n_done > 500);
}

static void a_transaction_does_what_its_operations_do_one_by_one(void **state)
{
	Tree *tree = *state;
	g_autoptr(Tree) other = NULL;
	uint64_t seed = 2;
	void *copied = NULL;

	set_up(&copied);
	other = copied;
	for (unsigned round = 0; round < 2000; round++) {
		g_autoptr(Op) op = op_new(OP_TRANSACTION, "");
		g_autofree char *expected = NULL;
		g_autofree char *found = NULL;

		while (op->ops->len < 3)
			op_add(op, random_op(&seed, tree));
		if (tree_apply(tree, op, WRITER, NULL) < 0)
			continue;
		for (guint i = 0; i < op->ops->len; i++)
			assert_int_equal(
				tree_apply(other, g_ptr_array_index(op->ops, i), WRITER, NULL), 0);
		expected = tree_dup_digest(other);
		found = tree_dup_digest(tree);
		assert_string_equal(found, expected);
	}
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TREE_TEST(a_condition_of_absence_holds_for_all_types),
		TREE_TEST(a_condition_of_version_sees_every_change),
		TREE_TEST(operations_see_what_those_before_them_did),
		TREE_TEST(changes_come_as_one_set),
		TREE_TEST(the_first_failure_is_the_result_and_nothing_remains),
		TREE_TEST(a_guest_moves_with_its_condition),
		TREE_TEST(a_file_may_not_outgrow_its_limit_in_steps),
		TREE_TEST(what_a_transaction_frees_makes_room_for_the_rest),
		TREE_TEST(a_transaction_that_fails_leaves_no_trace),
		TREE_TEST(a_transaction_does_what_its_operations_do_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
