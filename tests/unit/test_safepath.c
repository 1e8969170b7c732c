/* SPDX-License-Identifier: Apache-2.0 */
#include "base/safepath.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

/* DIR/secret is outside of the root DIR/root. */
typedef struct Fixture {
	void *directory;
	char *secret;
	int root_fd;
} Fixture;

static int set_up(void **state)
{
	Fixture *f = g_new0(Fixture, 1);
	g_autofree char *root = NULL;

	if (tmpdir_set_up(&f->directory) < 0)
		return -1;
	f->secret = g_build_filename(f->directory, "secret", NULL);
	root = g_build_filename(f->directory, "root", NULL);
	if (file_replace(f->secret, "host", 4, 0600) < 0 || mkdir(root, 0755) < 0)
		return -1;

	f->root_fd = safepath_open_root(root);
	*state = f;
	return f->root_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;
	int r;

	fd_clear(&f->root_fd);
	r = tmpdir_tear_down(&f->directory);
	g_free(f->secret);
	g_free(f);
	return r;
}

static void assert_secret_untouched(Fixture *f)
{
	g_autofree char *content = NULL;

	assert_int_equal(file_read(f->secret, 100, &content, NULL), 0);
	assert_string_equal(content, "host");
}

static void links_cannot_lead_out(void **state)
{
	static const char *const targets[] = {
		"../secret", "/../secret", "../../../../../../etc/passwd"};
	Fixture *f = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
		assert_int_equal(
			safepath_symlink(f->root_fd, targets[i], "link", getuid(), getgid()), 0);
		assert_int_equal(safepath_open(f->root_fd, "/link", O_RDONLY, 0), -ENOENT);
	}
}

static void dot_dot_stays_inside(void **state)
{
	Fixture *f = *state;

	assert_int_equal(safepath_open(f->root_fd, "../secret", O_RDONLY, 0), -ENOENT);
	assert_int_equal(safepath_replace(f->root_fd, "../secret", "evil", 4, 0, -1, -1), 0);
	assert_true(safepath_exists(f->root_fd, "secret"));
	assert_secret_untouched(f);
}

static void replace_does_not_follow_a_link(void **state)
{
	Fixture *f = *state;
	g_autofree char *content = NULL;
	struct stat st;

	assert_int_equal(safepath_symlink(f->root_fd, f->secret, "file", getuid(), getgid()), 0);
	assert_int_equal(
		safepath_replace(f->root_fd, "/file", "mine", 4, 0640, getuid(), getgid()), 0);
	assert_int_equal(safepath_read(f->root_fd, "file", 100, &content, NULL), 0);
	assert_string_equal(content, "mine");
	assert_int_equal(safepath_stat(f->root_fd, "file", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_secret_untouched(f);
}

static void replace_keeps_mode_of_what_was_there(void **state)
{
	Fixture *f = *state;
	struct stat st;

	assert_int_equal(safepath_replace(f->root_fd, "f", "1", 1, 0600, -1, -1), 0);
	assert_int_equal(safepath_replace(f->root_fd, "f", "2", 1, 0, -1, -1), 0);
	assert_int_equal(safepath_stat(f->root_fd, "f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void links_inside_are_followed(void **state)
{
	Fixture *f = *state;
	g_autofree char *content = NULL;

	assert_int_equal(safepath_mkdir_all(f->root_fd, "/usr/lib", 0755, getuid(), getgid()), 0);
	assert_int_equal(safepath_symlink(f->root_fd, "/usr/lib", "lib", getuid(), getgid()), 0);
	assert_int_equal(safepath_replace(f->root_fd, "/lib/x", "in", 2, 0, -1, -1), 0);
	assert_int_equal(safepath_read(f->root_fd, "/usr/lib/x", 100, &content, NULL), 0);
	assert_string_equal(content, "in");
	assert_int_equal(safepath_open_nofollow(f->root_fd, "/lib/x", O_RDONLY, 0), -ELOOP);
}

static void magic_links_are_refused(void **state)
{
	auto_close int root_fd = safepath_open_root("/proc/self");

	assert_true(root_fd >= 0);
	assert_int_equal(safepath_open(root_fd, "cwd", O_PATH, 0), -ELOOP);
}

static void special_files_are_not_read(void **state)
{
	Fixture *f = *state;
	char *content = NULL;

	assert_int_equal(mkfifoat(f->root_fd, "fifo", 0600), 0);
	assert_int_equal(safepath_read(f->root_fd, "fifo", 100, &content, NULL), -EINVAL);
	assert_int_equal(safepath_read(f->root_fd, "/", 100, &content, NULL), -EISDIR);
}

static void special_files_are_not_even_opened(void **state)
{
	Fixture *f = *state;
	auto_close int watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	g_autofree char *path = g_build_filename(f->directory, "root", "fifo", NULL);
	g_autofree char *content = NULL;
	struct inotify_event event;

	assert_int_equal(mkfifoat(f->root_fd, "fifo", 0600), 0);
	assert_true(inotify_add_watch(watch_fd, path, IN_OPEN) >= 0);
	assert_int_equal(safepath_read(f->root_fd, "fifo", 100, &content, NULL), -EINVAL);
	assert_int_equal(read(watch_fd, &event, sizeof(event)), -1);
	assert_int_equal(errno, EAGAIN);
}

static void reading_is_bounded(void **state)
{
	Fixture *f = *state;
	char *content = NULL;

	assert_int_equal(safepath_replace(f->root_fd, "f", "12345", 5, 0, -1, -1), 0);
	assert_int_equal(safepath_read(f->root_fd, "f", 4, &content, NULL), -EFBIG);
	assert_null(content);
}

static void unlink_removes_the_link_itself(void **state)
{
	Fixture *f = *state;

	assert_int_equal(safepath_symlink(f->root_fd, f->secret, "l", getuid(), getgid()), 0);
	assert_int_equal(safepath_unlink(f->root_fd, "l"), 0);
	assert_int_equal(safepath_unlink(f->root_fd, "l"), 0);
	assert_int_equal(safepath_unlink(f->root_fd, "no/such/dir"), 0);
	assert_secret_untouched(f);
}

static void parents_need_a_name(void **state)
{
	static const char *const paths[] = {"", "/", "a/", ".", "a/..", "/."};
	Fixture *f = *state;
	const char *name;

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		assert_int_equal(safepath_open_parent(f->root_fd, paths[i], &name), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_cannot_lead_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dot_dot_stays_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replace_does_not_follow_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			replace_keeps_mode_of_what_was_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_inside_are_followed, set_up, tear_down),
		cmocka_unit_test(magic_links_are_refused),
		cmocka_unit_test_setup_teardown(special_files_are_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			special_files_are_not_even_opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unlink_removes_the_link_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(parents_need_a_name, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
