/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/tree.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

#define WRITER 3

static const TreeLimits limits = {.file_max = 64, .total_max = 4096, .entries_max = 64};

static int set_up(void **state)
{
	*state = tree_new(&limits);
	return 0;
}

static int tear_down(void **state)
{
	tree_free(*state);
	return 0;
}

static int apply(Tree *tree, OpType type, const char *path, const char *text, uint64_t offset,
	uint32_t flags, GPtrArray *changes)
{
	g_autoptr(Op) op = op_new(type, path);

	if (text)
		op->data = g_bytes_new(text, strlen(text));
	op->offset = offset;
	op->flags = flags;
	op->mtime_s = 1000;
	return tree_apply(tree, op, WRITER, changes);
}

static int create(Tree *tree, const char *path, const char *text)
{
	return apply(tree, OP_CREATE, path, text, 0, 0, NULL);
}

static int make_directory(Tree *tree, const char *path)
{
	return apply(tree, OP_MKDIR, path, NULL, 0, 0, NULL);
}

static int rename_flags(
	Tree *tree, const char *path, const char *target, uint32_t flags, GPtrArray *changes)
{
	g_autoptr(Op) op = op_new(OP_RENAME, path);

	op->target = g_strdup(target);
	op->flags = flags;
	return tree_apply(tree, op, WRITER, changes);
}

static int move(Tree *tree, const char *path, const char *target)
{
	return rename_flags(tree, path, target, 0, NULL);
}

static void assert_content(const Tree *tree, const char *path, const void *bytes, size_t size)
{
	const TreeNode *node = tree_by_path(tree, path);
	gsize have;
	const void *data;

	assert_non_null(node);
	data = g_bytes_get_data(tree_node_data(node), &have);
	assert_int_equal(have, size);
	if (size > 0)
		assert_memory_equal(data, bytes, size);
}

static void make_nodes(Tree *tree)
{
	static const char *const paths[] = {"nodes", "nodes/a", "nodes/b", "nodes/a/lxc",
		"nodes/b/lxc", "nodes/b/qemu-server", "priv"};

	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++)
		assert_int_equal(make_directory(tree, paths[i]), 0);
}

static void create_is_exclusive_and_needs_a_directory(void **state)
{
	Tree *tree = *state;

	assert_int_equal(create(tree, "f", "one"), 0);
	assert_int_equal(create(tree, "f", "two"), -EEXIST);
	assert_int_equal(make_directory(tree, "f"), -EEXIST);
	assert_int_equal(create(tree, "missing/f", ""), -ENOENT);
	assert_int_equal(create(tree, "f/f", ""), -ENOTDIR);
	assert_content(tree, "f", "one", 3);
}

static void inode_is_the_version_at_creation(void **state)
{
	Tree *tree = *state;

	assert_int_equal(create(tree, "f", ""), 0);
	assert_int_equal(create(tree, "f", ""), -EEXIST);
	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(tree_version(tree), 2);
	assert_int_equal(tree_node_inode(tree_by_path(tree, "d")), 2);
	assert_int_equal(apply(tree, OP_UTIME, "f", NULL, 0, 0, NULL), 0);
	assert_int_equal(tree_node_version(tree_by_path(tree, "f")), 3);
	assert_int_equal(tree_node_inode(tree_by_path(tree, "f")), 1);
	assert_int_equal(tree_node_writer(tree_by_path(tree, "f")), WRITER);
	assert_int_equal(tree_node_mtime_s(tree_by_path(tree, "f")), 1000);
}

