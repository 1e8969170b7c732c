/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/task.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>

#include <glib-unix.h>

#include "agent/api/workerproc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

typedef struct Watcher {
	unsigned id;
	TaskFunc func;
	void *data;
} Watcher;

typedef struct Task {
	TaskSet *set; /* Borrowed. */
	Upid *upid;
	char *text;           /* The UPID as text. */
	unsigned exit_source; /* Fires when the worker ends. */
	unsigned kill_source; /* Fires TASK_ABORT_MS after a request to abort; 0: none. */
	int log_watch;        /* Of the set's inotify; -1: nobody watches. */
	GPtrArray *watchers;  /* Of Watcher*. */
	TaskLogCursor cursor; /* How far the log has been read. */
} Task;

struct TaskSet {
	TaskSetOptions options;
	GHashTable *tasks; /* Text of UPID to Task. */
	unsigned last_watcher_id;
	int inotify_fd; /* Tells of changed logs; -1: could not be made. */
	unsigned inotify_source;
};

static void task_stop_log_watch(Task *task)
{
	if (task->log_watch >= 0)
		(void)inotify_rm_watch(task->set->inotify_fd, task->log_watch);
	task->log_watch = -1;
}

static void task_free(void *data)
{
	Task *task = data;

	task_stop_log_watch(task);
	if (task->exit_source)
		g_source_remove(task->exit_source);
	if (task->kill_source)
		g_source_remove(task->kill_source);
	g_ptr_array_free(task->watchers, TRUE);
	upid_free(task->upid);
	g_free(task->text);
	g_free(task);
}

/* Watchers may leave, and new ones come, while they are called: hence a copy. */
static void task_call_watchers(Task *task, bool running)
{
	g_autoptr(GArray) watchers = g_array_new(FALSE, FALSE, sizeof(Watcher));

	for (unsigned i = 0; i < task->watchers->len; i++)
		g_array_append_vals(watchers, task->watchers->pdata[i], 1);
	for (unsigned i = 0; i < watchers->len; i++) {
		const Watcher *called = &g_array_index(watchers, Watcher, i);

		for (unsigned j = 0; j < task->watchers->len; j++) {
			const Watcher *present = task->watchers->pdata[j];

			if (present->id != called->id)
				continue;
			called->func(running, called->data);
			break;
		}
	}
}

static Task *task_of_log_watch(TaskSet *set, int log_watch)
{
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, set->tasks);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Task *task = value;

		if (task->log_watch == log_watch)
			return task;
	}
	return NULL;
}

static gboolean task_set_on_log_change(int fd, GIOCondition condition, gpointer data)
{
	TaskSet *set = data;
	/* Events of files have no name, so all have the size of the struct. */
	struct inotify_event events[64];
	ssize_t n;

	while ((n = read(fd, events, sizeof(events))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(events[0]); i++) {
			/* NULL: the task has ended since. */
			Task *task = task_of_log_watch(set, events[i].wd);

			if (task)
				task_call_watchers(task, true);
		}
	}
	return G_SOURCE_CONTINUE;
}

TaskSet *task_set_new(const TaskSetOptions *options)
{
	TaskSet *set;

	assert(options);
	assert(options->directory && options->program && options->node);
	assert(options->clock && options->died);

	set = g_new0(TaskSet, 1);
	set->options = *options;
	set->tasks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, task_free);

	/* One for all tasks and for good: closing an inotify descriptor waits for a grace period of
	 * the kernel, 15 ms in which the agent would stand still at the end of each task. */
	set->inotify_fd = RET_ERRNO(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	if (set->inotify_fd >= 0)
		set->inotify_source =
			g_unix_fd_add(set->inotify_fd, G_IO_IN, task_set_on_log_change, set);
	return set;
}

TaskSet *task_set_free(TaskSet *set)
{
	if (!set)
		return NULL;
	g_hash_table_destroy(set->tasks);
	if (set->inotify_source)
		g_source_remove(set->inotify_source);
	fd_clear(&set->inotify_fd);
	g_free(set);
	return NULL;
}

static int task_compare_start(const void *a, const void *b, void *data)
{
	TaskSet *set = data;
	const Task *task_a = g_hash_table_lookup(set->tasks, *(const char *const *)a);
	const Task *task_b = g_hash_table_lookup(set->tasks, *(const char *const *)b);

	if (task_a->upid->start_s != task_b->upid->start_s)
		return task_a->upid->start_s < task_b->upid->start_s ? 1 : -1;
	return -strcmp(task_a->text, task_b->text);
}

GPtrArray *task_set_list(TaskSet *set)
{
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter iter;
	void *text;

	assert(set);

	g_hash_table_iter_init(&iter, set->tasks);
	while (g_hash_table_iter_next(&iter, &text, NULL))
		g_ptr_array_add(list, text);
	g_ptr_array_sort_with_data(list, task_compare_start, set);
	return list;
}

