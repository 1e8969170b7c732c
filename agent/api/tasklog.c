/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/tasklog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/api/upid.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"

/* The agent and its workers write as root, administrators' tools may read. */
#define LOG_MODE 0640

/* How much of a log's end is searched for its last line. */
#define TAIL_SIZE 16384

/* `active` has at most tasks-max lines. */
#define ACTIVE_SIZE_MAX (1024 * 1024)

TaskRecord *task_record_free(TaskRecord *record)
{
	if (!record)
		return NULL;
	g_free(record->upid);
	g_free(record->status);
	g_free(record);
	return NULL;
}

static void task_record_destroy(void *record)
{
	task_record_free(record);
}

int tasklog_prepare(const char *directory, GError **err)
{
	int r = 0;

	assert(directory);

	for (unsigned i = 0; i < 16 && r >= 0; i++) {
		g_autofree char *path = g_strdup_printf("%s/%X", directory, i);

		r = file_mkdir_all(path, 0755);
		if (r < 0)
			err_set_errno(err, r, "cannot make directory '%s'", path);
	}
	return r;
}

int tasklog_create(const char *directory, const char *upid, GError **err)
{
	g_autofree char *path = upid_dup_log_path(directory, upid);
	auto_close int fd = -1;

	assert(path);

	fd = RET_ERRNO(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, LOG_MODE));
	if (fd < 0)
		return err_set_errno(err, fd, "cannot make task log '%s'", path);
	return 0;
}

static int log_open_read(const char *directory, const char *upid)
{
	g_autofree char *path = upid_dup_log_path(directory, upid);

	if (!path)
		return -ENOENT;
	return RET_ERRNO(open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
}

/* The last complete line of the file, NULL when there is none that fits. */
static char *log_dup_last_line(int fd, off_t size)
{
	g_autofree char *tail = g_malloc(TAIL_SIZE + 1);
	off_t from = size > TAIL_SIZE ? size - TAIL_SIZE : 0;
	ssize_t n = pread(fd, tail, TAIL_SIZE, from);
	char *line;

	if (n <= 0 || tail[n - 1] != '\n')
		return NULL;
	tail[n - 1] = '\0';
	line = memrchr(tail, '\n', (size_t)n - 1);
	return g_utf8_make_valid(line ? line + 1 : tail, -1);
}

/* What stands behind `TASK `; NULL when the line is no end of a task. */
static const char *line_outcome(const char *line)
{
	if (str_equal(line, "TASK OK") || g_str_has_prefix(line, "TASK WARNINGS: "))
		return line + strlen("TASK ");
	if (g_str_has_prefix(line, "TASK ERROR: "))
		return line + strlen("TASK ERROR: ");
	return NULL;
}

int tasklog_outcome(const char *directory, const char *upid, char **ret_status, int64_t *ret_end_s)
{
	g_autofree char *line = NULL;
	auto_close int fd = -1;
	const char *outcome;
	struct stat st;

	assert(ret_status);
	assert(ret_end_s);

	fd = log_open_read(directory, upid);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	line = log_dup_last_line(fd, st.st_size);
	outcome = line ? line_outcome(line) : NULL;
	if (!outcome)
		return -ENODATA;

	*ret_status = g_strdup(outcome);
	*ret_end_s = st.st_mtim.tv_sec;
	return 0;
}

void tasklog_clean(char *text)
{
	assert(text);

	for (char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c) && *c != '\t')
			*c = *c == '\n' || *c == '\r' ? ' ' : '?';
}

int tasklog_finish(int fd, const char *line)
{
	g_autofree char *clean = NULL;
	g_autofree char *text = NULL;
	char last = '\n';
	struct stat st;

	assert(fd >= 0);
	assert(line && *line);

	/* Programs run by the job share the log and may have left a line unfinished. */
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		(void)!pread(fd, &last, 1, st.st_size - 1);
	clean = g_strdup(line);
	tasklog_clean(clean);
	text = g_strconcat(last == '\n' ? "" : "\n", clean, "\n", NULL);
	return file_write_all(fd, text, strlen(text));
}

int tasklog_end(const char *directory, const char *upid, const char *reason)
{
	g_autofree char *path = upid_dup_log_path(directory, upid);
	g_autofree char *line = NULL;
	auto_close int fd = -1;

	assert(path);
	assert(reason);

	fd = RET_ERRNO(open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, LOG_MODE));
	if (fd < 0)
		return fd;
	line = g_strconcat("TASK ERROR: ", reason, NULL);
	return tasklog_finish(fd, line);
}

/* Collects one window of lines while the file goes by in pieces. */
typedef struct LineWindow {
	uint64_t start;
	uint64_t limit;
	uint64_t n_lines; /* Complete ones so far. */
	int64_t n_bytes;  /* Of these. */
	int64_t pending;  /* Bytes behind the last newline. */
	GString *line;    /* The current one as far as it goes, if it is in the window. */
	json_t *lines;
} LineWindow;

static bool window_wants(const LineWindow *window)
{
	return window->n_lines >= window->start && window->n_lines - window->start < window->limit;
}

static void window_end_line(LineWindow *window)
{
	if (window_wants(window)) {
		g_autofree char *text =
			g_utf8_make_valid(window->line->str, (gssize)window->line->len);

		json_array_append_new(window->lines,
			json_pack("{s:I, s:s}", "n", (json_int_t)window->n_lines + 1, "t", text));
	}
	g_string_truncate(window->line, 0);
	window->n_lines++;
	window->n_bytes += window->pending;
	window->pending = 0;
}

