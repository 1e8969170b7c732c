/* SPDX-License-Identifier: Apache-2.0 */

/* Locks in the tree: directories below priv/lock, their leases, and taking one over. */

#include "cfs/tree.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define WRITER 3
#define PATH   "priv/lock/x"

static const TreeLimits limits = {.file_max = 64, .total_max = 4096, .entries_max = 64};

static int apply(Tree *tree, OpType type, const char *path)
{
	g_autoptr(Op) op = op_new(type, path);

	if (type == OP_CREATE)
		op->data = g_bytes_new_static("", 0);
	return tree_apply(tree, op, WRITER, NULL);
}

static int take(Tree *tree, const char *owner, uint32_t ttl_s, uint64_t takes, GPtrArray *changes)
{
	g_autoptr(Op) op = op_new(OP_LOCK, PATH);

	op->owner = g_strdup(owner);
	op->ttl_s = ttl_s;
	op->takeover.token = takes;
	return tree_apply(tree, op, WRITER, changes);
}

static int move(Tree *tree, const char *path, const char *target)
{
	g_autoptr(Op) op = op_new(OP_RENAME, path);

	op->target = g_strdup(target);
	return tree_apply(tree, op, WRITER, NULL);
}

static uint64_t inode_of(const Tree *tree, const char *path)
{
	return tree_node_inode(tree_by_path(tree, path));
}

static int set_up(void **state)
{
	Tree *tree = tree_new(&limits);

	assert_int_equal(apply(tree, OP_MKDIR, "priv"), 0);
	assert_int_equal(apply(tree, OP_MKDIR, "priv/lock"), 0);
	*state = tree;
	return 0;
}

static int tear_down(void **state)
{
	tree_free(*state);
	return 0;
}

static void taking_makes_a_directory_with_a_lease(void **state)
{
	Tree *tree = *state;
	TreeLease lease;

	assert_int_equal(take(tree, "me", 30, 0, NULL), 0);
	assert_true(tree_node_lease(tree_by_path(tree, PATH), &lease));
	assert_int_equal(lease.token, inode_of(tree, PATH));
	assert_int_equal(lease.token, tree_version(tree));
	assert_string_equal(lease.owner, "me");
	assert_int_equal(lease.ttl_s, 30);
	assert_int_equal(take(tree, "you", 30, 0, NULL), -EEXIST);
}

static void mkdir_takes_for_two_minutes_and_for_nobody(void **state)
{
	Tree *tree = *state;
	TreeLease lease;

	assert_int_equal(apply(tree, OP_MKDIR, PATH), 0);
	assert_true(tree_node_lease(tree_by_path(tree, PATH), &lease));
	assert_string_equal(lease.owner, "");
	assert_int_equal(lease.ttl_s, TREE_MKDIR_TTL_S);
	assert_int_equal(apply(tree, OP_MKDIR, "priv/other"), 0);
	assert_false(tree_node_lease(tree_by_path(tree, "priv/other"), &lease));
	assert_false(tree_node_lease(tree_by_path(tree, "priv/lock"), &lease));
}

static void a_token_is_never_used_again(void **state)
{
	Tree *tree = *state;
	uint64_t last = 0;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t token;

		assert_int_equal(take(tree, "me", 30, i % 2 ? last : 0, NULL), 0);
		token = inode_of(tree, PATH);
		assert_true(token > last);
		last = token;
		if (i % 2)
			assert_int_equal(apply(tree, OP_RMDIR, PATH), 0);
	}
}

static void a_takeover_replaces_that_lock_only(void **state)
{
	Tree *tree = *state;
	g_autoptr(GPtrArray) changes = tree_changes_new();
	uint64_t token;

	assert_int_equal(take(tree, "me", 30, 77, NULL), -ESTALE);
	assert_int_equal(take(tree, "me", 30, 0, NULL), 0);
	token = inode_of(tree, PATH);
	assert_int_equal(take(tree, "you", 30, token + 1, NULL), -ESTALE);
	assert_int_equal(take(tree, "you", 30, token, changes), 0);
	assert_true(inode_of(tree, PATH) > token);
	assert_null(tree_by_inode(tree, token));

	assert_int_equal(changes->len, 3);
	assert_int_equal(((TreeChange *)g_ptr_array_index(changes, 1))->inode, token);
	assert_true(((TreeChange *)g_ptr_array_index(changes, 1))->removed);
	assert_true(((TreeChange *)g_ptr_array_index(changes, 2))->created);
}

static void a_removal_can_insist_on_the_lock(void **state)
{
	Tree *tree = *state;
	g_autoptr(Op) op = op_new(OP_RMDIR, PATH);

	assert_int_equal(take(tree, "me", 30, 0, NULL), 0);
	op->takeover.token = inode_of(tree, PATH) + 1;
	assert_int_equal(tree_apply(tree, op, WRITER, NULL), -ESTALE);
	op->takeover.token--;
	assert_int_equal(tree_apply(tree, op, WRITER, NULL), 0);
	assert_null(tree_by_path(tree, PATH));
}

