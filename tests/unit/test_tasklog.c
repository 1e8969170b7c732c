/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/api/tasklog.h"
#include "agent/api/upid.h"
#include "base/macro.h"
#include "tests/unit/tmpdir.h"

#define UPID_A "UPID:n1:000004D2:00ABCDEF:6530F1A3:vzcreate:100:root@pam:"
#define UPID_B "UPID:n1:000004D3:00ABCDF0:6530F1A4:vzstart:100:root@pam:"

static int set_up(void **state)
{
	return tmpdir_set_up(state) < 0 || tasklog_prepare(*state, NULL) < 0 ? -1 : 0;
}

static void write_log(const char *directory, const char *upid, const char *text)
{
	g_autofree char *path = upid_dup_log_path(directory, upid);

	assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void new_log_is_empty_and_private(void **state)
{
	g_autofree char *path = upid_dup_log_path(*state, UPID_A);
	struct stat st;

	assert_int_equal(tasklog_create(*state, UPID_A, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_mode & 07027, 0);
}

static void log_is_made_only_once(void **state)
{
	assert_int_equal(tasklog_create(*state, UPID_A, NULL), 0);
	assert_int_equal(tasklog_create(*state, UPID_A, NULL), -EEXIST);
}

static void last_line_is_the_outcome(void **state)
{
	static const struct {
		const char *text;
		const char *status; /* NULL: none. */
	} cases[] = {
		{"", NULL},
		{"hello\n", NULL},
		{"TASK OK\n", "OK"},
		{"hello\nTASK OK\n", "OK"},
		{"hello\nTASK OK", NULL},
		{"TASK OK\nhello\n", NULL},
		{"x\nTASK WARNINGS: 2\n", "WARNINGS: 2"},
		{"x\nTASK ERROR: no space: left\n", "no space: left"},
		{"x\nTASK\n", NULL},
		{"x\n TASK OK\n", NULL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *status = NULL;
		int64_t end_s;
		int r;

		write_log(*state, UPID_A, cases[i].text);
		r = tasklog_outcome(*state, UPID_A, &status, &end_s);
		assert_int_equal(r, cases[i].status ? 0 : -ENODATA);
		if (cases[i].status)
			assert_string_equal(status, cases[i].status);
	}
}

static void outcome_is_found_behind_a_long_log(void **state)
{
	g_autofree char *lines = g_strnfill(100000, 'x');
	g_autofree char *text = g_strconcat(lines, "\nTASK OK\n", NULL);
	g_autofree char *status = NULL;
	int64_t end_s;

	write_log(*state, UPID_A, text);
	assert_int_equal(tasklog_outcome(*state, UPID_A, &status, &end_s), 0);
	assert_string_equal(status, "OK");
}

static void missing_log_has_no_outcome(void **state)
{
	char *status = NULL;
	int64_t end_s;

	assert_int_equal(tasklog_outcome(*state, UPID_A, &status, &end_s), -ENOENT);
	assert_int_equal(tasklog_outcome(*state, "../../etc/passwd", &status, &end_s), -ENOENT);
}

static void dead_task_gets_a_last_line(void **state)
{
	g_autofree char *status = NULL;
	int64_t end_s;

	write_log(*state, UPID_A, "half a li");
	assert_int_equal(tasklog_end(*state, UPID_A, "worker died\nbadly"), 0);
	assert_int_equal(tasklog_outcome(*state, UPID_A, &status, &end_s), 0);
	assert_string_equal(status, "worker died badly");
}

static void lines_come_in_windows(void **state)
{
	json_auto_t *lines = NULL;
	uint64_t total;

	write_log(*state, UPID_A, "one\ntwo\nthree\nfour\n");
	assert_int_equal(tasklog_read(*state, UPID_A, 1, 2, NULL, &lines, &total), 0);
	assert_int_equal(total, 4);
	assert_int_equal(json_array_size(lines), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 0), "n")), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(lines, 0), "t")), "two");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(lines, 1), "t")), "three");
}

static void unfinished_line_waits_for_its_end(void **state)
{
	json_auto_t *running = NULL;
	json_auto_t *ended = NULL;
	TaskLogCursor cursor = {0};
	uint64_t total;

	write_log(*state, UPID_A, "one\ntw");
	assert_int_equal(tasklog_read(*state, UPID_A, 0, 10, &cursor, &running, &total), 0);
	assert_int_equal(total, 1);
	assert_int_equal(tasklog_read(*state, UPID_A, 0, 10, NULL, &ended, &total), 0);
	assert_int_equal(total, 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(ended, 1), "t")), "tw");
}

/* Reads on from start; the text of the lines, each with a bar behind it. */
static char *read_on(void **state, uint64_t start, TaskLogCursor *cursor, uint64_t *ret_total)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_auto_t *lines = NULL;
	json_t *line;
	size_t i;

	assert_int_equal(tasklog_read(*state, UPID_A, start, 10, cursor, &lines, ret_total), 0);
	json_array_foreach(lines, i, line)
		g_string_append_printf(text, "%d=%s|",
			(int)json_integer_value(json_object_get(line, "n")),
			json_string_value(json_object_get(line, "t")));
	return g_strdup(text->str);
}

