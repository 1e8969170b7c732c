/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fileutil.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

static void replaces_content_and_mode(void **state)
{
	g_autofree char *path = g_build_filename(*state, "f", NULL);
	g_autofree char *content = NULL;
	struct stat st;
	size_t size;

	assert_int_equal(file_replace(path, "old", 3, 0644), 0);
	assert_int_equal(file_replace(path, "n\0w", 3, 0600), 0);
	assert_int_equal(file_read(path, 3, &content, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(content, "n\0w", 4);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_failed_replace_leaves_no_temporary_file(void **state)
{
	g_autofree char *path = g_build_filename(*state, "d", NULL);

	/* A file cannot be renamed over a directory. */
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(file_replace(path, "x", 1, 0644), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(*state), 0);
	assert_int_equal(mkdir(*state, 0700), 0);
}

static void reading_is_bounded(void **state)
{
	g_autofree char *path = g_build_filename(*state, "f", NULL);
	char *content = NULL;

	assert_int_equal(file_replace(path, "12345", 5, 0644), 0);
	assert_int_equal(file_read(path, 4, &content, NULL), -EFBIG);
	assert_null(content);
}

static void removes_a_tree_of_any_depth(void **state)
{
	g_autofree char *tree = g_build_filename(*state, "deep", NULL);
	auto_close int fd = -1;

	assert_int_equal(mkdir(tree, 0700), 0);
	fd = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < 1100; i++) {
		int next_fd;

		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		assert_int_equal(symlinkat("/", fd, ".moved-0"), 0);
		next_fd = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_clear(&fd);
		fd = next_fd;
	}
	assert_int_equal(file_remove_tree(tree), 0);
	assert_int_equal(access(tree, F_OK), -1);
}

static void removes_a_tree_but_not_what_links_lead_to(void **state)
{
	g_autofree char *tree = g_build_filename(*state, "tree", NULL);
	g_autofree char *deep = g_build_filename(tree, "a/b/c", NULL);
	g_autofree char *link = g_build_filename(tree, "a/link", NULL);
	g_autofree char *kept = g_build_filename(*state, "kept", NULL);

	assert_int_equal(file_mkdir_all(deep, 0755), 0);
	assert_int_equal(file_replace(kept, "x", 1, 0644), 0);
	assert_int_equal(symlink(*state, link), 0);
	assert_int_equal(file_remove_tree(tree), 0);
	assert_int_equal(access(tree, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(file_remove_tree(tree), 0);
}

static void a_lock_is_exclusive(void **state)
{
	g_autofree char *path = g_build_filename(*state, "lock", NULL);
	g_autoptr(GError) error = NULL;
	auto_close int first = -1;
	auto_close int second = -1;

	assert_int_equal(file_lock(path, 0, &first, NULL), 0);
	assert_int_equal(file_lock(path, 30, &second, &error), -ETIMEDOUT);
	assert_non_null(strstr(error->message, "can't lock file"));
	assert_non_null(strstr(error->message, "got timeout"));

	fd_clear(&first);
	assert_int_equal(file_lock(path, 0, &second, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			replaces_content_and_mode, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			a_failed_replace_leaves_no_temporary_file, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			reading_is_bounded, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			removes_a_tree_of_any_depth, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			removes_a_tree_but_not_what_links_lead_to, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			a_lock_is_exclusive, tmpdir_set_up, tmpdir_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
