/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fsprobe.h"

#include <fcntl.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/process.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

static int probe(const char *path, const char **ret_type, GError **err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fsprobe_type(fd, path, ret_type, err);
}

/* An empty image in the test's directory; owned by the caller. */
static char *image_new(void **state)
{
	char *path = g_build_filename(*state, "image", NULL);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	return path;
}

static void ext4_is_recognised(void **state)
{
	g_autofree char *image = image_new(state);
	const char *const argv[] = {"mkfs.ext4", "-q", "-F", image, NULL};
	const char *type = NULL;

	assert_int_equal(process_run(argv, NULL, NULL), 0);
	assert_int_equal(probe(image, &type, NULL), 0);
	assert_string_equal(type, "ext4");
}

static void other_content_is_refused(void **state)
{
	g_autofree char *image = image_new(state);
	const char *const argv[] = {"mkswap", image, NULL};
	g_autoptr(GError) error = NULL;
	const char *type = NULL;

	assert_int_equal(probe(image, &type, NULL), -EMEDIUMTYPE);
	assert_int_equal(process_run(argv, NULL, NULL), 0);
	assert_int_equal(probe(image, &type, &error), -EMEDIUMTYPE);
	assert_true(g_str_has_suffix(error->message, "holds no file system to mount (swap)"));
	assert_null(type);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			ext4_is_recognised, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			other_content_is_refused, tmpdir_set_up, tmpdir_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