static void writes_land_where_they_should(void **state)
{
	Tree *tree = *state;

	assert_int_equal(create(tree, "f", "abc"), 0);
	assert_int_equal(apply(tree, OP_WRITE, "f", "X", 1, 0, NULL), 0);
	assert_content(tree, "f", "aXc", 3);
	assert_int_equal(apply(tree, OP_WRITE, "f", "Y", 5, 0, NULL), 0);
	assert_content(tree, "f", "aXc\0\0Y", 6);
	assert_int_equal(apply(tree, OP_WRITE, "f", "end", 0, OP_FLAG_APPEND, NULL), 0);
	assert_content(tree, "f", "aXc\0\0Yend", 9);
	assert_int_equal(apply(tree, OP_TRUNCATE, "f", NULL, 2, 0, NULL), 0);
	assert_content(tree, "f", "aX", 2);
	assert_int_equal(apply(tree, OP_TRUNCATE, "f", NULL, 4, 0, NULL), 0);
	assert_content(tree, "f", "aX\0\0", 4);
	assert_int_equal(apply(tree, OP_REPLACE, "f", "new", 0, 0, NULL), 0);
	assert_content(tree, "f", "new", 3);
	assert_int_equal(tree_total_bytes(tree), 4);
}

static void a_write_can_insist_on_its_inode(void **state)
{
	Tree *tree = *state;
	g_autoptr(Op) op = op_new(OP_REPLACE, "f");

	op->data = g_bytes_new_static("x", 1);
	op->inode = 1;
	assert_int_equal(create(tree, "f", ""), 0);
	assert_int_equal(tree_apply(tree, op, WRITER, NULL), 0);
	assert_int_equal(apply(tree, OP_UNLINK, "f", NULL, 0, 0, NULL), 0);
	assert_int_equal(create(tree, "f", ""), 0);
	assert_int_equal(tree_apply(tree, op, WRITER, NULL), -ENOENT);
}

static void errors_are_those_of_posix_and_change_nothing(void **state)
{
	static const struct {
		OpType type;
		const char *path;
		const char *text;
		uint64_t offset;
		int r;
	} cases[] = {
		{OP_WRITE, "d", "x", 0, -EISDIR},
		{OP_WRITE, "none", "x", 0, -ENOENT},
		{OP_REPLACE, "d", "x", 0, -EISDIR},
		{OP_TRUNCATE, "d", NULL, 0, -EISDIR},
		{OP_UNLINK, "d", NULL, 0, -EISDIR},
		{OP_UNLINK, "none", NULL, 0, -ENOENT},
		{OP_RMDIR, "f", NULL, 0, -ENOTDIR},
		{OP_RMDIR, "d", NULL, 0, -ENOTEMPTY},
		{OP_RMDIR, "none", NULL, 0, -ENOENT},
		{OP_UTIME, "none", NULL, 0, -ENOENT},
		{OP_WRITE, "f", "x", 64, -EFBIG},
		{OP_WRITE, "f", "x", UINT64_MAX, -EFBIG},
		{OP_TRUNCATE, "f", NULL, 65, -EFBIG},
	};
	Tree *tree = *state;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(create(tree, "d/f", ""), 0);
	assert_int_equal(create(tree, "f", "12"), 0);
	before = tree_dup_digest(tree);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(apply(tree, cases[i].type, cases[i].path, cases[i].text,
					 cases[i].offset, 0, NULL),
			cases[i].r);
	after = tree_dup_digest(tree);
	assert_string_equal(before, after);
}

static void rename_replaces_atomically(void **state)
{
	Tree *tree = *state;
	g_autoptr(GPtrArray) changes = tree_changes_new();
	const TreeChange *change;

	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(create(tree, "d/new", "n"), 0);
	assert_int_equal(create(tree, "old", "o"), 0);
	assert_int_equal(rename_flags(tree, "d/new", "old", OP_FLAG_NOREPLACE, NULL), -EEXIST);
	assert_int_equal(rename_flags(tree, "d/new", "old", 0, changes), 0);

	assert_content(tree, "old", "n", 1);
	assert_null(tree_by_path(tree, "d/new"));
	assert_int_equal(tree_total_entries(tree), 2);
	assert_int_equal(changes->len, 3);
	change = g_ptr_array_index(changes, 1);
	assert_true(change->removed);
	assert_int_equal(change->inode, 3);
	change = g_ptr_array_index(changes, 2);
	assert_int_equal(change->inode, 2);
	assert_int_equal(change->old_parent, 1);
	assert_int_equal(change->parent, TREE_ROOT_INODE);
	assert_string_equal(change->old_name, "new");
	assert_string_equal(change->name, "old");
}

