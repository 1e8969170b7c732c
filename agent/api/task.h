/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tasks: jobs that run in the background, each in a worker of its own, with a log.
 *
 *	         task_start()             the worker ends
 *	(none) ----------------> RUNNING -----------------> ENDED, recorded in the index
 *
 * The set holds the running ones; what an ended one did is in its files (tasklog.h).  A worker
 * outlives the agent: task_set_adopt() takes over those that still run after a restart.  A task that
 * ended without a last line in its log died: its log is ended for it, and `died` is called so that
 * what it left half done can be cleaned up. */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <glib.h>

#include "agent/api/tasklog.h"
#include "agent/api/upid.h"
#include "base/clock.h"

/* After a request to abort, a worker that does not end by itself is killed. */
#define TASK_ABORT_MS 10000

typedef struct TaskSet TaskSet;

typedef struct TaskSetOptions {
	const char *directory; /* Of logs and lists. */
	const char *program;   /* The worker's. */
	const char *node;
	unsigned tasks_max;
	const Clock *clock;

	/* A task died; must not change the set but by task_start(). */
	void (*died)(const Upid *upid, const char *text, void *data);
	void *data;
} TaskSetOptions;

/* The strings and the clock are borrowed and must outlive the set. */
TaskSet *task_set_new(const TaskSetOptions *options);

/* Forgets the tasks; they run on. */
TaskSet *task_set_free(TaskSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskSet, task_set_free)

/* To be called once, before anything else: makes the directories, takes over the tasks that an
 * agent before us has left running, records those that ended meanwhile and calls died for those
 * that died. */
int task_set_adopt(TaskSet *set, GError **err);

typedef struct TaskRequest {
	const char *type; /* Job type. */
	unsigned vmid;    /* 0: about no container. */
	const char *user;
	json_t *params; /* Borrowed. */
} TaskRequest;

/* Starts a task; *ret_upid is owned by the caller.  -EBUSY: too many run already. */
int task_start(TaskSet *set, const TaskRequest *request, char **ret_upid, GError **err);

bool task_running(TaskSet *set, const char *upid);

/* For tasklog_read(); borrowed until the task ends.  NULL: the task does not run. */
TaskLogCursor *task_log_cursor(TaskSet *set, const char *upid);

/* Whether a task about this container runs. */
bool task_set_busy(TaskSet *set, unsigned vmid);

/* Array of borrowed const char*, latest start first; the array is the caller's. */
GPtrArray *task_set_list(TaskSet *set);

/* Asks a running task to end early.  -ESRCH: it does not run (any more). */
int task_abort(TaskSet *set, const char *upid, GError **err);

/* The same for all tasks of this type and container. */
void task_set_abort(TaskSet *set, const char *type, unsigned vmid);

/* Calls func from the main loop whenever the task's log has changed, and a last time, with running
 * false, when the task has ended.  Returns a number for task_unwatch(), or 0 when the task does not
 * run. */
typedef void (*TaskFunc)(bool running, void *data);

unsigned task_watch(TaskSet *set, const char *upid, TaskFunc func, void *data);
void task_unwatch(TaskSet *set, unsigned id);