static void window_feed(LineWindow *window, const char *data, size_t size)
{
	const char *end = data + size;

	while (data < end) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		const char *stop = newline ?: end;

		if (window_wants(window) && window->line->len < TASKLOG_LINE_MAX) {
			size_t room = TASKLOG_LINE_MAX - window->line->len;

			g_string_append_len(
				window->line, data, (gssize)MIN((size_t)(stop - data), room));
		}
		window->pending += stop - data + (newline ? 1 : 0);
		if (!newline)
			return;
		window_end_line(window);
		data = newline + 1;
	}
}

int tasklog_read(const char *directory, const char *upid, uint64_t start, uint64_t limit,
	TaskLogCursor *cursor, json_t **ret_lines, uint64_t *ret_total)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autofree char *buffer = g_malloc(65536);
	json_auto_t *lines = json_array();
	LineWindow window = {.start = start, .limit = limit, .line = line, .lines = lines};
	auto_close int fd = -1;
	ssize_t n;

	assert(ret_lines);
	assert(ret_total);

	fd = log_open_read(directory, upid);
	if (fd < 0)
		return fd;
	if (cursor && cursor->n_lines <= start) {
		window.n_lines = cursor->n_lines;
		window.n_bytes = cursor->offset;
		if (lseek(fd, cursor->offset, SEEK_SET) < 0)
			return -errno;
	}
	while ((n = read(fd, buffer, 65536)) > 0)
		window_feed(&window, buffer, (size_t)n);
	if (n < 0)
		return -errno;
	if (cursor) {
		cursor->n_lines = window.n_lines;
		cursor->offset = window.n_bytes;
	} else if (window.pending > 0) {
		window_end_line(&window);
	}

	*ret_lines = g_steal_pointer(&lines);
	*ret_total = window.n_lines;
	return 0;
}

int tasklog_write_active(const char *directory, GPtrArray *upids)
{
	g_autofree char *path = g_build_filename(directory, "active", NULL);
	g_autofree char *temporary = g_strconcat(path, ".tmp", NULL);
	g_autoptr(GString) text = g_string_new(NULL);
	auto_close int fd = -1;
	int r;

	assert(upids);

	for (unsigned i = 0; i < upids->len; i++)
		g_string_append_printf(text, "%s\n", (const char *)upids->pdata[i]);

	fd = RET_ERRNO(open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, LOG_MODE));
	if (fd < 0)
		return fd;
	r = file_write_all(fd, text->str, text->len);
	if (r < 0)
		return r;
	return RET_ERRNO(rename(temporary, path));
}

GPtrArray *tasklog_read_active(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "active", NULL);
	GPtrArray *upids = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) lines = NULL;
	g_autofree char *text = NULL;

	if (file_read(path, ACTIVE_SIZE_MAX, &text, NULL) < 0)
		return upids;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autoptr(Upid) upid = NULL;

		if (upid_parse(*line, &upid, NULL) >= 0)
			g_ptr_array_add(upids, g_strdup(*line));
	}
	return upids;
}

/* Adds the records of one index file, oldest first. */
static void index_read(const char *path, GPtrArray *records)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	/* Its last entry may lie beyond the limit at which it is rotated. */
	if (file_read(path, TASKLOG_INDEX_MAX + 2 * TAIL_SIZE, &text, NULL) < 0)
		return;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) parts = g_strsplit(*line, " ", 3);
		g_autoptr(Upid) upid = NULL;
		TaskRecord *record;
		guint64 end_s;

		if (g_strv_length(parts) != 3 || upid_parse(parts[0], &upid, NULL) < 0 ||
			!g_ascii_string_to_unsigned(parts[1], 16, 0, INT64_MAX, &end_s, NULL))
			continue;
		record = g_new0(TaskRecord, 1);
		record->upid = g_strdup(parts[0]);
		record->end_s = (int64_t)end_s;
		record->status = g_utf8_make_valid(parts[2], -1);
		g_ptr_array_add(records, record);
	}
}

/* Makes room: what the previous index names goes, and the present one takes its place. */
static void index_rotate(const char *directory, const char *path)
{
	g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(task_record_destroy);
	g_autofree char *previous = g_strconcat(path, ".1", NULL);

	index_read(previous, records);
	for (unsigned i = 0; i < records->len; i++) {
		const TaskRecord *record = records->pdata[i];
		g_autofree char *log = upid_dup_log_path(directory, record->upid);

		(void)unlink(log);
	}
	(void)rename(path, previous);
}

int tasklog_append_index(const char *directory, const TaskRecord *record)
{
	g_autofree char *path = g_build_filename(directory, "index", NULL);
	g_autofree char *line = NULL;
	auto_close int fd = -1;
	struct stat st;

	assert(record);
	assert(record->upid && record->status);

	if (stat(path, &st) == 0 && st.st_size > TASKLOG_INDEX_MAX)
		index_rotate(directory, path);

	line = g_strdup_printf("%s %08" PRIX64 " %.*s\n", record->upid, (uint64_t)record->end_s,
		TASKLOG_LINE_MAX, record->status);
	fd = RET_ERRNO(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_MODE));
	if (fd < 0)
		return fd;
	return file_write_all(fd, line, strlen(line));
}

GPtrArray *tasklog_read_index(const char *directory)
{
	g_autofree char *path = g_build_filename(directory, "index", NULL);
	g_autofree char *previous = g_strconcat(path, ".1", NULL);
	GPtrArray *records = g_ptr_array_new_with_free_func(task_record_destroy);

	index_read(previous, records);
	index_read(path, records);
	for (unsigned i = 0; i < records->len / 2; i++) {
		void *other = records->pdata[i];

		records->pdata[i] = records->pdata[records->len - 1 - i];
		records->pdata[records->len - 1 - i] = other;
	}
	return records;
}