static void rename_has_limits(void **state)
{
	Tree *tree = *state;

	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(make_directory(tree, "d/e"), 0);
	assert_int_equal(make_directory(tree, "empty"), 0);
	assert_int_equal(create(tree, "f", "x"), 0);

	assert_int_equal(move(tree, "d", "d/e/x"), -EINVAL);
	assert_int_equal(move(tree, "d", "other"), -EPERM);
	assert_int_equal(move(tree, "f", "d"), -EISDIR);
	assert_int_equal(move(tree, "empty", "f"), -ENOTDIR);
	assert_int_equal(move(tree, "empty", "d"), -ENOTEMPTY);
	assert_int_equal(move(tree, "none", "x"), -ENOENT);
	assert_int_equal(move(tree, "f", "none/x"), -ENOENT);
	assert_int_equal(move(tree, "f", "f"), 0);
	assert_int_equal(rename_flags(tree, "f", "f", OP_FLAG_NOREPLACE, NULL), -EEXIST);
	assert_int_equal(tree_version(tree), 4);
	assert_int_equal(move(tree, "empty", "d/e"), 0);
	assert_int_equal(move(tree, "d/e", "e"), 0);
}

static void a_ctid_exists_once(void **state)
{
	Tree *tree = *state;

	make_nodes(tree);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", "a"), 0);
	assert_int_equal(create(tree, "nodes/b/lxc/100.conf", "b"), -EEXIST);
	assert_int_equal(create(tree, "nodes/b/qemu-server/100.conf", "b"), -EEXIST);
	assert_int_equal(create(tree, "nodes/b/lxc/100.tmp", "b"), 0);
	assert_int_equal(move(tree, "nodes/b/lxc/100.tmp", "nodes/b/lxc/100.conf"), -EEXIST);
	assert_int_equal(create(tree, "priv/100.conf", "not a guest"), 0);
	assert_int_equal(move(tree, "priv/100.conf", "nodes/b/lxc/100.conf"), -EEXIST);

	/* The guest itself may move, and its file may be replaced. */
	assert_int_equal(move(tree, "nodes/a/lxc/100.conf", "nodes/b/lxc/100.conf"), 0);
	assert_int_equal(move(tree, "nodes/b/lxc/100.tmp", "nodes/b/lxc/100.conf"), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", "a"), -EEXIST);

	/* It may become another one, and its id is free then. */
	assert_int_equal(move(tree, "nodes/b/lxc/100.conf", "nodes/b/lxc/101.conf"), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", "a"), 0);
	assert_int_equal(apply(tree, OP_UNLINK, "nodes/b/lxc/101.conf", NULL, 0, 0, NULL), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/101.conf", "a"), 0);
}

static void replacing_one_guest_by_another_frees_an_id(void **state)
{
	Tree *tree = *state;
	TreeGuest guest;

	make_nodes(tree);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", ""), 0);
	assert_int_equal(create(tree, "nodes/b/lxc/101.conf", ""), 0);
	assert_int_equal(move(tree, "nodes/a/lxc/100.conf", "nodes/b/lxc/101.conf"), 0);
	assert_false(tree_guest(tree, 100, &guest));
	assert_true(tree_guest(tree, 101, &guest));
	assert_string_equal(guest.node, "b");
}

static bool collect_guest(const TreeGuest *guest, void *data)
{
	g_string_append_printf(
		data, "%u:%s:%s ", guest->vmid, guest->node, guest->container ? "lxc" : "qemu");
	return true;
}

static void guests_are_listed_by_id(void **state)
{
	Tree *tree = *state;
	g_autoptr(GString) list = g_string_new(NULL);
	TreeGuest guest;

	make_nodes(tree);
	assert_int_equal(create(tree, "nodes/b/qemu-server/20.conf", ""), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/3.conf", ""), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/007.conf", ""), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/1234567890.conf", ""), 0);
	assert_int_equal(create(tree, "nodes/a/lxc/x.conf", ""), 0);
	assert_int_equal(make_directory(tree, "nodes/a/lxc/30.conf"), 0);
	tree_each_guest(tree, collect_guest, list);
	assert_string_equal(list->str, "3:a:lxc 20:b:qemu ");
	assert_true(tree_guest(tree, 20, &guest));
	assert_int_equal(guest.version,
		tree_node_version(tree_by_path(tree, "nodes/b/qemu-server/20.conf")));
	assert_false(tree_guest(tree, 7, &guest));
}

static bool collect_name(const TreeNode *node, void *data)
{
	g_string_append_printf(data, "%s ", tree_node_name(node));
	return true;
}

static void children_come_in_byte_order(void **state)
{
	static const char *const names[] = {"b", "\xc3\xa4", "a", "B", "aa", "a-"};
	Tree *tree = *state;
	g_autoptr(GString) all = g_string_new(NULL);
	g_autoptr(GString) rest = g_string_new(NULL);

	assert_int_equal(make_directory(tree, "d"), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_strconcat("d/", names[i], NULL);

		assert_int_equal(create(tree, path, ""), 0);
		assert_int_equal(create(tree, names[i], ""), 0);
	}
	tree_each_child(tree, 1, NULL, collect_name, all);
	tree_each_child(tree, 1, "aa", collect_name, rest);
	assert_string_equal(all->str, "B a a- aa b \xc3\xa4 ");
	assert_string_equal(rest->str, "b \xc3\xa4 ");
}

static void limits_on_the_whole_hold(void **state)
{
	static const TreeLimits small = {.file_max = 100, .total_max = 10, .entries_max = 3};
	g_autoptr(Tree) tree = tree_new(&small);

	assert_int_equal(create(tree, "a", "12345678901"), -ENOSPC);
	assert_int_equal(create(tree, "a", "123456789"), 0);
	assert_int_equal(make_directory(tree, "b"), -ENOSPC);
	assert_int_equal(move(tree, "a", "long"), -ENOSPC);
	assert_int_equal(apply(tree, OP_WRITE, "a", "x", 9, 0, NULL), -ENOSPC);
	assert_int_equal(apply(tree, OP_TRUNCATE, "a", NULL, 5, 0, NULL), 0);
	assert_int_equal(make_directory(tree, "b"), 0);
	assert_int_equal(make_directory(tree, "c"), 0);
	assert_int_equal(make_directory(tree, "d"), -ENOSPC);
	assert_int_equal(tree_version(tree), 4);
}

static void changing_a_name_moves_the_time_of_its_directory(void **state)
{
	Tree *tree = *state;
	g_autoptr(GPtrArray) changes = tree_changes_new();

	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(apply(tree, OP_CREATE, "d/f", "", 0, 0, changes), 0);
	assert_int_equal(tree_node_version(tree_by_path(tree, "d")), 2);
	assert_int_equal(changes->len, 2);
	assert_int_equal(((TreeChange *)g_ptr_array_index(changes, 0))->inode, 1);
	assert_true(((TreeChange *)g_ptr_array_index(changes, 1))->created);
}

static void a_barrier_changes_nothing(void **state)
{
	Tree *tree = *state;
	g_autoptr(Op) op = op_new(OP_BARRIER, "");

	assert_int_equal(tree_apply(tree, op, WRITER, NULL), 0);
	assert_int_equal(tree_version(tree), 0);
}

static bool put_into(const TreeNode *node, void *data)
{
	assert_int_equal(
		tree_put_row(data, tree_node_inode(node), tree_node_parent(node),
			tree_node_version(node), tree_node_writer(node), tree_node_mtime_s(node),
			tree_node_is_directory(node), tree_node_name(node), tree_node_data(node)),
		0);
	return true;
}

static bool push_node(const TreeNode *node, void *data)
{
	g_ptr_array_add(data, (void *)node);
	return true;
}

static void rows_in_any_order_give_the_same_tree(void **state)
{
	Tree *tree = *state;
	g_autoptr(Tree) copy = tree_new(&limits);
	g_autoptr(GPtrArray) nodes = g_ptr_array_new();
	g_autoptr(GError) err = NULL;
	g_autofree char *expected = NULL;
	g_autofree char *digest = NULL;
	TreeGuest guest;

	make_nodes(tree);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", "x"), 0);
	assert_int_equal(create(tree, "priv/f", "yy"), 0);
	tree_each(tree, push_node, nodes);
	for (unsigned i = nodes->len; i-- > 0;)
		put_into(g_ptr_array_index(nodes, i), copy);
	tree_set_version(copy, tree_version(tree));

	assert_int_equal(tree_check(copy, &err), 0);
	expected = tree_dup_digest(tree);
	digest = tree_dup_digest(copy);
	assert_string_equal(digest, expected);
	assert_int_equal(tree_total_bytes(copy), tree_total_bytes(tree));
	assert_true(tree_guest(copy, 100, &guest));
}

/* A tree of "d" (1), "d/e" (2) and "f" (3) with one more row. */
static int check_with_row(uint64_t inode, uint64_t parent, uint64_t version, bool directory,
	const char *name, const char *text)
{
	g_autoptr(Tree) tree = tree_new(&limits);
	g_autoptr(GBytes) data = text ? g_bytes_new(text, strlen(text)) : NULL;
	g_autoptr(GError) err = NULL;
	int r;

	assert_int_equal(make_directory(tree, "d"), 0);
	assert_int_equal(make_directory(tree, "d/e"), 0);
	assert_int_equal(create(tree, "f", "f"), 0);
	tree_set_version(tree, 10);
	r = tree_put_row(tree, inode, parent, version, WRITER, 0, directory, name, data);
	if (r < 0)
		return r;
	r = tree_check(tree, &err);
	assert_int_equal(r < 0, err != NULL);
	return r;
}

static void a_tree_that_contradicts_itself_is_refused(void **state)
{
	g_autofree char *big = g_strnfill(limits.file_max + 1, 'x');

	assert_int_equal(check_with_row(4, 1, 4, false, "g", "ok"), 0);
	assert_int_equal(check_with_row(4, 9, 4, false, "g", ""), -EUCLEAN);  /* no directory */
	assert_int_equal(check_with_row(4, 3, 4, false, "g", ""), -EUCLEAN);  /* in a file */
	assert_int_equal(check_with_row(1, 2, 4, true, "d", NULL), -EUCLEAN); /* a cycle */
	assert_int_equal(check_with_row(4, 1, 4, false, "e", ""), -EUCLEAN);  /* name is taken */
	assert_int_equal(check_with_row(4, 1, 3, false, "g", ""), -EUCLEAN); /* older than itself */
	assert_int_equal(check_with_row(4, 1, 11, false, "g", ""), -EUCLEAN); /* of the future */
	assert_int_equal(check_with_row(4, 1, 4, false, "a/b", ""), -EUCLEAN);
	assert_int_equal(check_with_row(4, 1, 4, false, "..", ""), -EUCLEAN);
	assert_int_equal(check_with_row(4, 1, 4, true, "g", ""), -EUCLEAN);
	assert_int_equal(check_with_row(4, 1, 4, false, "g", big), -EUCLEAN);
	assert_int_equal(check_with_row(0, 0, 4, true, "g", NULL), -EUCLEAN);
}

static void the_same_guest_twice_is_refused(void **state)
{
	Tree *tree = *state;
	g_autoptr(GBytes) data = g_bytes_new_static("", 0);
	g_autoptr(GError) err = NULL;
	const TreeNode *directory;

	make_nodes(tree);
	assert_int_equal(create(tree, "nodes/a/lxc/100.conf", ""), 0);
	directory = tree_by_path(tree, "nodes/b/lxc");
	tree_set_version(tree, 50);
	assert_int_equal(tree_put_row(tree, 50, tree_node_inode(directory), 50, WRITER, 0, false,
				 "100.conf", data),
		0);
	assert_int_equal(tree_check(tree, &err), -EUCLEAN);
	assert_string_equal(err->message, "guest 100 is there twice");
}

static void paths_are_found_back(void **state)
{
	Tree *tree = *state;
	g_autofree char *root = tree_node_dup_path(tree, tree_by_inode(tree, TREE_ROOT_INODE));
	g_autofree char *path = NULL;

	make_nodes(tree);
	path = tree_node_dup_path(tree, tree_by_path(tree, "nodes/b/qemu-server"));
	assert_string_equal(path, "nodes/b/qemu-server");
	assert_string_equal(root, "");
	assert_non_null(tree_child(tree, TREE_ROOT_INODE, "nodes"));
	assert_null(tree_by_path(tree, "nodes/c"));
}

static void a_name_in_a_directory_has_a_path(void **state)
{
	Tree *tree = *state;
	g_autofree char *below = NULL, *top = NULL;
	uint64_t nodes;

	make_nodes(tree);
	nodes = tree_node_inode(tree_by_path(tree, "nodes"));
	below = tree_dup_path_at(tree, nodes, "missing");
	top = tree_dup_path_at(tree, TREE_ROOT_INODE, "missing");
	assert_string_equal(below, "nodes/missing");
	assert_string_equal(top, "missing");
	assert_null(tree_dup_path_at(tree, 12345, "missing"));
}

static void paths_tell_what_is_private(void **state)
{
	static const char *const private[] = {"priv", "priv/", "priv/a/b", "nodes/a/priv",
		"nodes/a/priv/key", "nodes/priv/priv", "nodes/a/priv/b/c"};
	static const char *const open[] = {"", "a", "private", "a/priv", "nodes", "nodes/",
		"nodes/priv", "nodes/priv/lxc", "nodes/a", "nodes/a/", "nodes/a/private",
		"nodes/a/lxc/priv", "nodes/a/b/priv/c", "nodesa/b/priv"};

	for (unsigned i = 0; i < G_N_ELEMENTS(private); i++)
		assert_true(tree_path_is_private(private[i]));
	for (unsigned i = 0; i < G_N_ELEMENTS(open); i++)
		assert_false(tree_path_is_private(open[i]));
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TREE_TEST(create_is_exclusive_and_needs_a_directory),
		TREE_TEST(inode_is_the_version_at_creation),
		TREE_TEST(writes_land_where_they_should),
		TREE_TEST(a_write_can_insist_on_its_inode),
		TREE_TEST(errors_are_those_of_posix_and_change_nothing),
		TREE_TEST(rename_replaces_atomically),
		TREE_TEST(rename_has_limits),
		TREE_TEST(a_ctid_exists_once),
		TREE_TEST(replacing_one_guest_by_another_frees_an_id),
		TREE_TEST(guests_are_listed_by_id),
		TREE_TEST(children_come_in_byte_order),
		TREE_TEST(limits_on_the_whole_hold),
		TREE_TEST(changing_a_name_moves_the_time_of_its_directory),
		TREE_TEST(a_barrier_changes_nothing),
		TREE_TEST(rows_in_any_order_give_the_same_tree),
		TREE_TEST(a_tree_that_contradicts_itself_is_refused),
		TREE_TEST(the_same_guest_twice_is_refused),
		TREE_TEST(paths_are_found_back),
		TREE_TEST(a_name_in_a_directory_has_a_path),
		cmocka_unit_test(paths_tell_what_is_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