static void growing_log_is_read_on_from_where_it_was_left(void **state)
{
	TaskLogCursor cursor = {0};
	g_autofree char *first = NULL;
	g_autofree char *second = NULL;
	g_autofree char *again = NULL;
	uint64_t total;

	write_log(*state, UPID_A, "one\ntwo\nthr");
	first = read_on(state, 0, &cursor, &total);
	assert_string_equal(first, "1=one|2=two|");
	assert_int_equal(cursor.n_lines, 2);
	assert_int_equal(cursor.offset, strlen("one\ntwo\n"));

	write_log(*state, UPID_A, "one\ntwo\nthree\nfour\n");
	second = read_on(state, 2, &cursor, &total);
	assert_string_equal(second, "3=three|4=four|");
	assert_int_equal(total, 4);

	/* Another reader begins at the beginning. */
	again = read_on(state, 1, &cursor, &total);
	assert_string_equal(again, "2=two|3=three|4=four|");
	assert_int_equal(total, 4);
}

static void overlong_and_binary_lines_are_harmless(void **state)
{
	g_autofree char *line = g_strnfill(3 * TASKLOG_LINE_MAX, '\xff');
	g_autofree char *text = g_strconcat(line, "\nend\n", NULL);
	json_auto_t *lines = NULL;
	uint64_t total;

	write_log(*state, UPID_A, text);
	assert_int_equal(tasklog_read(*state, UPID_A, 0, 10, NULL, &lines, &total), 0);
	assert_int_equal(total, 2);
	/* Each wrong byte has become a replacement character of three. */
	assert_int_equal(json_string_length(json_object_get(json_array_get(lines, 0), "t")),
		3 * TASKLOG_LINE_MAX);
}

static void active_list_survives(void **state)
{
	g_autoptr(GPtrArray) upids = g_ptr_array_new();
	g_autoptr(GPtrArray) none = tasklog_read_active(*state);
	g_autoptr(GPtrArray) some = NULL;

	assert_int_equal(none->len, 0);
	g_ptr_array_add(upids, (void *)UPID_A);
	g_ptr_array_add(upids, (void *)"nonsense");
	g_ptr_array_add(upids, (void *)UPID_B);
	assert_int_equal(tasklog_write_active(*state, upids), 0);
	some = tasklog_read_active(*state);
	assert_int_equal(some->len, 2);
	assert_string_equal(some->pdata[0], UPID_A);
	assert_string_equal(some->pdata[1], UPID_B);
}

static void index_lists_latest_first(void **state)
{
	TaskRecord a = {.upid = (char *)UPID_A, .end_s = 0x6530F1B0, .status = (char *)"OK"};
	TaskRecord b = {
		.upid = (char *)UPID_B, .end_s = 0x6530F1B1, .status = (char *)"no way: x y"};
	g_autoptr(GPtrArray) records = NULL;
	const TaskRecord *first;

	assert_int_equal(tasklog_append_index(*state, &a), 0);
	assert_int_equal(tasklog_append_index(*state, &b), 0);
	records = tasklog_read_index(*state);
	assert_int_equal(records->len, 2);
	first = records->pdata[0];
	assert_string_equal(first->upid, UPID_B);
	assert_int_equal(first->end_s, 0x6530F1B1);
	assert_string_equal(first->status, "no way: x y");
}

static void index_and_logs_do_not_grow_for_ever(void **state)
{
	g_autofree char *filler = g_strnfill(TASKLOG_INDEX_MAX, 'x');
	g_autofree char *path = g_build_filename(*state, "index", NULL);
	g_autofree char *log = upid_dup_log_path(*state, UPID_A);
	TaskRecord a = {.upid = (char *)UPID_A, .end_s = 1, .status = (char *)"OK"};
	TaskRecord b = {.upid = (char *)UPID_B, .end_s = 2, .status = (char *)"OK"};

	write_log(*state, UPID_A, "TASK OK\n");
	assert_int_equal(tasklog_append_index(*state, &a), 0);
	for (int i = 0; i < 2; i++) {
		g_autofree char *text = NULL;
		g_autofree char *full = NULL;

		/* A is in index.1 after the first turn, and its log goes with the second. */
		assert_int_equal(access(log, F_OK), 0);
		assert_true(g_file_get_contents(path, &text, NULL, NULL));
		full = g_strconcat(text, filler, "\n", NULL);
		assert_true(g_file_set_contents(path, full, -1, NULL));
		assert_int_equal(tasklog_append_index(*state, &b), 0);
	}
	assert_int_equal(access(log, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			new_log_is_empty_and_private, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(log_is_made_only_once, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(last_line_is_the_outcome, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			outcome_is_found_behind_a_long_log, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			missing_log_has_no_outcome, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			dead_task_gets_a_last_line, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(lines_come_in_windows, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			unfinished_line_waits_for_its_end, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			growing_log_is_read_on_from_where_it_was_left, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			overlong_and_binary_lines_are_harmless, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(active_list_survives, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(index_lists_latest_first, set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			index_and_logs_do_not_grow_for_ever, set_up, tmpdir_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
