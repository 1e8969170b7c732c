/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void arguments_reach_the_program_as_they_are(void **state)
{
	static const char *const argv[] = {"printf", "%s|", "a b", "$HOME", "*", "'", NULL};
	g_autofree char *output = NULL;

	assert_int_equal(process_run(argv, &output, NULL), 0);
	assert_string_equal(output, "a b|$HOME|*|'|");
}

static void failure_names_status_and_last_line(void **state)
{
	static const char *const argv[] = {
		"sh", "-c", "echo first >&2; echo reason >&2; exit 3", NULL};
	g_autoptr(GError) error = NULL;

	assert_int_equal(process_run(argv, NULL, &error), -EIO);
	assert_string_equal(error->message, "sh failed: exit status 3: reason");
}

static void a_signal_is_a_failure(void **state)
{
	static const char *const argv[] = {"sh", "-c", "kill -9 $$", NULL};
	g_autoptr(GError) error = NULL;

	assert_int_equal(process_run(argv, NULL, &error), -EIO);
	assert_string_equal(error->message, "sh failed: killed by signal 9");
}

static void a_missing_program_is_told(void **state)
{
	static const char *const argv[] = {"no-such-program", NULL};
	g_autoptr(GError) error = NULL;

	assert_int_equal(process_run(argv, NULL, &error), -ENOENT);
	assert_non_null(strstr(error->message, "cannot run 'no-such-program'"));
}

static void the_environment_is_fixed(void **state)
{
	static const char *const argv[] = {"env", NULL};
	g_auto(GStrv) lines = NULL;
	g_autofree char *output = NULL;

	assert_int_equal(setenv("ATOLL_TEST_LEAK", "1", 1), 0);
	assert_int_equal(process_run(argv, &output, NULL), 0);
	lines = g_strsplit(g_strstrip(output), "\n", -1);
	assert_int_equal(g_strv_length(lines), 2);
	assert_true(g_strv_contains((const char *const *)lines, "LANG=C.UTF-8"));
}

static void standard_descriptors_may_be_swapped(void **state)
{
	static const char *const argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	ProcessSpec spec = process_spec(argv);
	int out[2], errors[2];
	char text[16] = "";
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(errors), 0);
	spec.stdout_fd = out[1];
	spec.stderr_fd = errors[1];
	assert_int_equal(process_start(&spec, &pid, NULL), 0);
	assert_int_equal(process_wait(pid, "sh", NULL), 0);
	assert_int_equal(read(out[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "out\n", 4);
	assert_int_equal(read(errors[0], text, sizeof(text)), 4);
	assert_memory_equal(text, "err\n", 4);

	for (int i = 0; i < 2; i++) {
		fd_clear(&out[i]);
		fd_clear(&errors[i]);
	}
}

static void start_time_is_stable(void **state)
{
	uint64_t first, second;

	assert_int_equal(process_start_time(getpid(), &first), 0);
	assert_int_equal(process_start_time(getpid(), &second), 0);
	assert_true(first > 0);
	assert_int_equal(first, second);
	assert_int_equal(process_start_time(0x3fffffff, &first), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_reach_the_program_as_they_are),
		cmocka_unit_test(failure_names_status_and_last_line),
		cmocka_unit_test(a_signal_is_a_failure),
		cmocka_unit_test(a_missing_program_is_told),
		cmocka_unit_test(the_environment_is_fixed),
		cmocka_unit_test(standard_descriptors_may_be_swapped),
		cmocka_unit_test(start_time_is_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