static void nothing_else_changes_a_lock(void **state)
{
	Tree *tree = *state;

	assert_int_equal(apply(tree, OP_MKDIR, PATH), 0);
	assert_int_equal(apply(tree, OP_UTIME, PATH), -EPERM);
	assert_int_equal(apply(tree, OP_MKDIR, PATH "/d"), -EPERM);
	assert_int_equal(apply(tree, OP_CREATE, PATH "/f"), -EPERM);
	assert_int_equal(move(tree, PATH, "priv/lock/y"), -EPERM);
	assert_int_equal(move(tree, PATH, "elsewhere"), -EPERM);
	assert_int_equal(apply(tree, OP_MKDIR, "d"), 0);
	assert_int_equal(move(tree, "d", "priv/lock/d"), -EPERM);
	assert_int_equal(move(tree, "d", PATH), -EPERM);
	assert_int_equal(move(tree, "d", PATH "/d"), -EPERM);
	/* Files are no locks. */
	assert_int_equal(apply(tree, OP_CREATE, "priv/lock/f"), 0);
	assert_int_equal(move(tree, "priv/lock/f", "priv/lock/g"), 0);
}

static void without_its_directory_there_are_no_locks(void **state)
{
	Tree *tree = *state;

	assert_int_equal(apply(tree, OP_RMDIR, "priv/lock"), 0);
	assert_int_equal(take(tree, "me", 30, 0, NULL), -ENOENT);
	assert_int_equal(apply(tree, OP_CREATE, "priv/lock"), 0);
	assert_int_equal(take(tree, "me", 30, 0, NULL), -ENOTDIR);
}

static bool count(const TreeNode *node, void *data)
{
	TreeLease lease;

	*(unsigned *)data += tree_node_lease(node, &lease);
	return true;
}

static void locks_are_listed(void **state)
{
	Tree *tree = *state;
	unsigned n_locks = 0;

	assert_int_equal(apply(tree, OP_MKDIR, PATH), 0);
	assert_int_equal(apply(tree, OP_CREATE, "priv/lock/f"), 0);
	assert_int_equal(apply(tree, OP_MKDIR, "priv/lock/y"), 0);
	tree_each_lock(tree, count, &n_locks);
	assert_int_equal(n_locks, 2);
}

/* --- Rows ------------------------------------------------------------------------------------- */

/* What loading says of a row below directory parent, in a tree of priv (1) and priv/lock (2). */
static int load(uint64_t parent, uint64_t version, bool directory, GBytes *data)
{
	g_autoptr(Tree) tree = tree_new(&limits);
	int r;

	assert_int_equal(apply(tree, OP_MKDIR, "priv"), 0);
	assert_int_equal(apply(tree, OP_MKDIR, "priv/lock"), 0);
	tree_set_version(tree, 10);
	r = tree_put_row(tree, 4, parent, version, WRITER, 0, directory, "x", data);
	return r < 0 ? r : tree_check(tree, NULL);
}

static void rows_of_locks_are_checked(void **state)
{
	g_autoptr(GBytes) lease = tree_lease_encode("me", 30);
	g_autoptr(GBytes) empty = g_bytes_new_static("", 0);

	assert_int_equal(load(2, 4, true, lease), 0);
	assert_int_equal(load(1, 4, true, NULL), 0);
	assert_int_equal(load(2, 4, false, empty), 0);
	assert_int_equal(load(2, 4, true, NULL), -EUCLEAN);  /* a lock without a lease */
	assert_int_equal(load(1, 4, true, lease), -EUCLEAN); /* a lease without a lock */
	assert_int_equal(load(2, 4, true, empty), -EUCLEAN);
	assert_int_equal(load(2, 5, true, lease), -EUCLEAN); /* changed after it was taken */
}

static void leases_are_decoded_strictly(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int r;
	} cases[] = {
		{"\1\x1e\0\0\0me\0", 8, 0},
		{"\1\x1e\0\0\0\0", 6, 0},
		{"\2\x1e\0\0\0me\0", 8, -EUCLEAN},   /* version */
		{"\1\0\0\0\0me\0", 8, -EUCLEAN},     /* ttl 0 */
		{"\1\x11\x0e\0\0me\0", 8, -EUCLEAN}, /* ttl 3601 */
		{"\1\x1e\0\0\0me", 7, -EUCLEAN},     /* no NUL */
		{"\1\x1e\0\0\0m\0e\0", 9, -EUCLEAN}, /* another NUL */
		{"\1\x1e\0\0\0m\ne\0", 9, -EUCLEAN}, /* two lines */
		{"\1\x1e\0\0\0", 5, -EUCLEAN},       /* no owner */
		{"\1\x1e\0\0", 4, -EUCLEAN},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GBytes) data = g_bytes_new_static(cases[i].bytes, cases[i].size);

		assert_int_equal(load(2, 4, true, data), cases[i].r);
	}
}

static void the_digest_tells_leases_apart(void **state)
{
	Tree *tree = *state;
	void *made = NULL;
	g_autoptr(Tree) other = NULL;
	g_autofree char *digest = NULL;
	g_autofree char *different = NULL;

	set_up(&made);
	other = made;
	assert_int_equal(take(tree, "me", 30, 0, NULL), 0);
	assert_int_equal(take(other, "me", 31, 0, NULL), 0);
	digest = tree_dup_digest(tree);
	different = tree_dup_digest(other);
	assert_string_not_equal(digest, different);
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TREE_TEST(taking_makes_a_directory_with_a_lease),
		TREE_TEST(mkdir_takes_for_two_minutes_and_for_nobody),
		TREE_TEST(a_token_is_never_used_again),
		TREE_TEST(a_takeover_replaces_that_lock_only),
		TREE_TEST(a_removal_can_insist_on_the_lock),
		TREE_TEST(nothing_else_changes_a_lock),
		TREE_TEST(without_its_directory_there_are_no_locks),
		TREE_TEST(locks_are_listed),
		TREE_TEST(rows_of_locks_are_checked),
		TREE_TEST(leases_are_decoded_strictly),
		TREE_TEST(the_digest_tells_leases_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