/* A lost list costs the record of a task after a restart, not the task: worth a warning only. */
static void task_set_write_active(TaskSet *set)
{
	g_autoptr(GPtrArray) list = task_set_list(set);
	int r = tasklog_write_active(set->options.directory, list);

	if (r < 0)
		log_warning_errno(r, "Cannot write the list of active tasks");
}

/* Finds out how the task ended, ends its log when it could not, and puts it into the index. */
static void task_record_end(TaskSet *set, const Upid *upid, const char *text, const char *death)
{
	g_autoptr(TaskRecord) record = g_new0(TaskRecord, 1);
	bool died = false;
	int r;

	record->upid = g_strdup(text);
	r = tasklog_outcome(set->options.directory, text, &record->status, &record->end_s);
	if (r < 0) {
		died = true;
		record->status = g_strdup_printf("worker died (%s)", death);
		record->end_s = set->options.clock->wall_s(set->options.clock);
		log_warning("Task %s: worker died (%s)", text, death);
		r = tasklog_end(set->options.directory, text, record->status);
		if (r < 0)
			log_warning_errno(r, "Cannot end the log of task %s", text);
	}
	r = tasklog_append_index(set->options.directory, record);
	if (r < 0)
		log_warning_errno(r, "Cannot add task %s to the index", text);
	if (died)
		set->options.died(upid, text, set->options.data);
}

static void task_on_exit(int wait_status, void *data)
{
	Task *task = data;
	TaskSet *set = task->set;
	g_autofree char *death = workerproc_dup_status(wait_status);

	/* Out of the set first: whoever is told asks the set and must find it ended. */
	task->exit_source = 0;
	g_hash_table_steal(set->tasks, task->text);
	task_set_write_active(set);
	task_record_end(set, task->upid, task->text, death);
	task_call_watchers(task, false);
	task_free(task);
}

/* Puts a running worker into the set.  -ESRCH: it does not run. */
static int task_add(TaskSet *set, const char *text)
{
	Task *task = g_new0(Task, 1);
	int r;

	task->set = set;
	task->text = g_strdup(text);
	task->log_watch = -1;
	task->watchers = g_ptr_array_new_with_free_func(g_free);
	r = upid_parse(text, &task->upid, NULL);
	assert(r == 0);

	r = workerproc_watch(task->upid->pid, task->upid->pid_start_ticks, task_on_exit, task,
		&task->exit_source);
	if (r < 0) {
		task_free(task);
		return r;
	}
	g_hash_table_replace(set->tasks, task->text, task);
	return 0;
}

int task_set_adopt(TaskSet *set, GError **err)
{
	g_autoptr(GPtrArray) active = NULL;
	g_autoptr(GPtrArray) ended = g_ptr_array_new();
	int r;

	assert(set);
	assert(g_hash_table_size(set->tasks) == 0);

	r = tasklog_prepare(set->options.directory, err);
	if (r < 0)
		return r;

	active = tasklog_read_active(set->options.directory);
	for (unsigned i = 0; i < active->len; i++) {
		if (!g_hash_table_contains(set->tasks, active->pdata[i]) &&
			task_add(set, active->pdata[i]) < 0)
			g_ptr_array_add(ended, active->pdata[i]);
	}
	if (active->len > 0)
		task_set_write_active(set);

	for (unsigned i = 0; i < ended->len; i++) {
		g_autoptr(Upid) upid = NULL;

		r = upid_parse(ended->pdata[i], &upid, NULL);
		assert(r == 0);
		task_record_end(set, upid, ended->pdata[i], "while the agent was not running");
	}
	return 0;
}

/* The name of a task whose worker has just been started. */
static char *task_dup_upid(TaskSet *set, const TaskRequest *request, const WorkerProc *worker)
{
	g_autofree char *id = request->vmid ? g_strdup_printf("%u", request->vmid) : g_strdup("");
	Upid upid = {
		.node = (char *)set->options.node,
		.pid = worker->pid,
		.pid_start_ticks = worker->start_ticks,
		.start_s = set->options.clock->wall_s(set->options.clock),
		.type = (char *)request->type,
		.id = id,
		.user = (char *)request->user,
	};

	return upid_to_string(&upid);
}

/* Everything is in place before the worker gets its job: log, watch and record. */
static int task_prepare(TaskSet *set, const char *text, GError **err)
{
	int r = tasklog_create(set->options.directory, text, err);

	if (r < 0)
		return r;
	r = task_add(set, text);
	if (r < 0)
		return err_set_errno(err, r, "cannot watch the worker of task %s", text);
	task_set_write_active(set);
	return 0;
}

