/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files about tasks, below one directory (/var/log/pve/tasks):
 *
 *	X/UPID	a task's log, X the last hexadecimal digit of its start time.  Its last line is
 *		`TASK OK`, `TASK WARNINGS: N` or `TASK ERROR: text`; a log without that belongs to a
 *		task that runs, or died.
 *	active	one UPID a line: tasks that have been started and not been recorded as ended.
 *	index	one line a task that has ended: UPID ENDTIME STATUS, ENDTIME in hexadecimal like in a
 *		UPID, STATUS the last line without `TASK ` (and without `ERROR: `).
 *	index.1	the previous index, once that has reached TASKLOG_INDEX_MAX.  When it is replaced the
 *		logs that it names are removed, so that neither grows for ever.
 *
 * None of it is flushed to disk: that a task was under way at a power cut stands in the lock
 * property of its container. */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <glib.h>

/* Some 2000 tasks. */
#define TASKLOG_INDEX_MAX (256 * 1024)

/* Longer lines are cut when they are read. */
#define TASKLOG_LINE_MAX 8192

typedef struct TaskRecord {
	char *upid;
	int64_t end_s;
	char *status;
} TaskRecord;

TaskRecord *task_record_free(TaskRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskRecord, task_record_free)

/* Makes the directories that are missing. */
int tasklog_prepare(const char *directory, GError **err);

/* Makes the empty log of a new task. */
int tasklog_create(const char *directory, const char *upid, GError **err);

/* Whether and how a task ended, by its log: *ret_status, owned by the caller, is "OK", "WARNINGS:
 * N" or the error's text.  -ENODATA: there is no last line; -ENOENT: there is no log. */
int tasklog_outcome(const char *directory, const char *upid, char **ret_status, int64_t *ret_end_s);

/* Makes one line of any text: newlines become blanks, other control characters but for tabs '?'.  Texts
 * quote names that guests and archives have chosen, and root's terminal would act on such characters. */
void tasklog_clean(char *text);

/* Appends the last line (without newline at its end) to a log opened with O_RDWR and O_APPEND.  A
 * line that is unfinished there is ended first, and the text is cleaned, so that it is the last line
 * for every reader. */
int tasklog_finish(int fd, const char *line);

/* Ends the log of a task that cannot do it any more with `TASK ERROR: reason`. */
int tasklog_end(const char *directory, const char *upid, const char *reason);

/* Where a log has been read to: so many complete lines, so many bytes. */
typedef struct TaskLogCursor {
	uint64_t n_lines;
	int64_t offset;
} TaskLogCursor;

/* Lines from number start (0 is the first), at most limit, as [{"n": 1, "t": "…"}, …], owned by the
 * caller, and the number of all lines.  An unfinished last line counts only when cursor is NULL:
 * the task has ended.  Otherwise cursor, zero at first and kept from one reading of this log to the
 * next, saves reading again what lies before it and before start.  -ENOENT: there is no log. */
int tasklog_read(const char *directory, const char *upid, uint64_t start, uint64_t limit,
	TaskLogCursor *cursor, json_t **ret_lines, uint64_t *ret_total);

/* Replaces the file `active` by these UPIDs (array of const char*). */
int tasklog_write_active(const char *directory, GPtrArray *upids);

/* What it says: array of char*, owned by the caller, empty when there is no such file.  Lines that
 * are no UPID are left out. */
GPtrArray *tasklog_read_active(const char *directory);

/* Adds an ended task to the index. */
int tasklog_append_index(const char *directory, const TaskRecord *record);

/* Array of TaskRecord*, latest end first, owned by the caller. */
GPtrArray *tasklog_read_index(const char *directory);
