/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestroot.h"

#include "tests/unit/guesttree.h"

static ino_t inode_of(Tree *tree, const char *path)
{
	struct stat st;

	assert_int_equal(safepath_stat(tree->root.fd, path, &st), 0);
	return st.st_ino;
}

static void same_text_is_not_written_again(void **state)
{
	Tree *tree = *state;
	ino_t before;

	tree_put(tree, "/etc/a", "text\n");
	before = inode_of(tree, "/etc/a");
	tree_put(tree, "/etc/a", "text\n");
	assert_int_equal(inode_of(tree, "/etc/a"), before);
	tree_put(tree, "/etc/a", "other\n");
	assert_int_not_equal(inode_of(tree, "/etc/a"), before);
}

static void ignore_mark_protects_from_every_change(void **state)
{
	Tree *tree = *state;
	const GuestRoot *root = &tree->root;

	tree_put(tree, "/etc/a", "mine\n");
	tree_put(tree, "/etc/.pve-ignore.a", "");
	assert_int_equal(guest_root_write(root, "/etc/a", "x", 0, NULL), 0);
	assert_int_equal(guest_root_edit(root, "/etc/a", "x", NULL), 0);
	assert_int_equal(guest_root_modify(root, "/etc/a", "x", MARKED_APPEND, 0, NULL), 0);
	assert_int_equal(guest_root_link(root, "/etc/a", "/dev/null", NULL), 0);
	assert_int_equal(guest_root_remove(root, "/etc/a", NULL), 0);
	assert_string_equal(tree_get(tree, "/etc/a"), "mine\n");
}

static void empty_section_removes_only_its_own_file(void **state)
{
	Tree *tree = *state;
	const GuestRoot *root = &tree->root;

	assert_int_equal(guest_root_modify(root, "/own", "x\n", MARKED_PREPEND, 0, NULL), 0);
	tree_put(tree, "/shared", "theirs\n");
	assert_int_equal(guest_root_modify(root, "/shared", "x\n", MARKED_PREPEND, 0, NULL), 0);

	assert_int_equal(guest_root_modify_or_remove(root, "/own", "", MARKED_PREPEND, NULL), 0);
	assert_int_equal(guest_root_modify_or_remove(root, "/shared", "", MARKED_PREPEND, NULL), 0);
	assert_null(tree_get(tree, "/own"));
	assert_string_equal(tree_get(tree, "/shared"), "theirs\n");
}

static void mode_is_that_of_the_first_writing(void **state)
{
	Tree *tree = *state;
	struct stat st;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(guest_root_modify(&tree->root, "/keys", i ? "b" : "a",
					 MARKED_APPEND, 0700, NULL),
			0);
		assert_int_equal(safepath_stat(tree->root.fd, "/keys", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
}

static void links_are_told_from_files(void **state)
{
	Tree *tree = *state;
	const GuestRoot *root = &tree->root;

	tree_put(tree, "/file", "x");
	assert_int_equal(guest_root_link(root, "/link", "file", NULL), 0);
	assert_true(guest_root_is_link(root, "/link"));
	assert_false(guest_root_is_link(root, "/file"));
	assert_true(guest_root_has_file(root, "/link"));
	assert_true(guest_root_is_same(root, "/link", "/file"));
	assert_false(guest_root_has_executable(root, "/file"));
	assert_false(guest_root_has_directory(root, "/file"));
	assert_false(guest_root_is_same(root, "/file", "/none"));
}

static void names_are_sorted_and_none_is_none(void **state)
{
	Tree *tree = *state;
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GPtrArray) none = NULL;

	tree_put(tree, "/d/b", "");
	tree_put(tree, "/d/a", "");
	assert_int_equal(guest_root_list(&tree->root, "/d", &names, NULL), 0);
	assert_int_equal(names->len, 4); /* With "." and "..". */
	assert_string_equal(names->pdata[2], "a");
	assert_string_equal(names->pdata[3], "b");
	assert_int_equal(guest_root_list(&tree->root, "/none", &none, NULL), 0);
	assert_int_equal(none->len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			same_text_is_not_written_again, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			ignore_mark_protects_from_every_change, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			empty_section_removes_only_its_own_file, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			mode_is_that_of_the_first_writing, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			links_are_told_from_files, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			names_are_sorted_and_none_is_none, tree_set_up, tree_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
