/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/call.h"

#include <fcntl.h>

#include <glib-unix.h>

#include "agent/api/workerproc.h"
#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"

/* It is over when the answer has been read to its end and the process has ended. */
typedef struct Call {
	CallFunc func;
	void *data;
	GString *answer;
	int answer_fd; /* Owned; -1: read to its end. */
	bool too_large;
	bool exited;
	int wait_status; /* Valid when exited. */
} Call;

/* The worker's answer as one of ours; -EOWNERDEAD when it gave none. */
static int call_parse_answer(Call *call, json_t **ret, GError **err)
{
	g_autofree char *status = workerproc_dup_status(call->wait_status);
	json_auto_t *root = NULL;
	const char *reason;
	int code = 0;

	if (call->too_large)
		return err_set(err, E2BIG, "answer is larger than %d bytes", JOB_SIZE_MAX);
	root = json_loadb(call->answer->str, call->answer->len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return err_set(err, EOWNERDEAD, "worker died (%s)", status);

	if (json_unpack(root, "{s:s, s:i}", "error", &reason, "errno", &code) == 0)
		return err_set(err, code > 0 ? code : EIO, "%s", reason);
	*ret = g_steal_pointer(&root);
	return 0;
}

static void call_finish(Call *call)
{
	g_autoptr(GError) err = NULL;
	json_auto_t *answer = NULL;
	int r;

	if (!call->exited || call->answer_fd >= 0)
		return;
	r = call_parse_answer(call, &answer, &err);
	call->func(r, answer, err, call->data);
	g_string_free(call->answer, TRUE);
	g_free(call);
}

static gboolean call_on_answer(int fd, GIOCondition condition, gpointer data)
{
	Call *call = data;
	char buffer[16384];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n > 0 && call->answer->len + (size_t)n <= JOB_SIZE_MAX) {
		g_string_append_len(call->answer, buffer, n);
		return G_SOURCE_CONTINUE;
	}

	call->too_large = n > 0;
	fd_clear(&call->answer_fd);
	call_finish(call);
	return G_SOURCE_REMOVE;
}

static void call_on_exit(int wait_status, void *data)
{
	Call *call = data;

	call->exited = true;
	call->wait_status = wait_status;
	call_finish(call);
}

int call_start(const char *program, json_t *job, CallFunc func, void *data, GError **err)
{
	int stdio_fds[3] = {-1, -1, STDERR_FILENO};
	auto_close int read_fd = -1;
	auto_close int write_fd = -1;
	WorkerProc worker;
	unsigned source;
	int fds[2];
	Call *call;
	int r;

	assert(program);
	assert(job);
	assert(func);

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set_errno(err, -errno, "cannot make a pipe");
	read_fd = fds[0];
	write_fd = fds[1];
	if (!g_unix_set_fd_nonblocking(read_fd, TRUE, NULL))
		return err_set_errno(err, -errno, "cannot prepare a pipe");

	stdio_fds[1] = write_fd;
	r = workerproc_start(program, false, stdio_fds, &worker, err);
	if (r < 0)
		return r;
	call = g_new0(Call, 1);
	r = workerproc_watch(worker.pid, worker.start_ticks, call_on_exit, call, &source);
	if (r < 0) {
		workerproc_abandon(&worker);
		g_free(call);
		return err_set_errno(err, r, "cannot watch a worker");
	}

	call->func = func;
	call->data = data;
	call->answer = g_string_new(NULL);
	call->answer_fd = fd_steal(&read_fd);
	(void)g_unix_fd_add(call->answer_fd, G_IO_IN | G_IO_HUP, call_on_answer, call);
	/* When this fails the worker ends without an answer, and that is the client's answer. */
	(void)workerproc_send(&worker, false, job, NULL);
	return 0;
}