int task_start(TaskSet *set, const TaskRequest *request, char **ret_upid, GError **err)
{
	static const int stdio_fds[3] = {-1, STDERR_FILENO, STDERR_FILENO};
	json_auto_t *job = NULL;
	g_autofree char *text = NULL;
	WorkerProc worker;
	int r;

	assert(set);
	assert(request && request->type && request->user && request->params);
	assert(ret_upid);

	if (g_hash_table_size(set->tasks) >= set->options.tasks_max)
		return err_set(err, EBUSY, "%u tasks are running on this node, no more are allowed",
			g_hash_table_size(set->tasks));

	r = workerproc_start(set->options.program, false, stdio_fds, &worker, err);
	if (r < 0)
		return r;
	text = task_dup_upid(set, request, &worker);
	r = task_prepare(set, text, err);
	if (r < 0) {
		workerproc_abandon(&worker);
		return r;
	}

	job = json_pack("{s:s, s:i, s:s, s:s, s:s, s:O}", "type", request->type, "vmid",
		(int)request->vmid, "node", set->options.node, "user", request->user, "upid", text,
		"params", request->params);
	assert(job);
	/* Without its job the worker ends at once, and the task as one that died. */
	r = workerproc_send(&worker, false, job, err);
	if (r < 0)
		return r;
	*ret_upid = g_steal_pointer(&text);
	return 0;
}

bool task_running(TaskSet *set, const char *upid)
{
	assert(set);

	return g_hash_table_contains(set->tasks, upid);
}

TaskLogCursor *task_log_cursor(TaskSet *set, const char *upid)
{
	Task *task;

	assert(set);

	task = g_hash_table_lookup(set->tasks, upid);
	return task ? &task->cursor : NULL;
}

bool task_set_busy(TaskSet *set, unsigned vmid)
{
	GHashTableIter iter;
	void *task;

	assert(set);
	assert(vmid > 0);

	g_hash_table_iter_init(&iter, set->tasks);
	while (g_hash_table_iter_next(&iter, NULL, &task)) {
		if (upid_vmid(((Task *)task)->upid) == vmid)
			return true;
	}
	return false;
}

static void task_signal(Task *task, int number)
{
	/* When it is gone already, that is what was wanted. */
	(void)workerproc_kill(task->upid->pid, task->upid->pid_start_ticks, number);
}

static gboolean task_on_abort_timeout(gpointer data)
{
	Task *task = data;

	task->kill_source = 0;
	log_warning("Task %s does not end, killing its worker", task->text);
	task_signal(task, SIGKILL);
	return G_SOURCE_REMOVE;
}

static void task_request_abort(Task *task)
{
	if (task->kill_source)
		return;
	log_info("Task %s is to be aborted", task->text);
	task_signal(task, SIGTERM);
	task->kill_source = g_timeout_add(TASK_ABORT_MS, task_on_abort_timeout, task);
}

int task_abort(TaskSet *set, const char *upid, GError **err)
{
	Task *task;

	assert(set);
	assert(upid);

	task = g_hash_table_lookup(set->tasks, upid);
	if (!task)
		return err_set(err, ESRCH, "task '%s' is not running", upid);
	task_request_abort(task);
	return 0;
}

void task_set_abort(TaskSet *set, const char *type, unsigned vmid)
{
	GHashTableIter iter;
	void *value;

	assert(set);
	assert(type);

	g_hash_table_iter_init(&iter, set->tasks);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Task *task = value;

		if (str_equal(task->upid->type, type) && upid_vmid(task->upid) == vmid)
			task_request_abort(task);
	}
}

static int task_start_log_watch(Task *task)
{
	g_autofree char *path = upid_dup_log_path(task->set->options.directory, task->text);

	if (task->set->inotify_fd < 0)
		return task->set->inotify_fd;
	task->log_watch = RET_ERRNO(inotify_add_watch(task->set->inotify_fd, path, IN_MODIFY));
	return task->log_watch < 0 ? task->log_watch : 0;
}

unsigned task_watch(TaskSet *set, const char *upid, TaskFunc func, void *data)
{
	Watcher *watcher;
	Task *task;

	assert(set);
	assert(upid);
	assert(func);

	task = g_hash_table_lookup(set->tasks, upid);
	if (!task)
		return 0;
	/* Without inotify the watcher still learns of the end. */
	if (task->log_watch < 0 && task_start_log_watch(task) < 0)
		log_warning("Cannot watch the log of task %s", upid);

	watcher = g_new0(Watcher, 1);
	watcher->id = ++set->last_watcher_id;
	watcher->func = func;
	watcher->data = data;
	g_ptr_array_add(task->watchers, watcher);
	return watcher->id;
}

static bool task_remove_watcher(Task *task, unsigned id)
{
	for (unsigned i = 0; i < task->watchers->len; i++) {
		if (((Watcher *)task->watchers->pdata[i])->id == id) {
			g_ptr_array_remove_index(task->watchers, i);
			return true;
		}
	}
	return false;
}

void task_unwatch(TaskSet *set, unsigned id)
{
	GHashTableIter iter;
	void *value;

	assert(set);

	g_hash_table_iter_init(&iter, set->tasks);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (task_remove_watcher(value, id))
			return;
	}
}
