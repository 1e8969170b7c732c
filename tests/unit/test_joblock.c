/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/joblock.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

/* What a job with this upid logs while it waits in vain; owned by the caller. */
static char *wait_in_vain(const char *root, const char *upid)
{
	g_autofree char *log_path = g_build_filename(root, "log", NULL);
	CtStore store = {.root = root, .node = "n1", .lock_directory = root};
	Job job = {.type = "vzstart", .node = "n1", .user = "root@pam", .upid = upid};
	auto_close int first = -1;
	auto_close int saved = dup(STDERR_FILENO);
	auto_close int log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int second = -1, r;
	char *text = NULL;

	assert_true(saved >= 0 && log_fd >= 0);
	assert_int_equal(ct_job_lock(&job, &store, 100, 600, &first, NULL), 0);
	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
	r = ct_job_lock(&job, &store, 100, 600, &second, NULL);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	assert_int_equal(r, -ETIMEDOUT);

	assert_true(g_file_get_contents(log_path, &text, NULL, NULL));
	return text;
}

static void a_task_says_once_that_it_waits(void **state)
{
	g_autofree char *text = wait_in_vain(*state, "UPID:n1");

	assert_string_equal(text, "trying to acquire lock...\n");
}

static void what_is_no_task_waits_in_silence(void **state)
{
	g_autofree char *text = wait_in_vain(*state, NULL);

	assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tmpdir_set_up, tmpdir_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_says_once_that_it_waits),
		TEST(what_is_no_task_waits_in_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
