/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Worker processes as the agent sees them: start one, hand it its job, learn of its end.
 *
 * A worker has a session of its own and outlives the agent.  Nothing here blocks. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include <glib.h>

typedef struct WorkerProc {
	pid_t pid;
	uint64_t start_ticks; /* With pid: names the process for ever. */
	int job_fd; /* Owned: where workerproc_send() writes.  A stream's answer comes from
		     * here too. */
} WorkerProc;

/* Starts program with its standard output and error as given (borrowed; -1: /dev/null).  As a
 * stream, its standard input too, and the job goes over a socket; otherwise stdin_fd is ignored.
 * The worker waits for its job and does nothing when none comes. */
int workerproc_start(
	const char *program, bool is_stream, const int stdio_fds[3], WorkerProc *ret, GError **err);

/* Sends the job and says that this was all.  *job_fd is closed, unless it is a stream's.  -E2BIG
 * when the job is larger than JOB_SIZE_MAX. */
int workerproc_send(WorkerProc *worker, bool is_stream, json_t *job, GError **err);

/* Called once, from the main loop, when the process has ended.  wait_status is that of waitpid(),
 * or -1 when the process was not a child of ours and nobody can know. */
typedef void (*WorkerProcFunc)(int wait_status, void *data);

/* Watches for the end of pid.  *ret_source may be removed with g_source_remove() as long as func
 * has not been called.  -ESRCH when there is no such process, or another one of the same number. */
int workerproc_watch(
	pid_t pid, uint64_t start_ticks, WorkerProcFunc func, void *data, unsigned *ret_source);

/* Gives up a worker that has no job yet: it ends by itself, and its status is thrown away. */
void workerproc_abandon(WorkerProc *worker);

/* Sends a signal to that process and to no other that has its number by now.  -ESRCH: it is gone.
 */
int workerproc_kill(pid_t pid, uint64_t start_ticks, int number);

/* "exit status 3", "killed by signal 9", for a reason.  Owned by the caller. */
char *workerproc_dup_status(int wait_status);
