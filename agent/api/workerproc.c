/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/workerproc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <glib-unix.h>

#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/process.h"

/* A pipe or socket that takes a job of any allowed size at once, so that sending never waits for
 * the worker to read.  ret_fds[0] is the worker's end. */
static int job_channel_new(bool is_stream, int ret_fds[2])
{
	int size = JOB_SIZE_MAX;

	if (!is_stream) {
		if (pipe2(ret_fds, O_CLOEXEC) < 0)
			return -errno;
		return fcntl(ret_fds[1], F_SETPIPE_SZ, size) < 0 ? -errno : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return -errno;
	/* The kernel counts its own overhead, hence twice. */
	size *= 2;
	if (setsockopt(ret_fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		return -errno;
	return 0;
}

static int worker_spawn(const char *program, bool is_stream, const int stdio_fds[3],
	int worker_end_fd, WorkerProc *worker, GError **err)
{
	char option[32];
	const char *argv[] = {program, is_stream ? option : NULL, NULL};
	ProcessSpec spec = process_spec(argv);
	int r;

	(void)snprintf(option, sizeof(option), "--stream=%d", worker_end_fd);
	spec.stdin_fd = is_stream ? stdio_fds[0] : worker_end_fd;
	spec.stdout_fd = stdio_fds[1];
	spec.stderr_fd = stdio_fds[2];
	spec.new_session = true;
	if (is_stream) {
		spec.keep_fds = &worker_end_fd;
		spec.n_keep_fds = 1;
	}

	r = process_start(&spec, &worker->pid, err);
	if (r < 0)
		return r;
	/* Cannot fail: nobody but us waits for it. */
	r = process_start_time(worker->pid, &worker->start_ticks);
	assert(r == 0);
	return 0;
}

int workerproc_start(
	const char *program, bool is_stream, const int stdio_fds[3], WorkerProc *ret, GError **err)
{
	int fds[2] = {-1, -1};
	WorkerProc worker = {0};
	int r;

	assert(program);
	assert(ret);

	r = job_channel_new(is_stream, fds);
	if (r < 0)
		err_set_errno(err, r, "cannot make a channel for a job");
	else
		r = worker_spawn(program, is_stream, stdio_fds, fds[0], &worker, err);
	fd_clear(&fds[0]);
	if (r < 0) {
		fd_clear(&fds[1]);
		return r;
	}

	worker.job_fd = fds[1];
	*ret = worker;
	return 0;
}

static int job_send(int fd, bool is_stream, const char *text, size_t size)
{
	ssize_t n;

	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* MSG_NOSIGNAL has no counterpart for pipes; the agent ignores SIGPIPE. */
	n = is_stream ? send(fd, text, size, MSG_NOSIGNAL) : write(fd, text, size);
	if (n < 0)
		return -errno;
	if ((size_t)n != size)
		return -EAGAIN;
	if (is_stream && shutdown(fd, SHUT_WR) < 0)
		return -errno;
	return 0;
}

int workerproc_send(WorkerProc *worker, bool is_stream, json_t *job, GError **err)
{
	g_autofree char *text = NULL;
	size_t size;
	int r;

	assert(worker);
	assert(worker->job_fd >= 0);

	text = json_dumps(job, JSON_COMPACT);
	assert(text);
	size = strlen(text);
	if (size > JOB_SIZE_MAX)
		r = err_set(err, E2BIG, "request is larger than %d bytes", JOB_SIZE_MAX);
	else {
		r = job_send(worker->job_fd, is_stream, text, size);
		if (r < 0)
			err_set_errno(err, r, "cannot send the job to its worker");
	}
	if (!is_stream)
		fd_clear(&worker->job_fd);
	return r;
}

typedef struct Watch {
	int pidfd; /* Owned. */
	pid_t pid;
	WorkerProcFunc func;
	void *data;
} Watch;

static void watch_free(void *data)
{
	Watch *watch = data;

	fd_clear(&watch->pidfd);
	g_free(watch);
}

static gboolean watch_on_exit(int fd, GIOCondition condition, gpointer data)
{
	Watch *watch = data;
	int status = -1;

	/* ECHILD: the worker was started by an agent before us, and init has its status. */
	if (waitpid(watch->pid, &status, WNOHANG) != watch->pid)
		status = -1;
	watch->func(status, watch->data);
	return G_SOURCE_REMOVE;
}

/* A descriptor of the process that was started at start_ticks. */
static int process_open(pid_t pid, uint64_t start_ticks)
{
	auto_close int pidfd = -1;
	uint64_t ticks;
	int r;

	/* The descriptor first: once it is there, the number cannot be given to another process
	 * unnoticed between the comparison and the use. */
	pidfd = RET_ERRNO(pidfd_open(pid, 0));
	if (pidfd < 0)
		return pidfd;
	r = process_start_time(pid, &ticks);
	if (r < 0)
		return r;
	if (ticks != start_ticks)
		return -ESRCH;
	return fd_steal(&pidfd);
}

int workerproc_watch(
	pid_t pid, uint64_t start_ticks, WorkerProcFunc func, void *data, unsigned *ret_source)
{
	int pidfd = process_open(pid, start_ticks);
	Watch *watch;

	assert(func);
	assert(ret_source);

	if (pidfd < 0)
		return pidfd;
	watch = g_new0(Watch, 1);
	watch->pidfd = pidfd;
	watch->pid = pid;
	watch->func = func;
	watch->data = data;
	*ret_source = g_unix_fd_add_full(
		G_PRIORITY_DEFAULT, watch->pidfd, G_IO_IN, watch_on_exit, watch, watch_free);
	return 0;
}

static void ignore_exit(int wait_status, void *data)
{
}

void workerproc_abandon(WorkerProc *worker)
{
	unsigned source;

	assert(worker);

	fd_clear(&worker->job_fd);
	/* It cannot be watched only when descriptors have run out; then a zombie stays. */
	(void)workerproc_watch(worker->pid, worker->start_ticks, ignore_exit, NULL, &source);
}

int workerproc_kill(pid_t pid, uint64_t start_ticks, int number)
{
	auto_close int pidfd = process_open(pid, start_ticks);

	if (pidfd < 0)
		return pidfd;
	return RET_ERRNO(pidfd_send_signal(pidfd, number, NULL, 0));
}

char *workerproc_dup_status(int wait_status)
{
	if (wait_status == -1)
		return g_strdup("exit status unknown");
	if (WIFSIGNALED(wait_status))
		return g_strdup_printf("killed by signal %d", WTERMSIG(wait_status));
	return g_strdup_printf("exit status %d", WEXITSTATUS(wait_status));
}
