/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/mountpoint.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/safepath.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

struct fixture {
	char *path;
	int root_fd;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	if (tmpdir_set_up((void **)&f->path) < 0)
		return -1;
	f->root_fd = safepath_open_root(f->path);
	*state = f;
	return f->root_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	fd_clear(&f->root_fd);
	r = tmpdir_tear_down((void **)&f->path);
	g_free(f);
	return r;
}

static int walk(struct fixture *f, const char *path, bool make)
{
	auto_close int fd = -1;

	return mountpoint_open(f->root_fd, path, make, getuid(), getgid(), &fd, NULL);
}

static void missing_directories_are_made(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(walk(f, "/srv//data/./x/", true), 0);
	assert_int_equal(fstatat(f->root_fd, "srv/data/x", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(walk(f, "srv/data/x", true), 0);
}

static void nothing_is_made_unless_asked_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(walk(f, "/srv", false), -ENOENT);
	assert_int_equal(faccessat(f->root_fd, "srv", F_OK, 0), -1);
}

static void the_root_itself_is_a_place(void **state)
{
	assert_int_equal(walk(*state, "/", true), 0);
}

static void links_are_not_followed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdirat(f->root_fd, "real", 0755), 0);
	assert_int_equal(symlinkat("real", f->root_fd, "near"), 0);
	assert_int_equal(symlinkat("/tmp", f->root_fd, "far"), 0);
	assert_int_equal(symlinkat("missing", f->root_fd, "dangling"), 0);

	assert_int_equal(walk(f, "/near", true), -ENOTDIR);
	assert_int_equal(walk(f, "/near/x", true), -ENOTDIR);
	assert_int_equal(walk(f, "/far/x", true), -ENOTDIR);
	assert_int_equal(walk(f, "/dangling", true), -ENOTDIR);
	assert_int_equal(faccessat(f->root_fd, "missing", F_OK, 0), -1);
	assert_int_equal(faccessat(f->root_fd, "real/x", F_OK, 0), -1);
}

static void files_and_ways_upwards_are_refused(void **state)
{
	struct fixture *f = *state;
	auto_close int fd = openat(f->root_fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(walk(f, "/file", true), -ENOTDIR);
	assert_int_equal(walk(f, "/file/x", true), -ENOTDIR);
	assert_int_equal(walk(f, "/a/../..", true), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(missing_directories_are_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_is_made_unless_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_root_itself_is_a_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			files_and_ways_upwards_are_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
