/* SPDX-License-Identifier: Apache-2.0 */

/* What happens, in order:
 *
 *	stream_start()		the handshake is answered
 *	stream_on_opened()	the worker is started, its output is relayed
 *	stream_on_answer()	the worker has ended and said how
 *	stream_drain()		what is left of the output is relayed
 *	stream_finish()		the exit is sent, the socket closed
 *	stream_on_closed()	the socket is gone; a worker that still runs is told to end
 *
 * The object goes when both the socket and the worker are gone. */

#include "agent/api/stream.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <glib-unix.h>

#include "agent/api/workerproc.h"
#include "agent/job.h"
#include "agent/stream.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

/* What the worker reads from or writes to. */
typedef struct Pipe {
	int fd; /* Ours, owned; -1: closed.  A terminal's is in input and output. */
	unsigned source;
} Pipe;

typedef struct Stream {
	Agent *agent; /* Borrowed. */
	json_t *job;
	ServerSocket *socket; /* Borrowed; NULL: not open yet, or closed. */
	bool tty;

	WorkerProc worker;
	bool worker_runs;
	unsigned exit_source;
	unsigned kill_source;
	unsigned answer_source;
	GString *answer;
	bool answered; /* The worker has closed its side of the job's socket. */
	bool finished; /* The exit has been sent. */

	Pipe input, output, error;
	GByteArray *queue; /* For the worker's input; at most STREAM_WINDOW. */
	bool input_ends;   /* After the queue. */
	size_t unconfirmed;
	size_t credit; /* What we may send before the client confirms. */
} Stream;

static void pipe_stop(Pipe *pipe)
{
	if (pipe->source)
		g_source_remove(pipe->source);
	pipe->source = 0;
}

static void pipe_close(Pipe *pipe)
{
	pipe_stop(pipe);
	fd_clear(&pipe->fd);
}

static void stream_free(Stream *stream)
{
	pipe_close(&stream->input);
	pipe_close(&stream->output);
	pipe_close(&stream->error);
	if (stream->exit_source)
		g_source_remove(stream->exit_source);
	if (stream->kill_source)
		g_source_remove(stream->kill_source);
	if (stream->answer_source)
		g_source_remove(stream->answer_source);
	fd_clear(&stream->worker.job_fd);
	stream->agent->n_streams--;
	g_string_free(stream->answer, TRUE);
	g_byte_array_unref(stream->queue);
	json_decref(stream->job);
	g_free(stream);
}

static void stream_free_if_over(Stream *stream)
{
	if (!stream->socket && !stream->worker_runs)
		stream_free(stream);
}

static void stream_send(Stream *stream, StreamChannel channel, const void *payload, size_t size)
{
	uint8_t message[1 + STREAM_PAYLOAD_MAX];

	assert(size <= STREAM_PAYLOAD_MAX);

	message[0] = (uint8_t)channel;
	if (size > 0)
		memcpy(message + 1, payload, size);
	server_socket_send(stream->socket, message, 1 + size);
}

static void stream_send_json(Stream *stream, StreamChannel channel, json_t *value)
{
	g_autofree char *text = json_dumps(value, JSON_COMPACT);
	size_t size;

	assert(text);
	size = strlen(text);
	/* Only the reason of a failure can be that long. */
	stream_send(stream, channel, text, MIN(size, STREAM_PAYLOAD_MAX));
}

static void stream_send_exit(Stream *stream, json_t *value)
{
	stream->finished = true;
	stream_send_json(stream, STREAM_EXIT, value);
	server_socket_close(stream->socket);
}

static void stream_send_failure(Stream *stream, int r, const char *reason)
{
	/* Short enough for one message, whatever is in it. */
	json_auto_t *value =
		json_pack("{s:o, s:i}", "error", json_sprintf("%.2000s", reason), "errno", -r);

	stream_send_exit(stream, value);
}

/* --- output ----------------------------------------------------------------------------------- */

/* The worker has ended, and all that it wrote is with the client. */
static void stream_finish(Stream *stream)
{
	json_auto_t *answer = NULL;
	json_auto_t *value = NULL;
	const char *reason;
	int code, status;

	answer = json_loadb(stream->answer->str, stream->answer->len, 0, NULL);
	if (json_unpack(answer, "{s:s, s:i}", "error", &reason, "errno", &code) == 0) {
		stream_send_failure(stream, -code, reason);
		return;
	}
	if (json_unpack(answer, "{s:i}", "data", &status) < 0) {
		stream_send_failure(stream, -EIO, "the worker of this stream died");
		return;
	}
	value = json_pack("{s:i}", "status", status);
	stream_send_exit(stream, value);
}

/* Relays what is there.  Returns false when nothing more will come. */
static bool stream_relay(Stream *stream, Pipe *pipe, StreamChannel channel)
{
	char buffer[STREAM_PAYLOAD_MAX];
	ssize_t n;

	assert(stream->credit > 0);

	n = read(pipe->fd, buffer, MIN(sizeof(buffer), stream->credit));
	if (n > 0) {
		stream->credit -= (size_t)n;
		stream_send(stream, channel, buffer, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	/* Once the worker has ended an empty pipe will stay so, even when something that it left
	 * running in the background still holds the other end. */
	if (n < 0 && errno == EAGAIN)
		return !stream->answered;
	/* A terminal whose other side was closed says EIO. */
	return false;
}

static gboolean stream_on_output(int fd, GIOCondition condition, gpointer data)
{
	Stream *stream = data;
	bool is_error = fd == stream->error.fd;
	Pipe *pipe = is_error ? &stream->error : &stream->output;

	if (!stream_relay(stream, pipe, is_error ? STREAM_STDERR : STREAM_STDOUT)) {
		pipe->source = 0;
		pipe_close(pipe);
		return G_SOURCE_REMOVE;
	}
	if (stream->credit > 0)
		return G_SOURCE_CONTINUE;

	/* Until the client confirms what it has. */
	pipe->source = 0;
	pipe_stop(&stream->output);
	pipe_stop(&stream->error);
	return G_SOURCE_REMOVE;
}

static void pipe_watch(Pipe *pipe, Stream *stream)
{
	if (pipe->fd >= 0 && !pipe->source)
		pipe->source =
			g_unix_fd_add(pipe->fd, G_IO_IN | G_IO_HUP, stream_on_output, stream);
}

/* After the end of the worker: relays the rest as far as the client's credit goes, then finishes. */
static void stream_drain(Stream *stream)
{
	pipe_stop(&stream->output);
	pipe_stop(&stream->error);
	while (stream->credit > 0 && stream->output.fd >= 0) {
		if (!stream_relay(stream, &stream->output, STREAM_STDOUT))
			pipe_close(&stream->output);
	}
	while (stream->credit > 0 && stream->error.fd >= 0) {
		if (!stream_relay(stream, &stream->error, STREAM_STDERR))
			pipe_close(&stream->error);
	}
	if (stream->output.fd < 0 && stream->error.fd < 0)
		stream_finish(stream);
}

/* To be called when there is credit again. */
static void stream_go_on(Stream *stream)
{
	if (stream->answered) {
		stream_drain(stream);
		return;
	}
	pipe_watch(&stream->output, stream);
	pipe_watch(&stream->error, stream);
}

/* --- input ------------------------------------------------------------------------------------ */

static void stream_confirm(Stream *stream, size_t n)
{
	json_auto_t *value = NULL;

	stream->unconfirmed += n;
	if (stream->unconfirmed == 0 || !stream->socket ||
		(stream->unconfirmed < STREAM_CONFIRM_MIN && stream->queue->len > 0))
		return;
	value = json_pack("{s:I}", "bytes", (json_int_t)stream->unconfirmed);
	stream->unconfirmed = 0;
	stream_send_json(stream, STREAM_WINDOW_UPDATE, value);
}

static void stream_end_input(Stream *stream)
{
	/* A terminal cannot be closed for reading alone: what a user would type ends it. */
	if (stream->tty)
		(void)!write(stream->input.fd, "\4", 1);
	pipe_close(&stream->input);
}

static gboolean stream_on_input_ready(int fd, GIOCondition condition, gpointer data)
{
	Stream *stream = data;
	ssize_t n = write(fd, stream->queue->data, stream->queue->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n < 0) {
		/* Nobody reads any more: the rest is thrown away, as a pipe would. */
		n = stream->queue->len;
		stream->input.source = 0;
		pipe_close(&stream->input);
	}
	g_byte_array_remove_range(stream->queue, 0, (guint)n);
	stream_confirm(stream, (size_t)n);
	if (stream->input.fd >= 0 && stream->queue->len > 0)
		return G_SOURCE_CONTINUE;

	stream->input.source = 0;
	if (stream->input_ends && stream->input.fd >= 0)
		stream_end_input(stream);
	return G_SOURCE_REMOVE;
}

/* -EPROTO: the client does not keep to the rules. */
static int stream_take_input(Stream *stream, const uint8_t *payload, size_t size)
{
	if (stream->input_ends || stream->queue->len + size > STREAM_WINDOW)
		return -EPROTO;
	if (size == 0) {
		stream->input_ends = true;
		if (stream->input.fd >= 0 && stream->queue->len == 0)
			stream_end_input(stream);
		return 0;
	}
	if (stream->input.fd < 0) {
		stream_confirm(stream, size);
		return 0;
	}
	g_byte_array_append(stream->queue, payload, (guint)size);
	if (!stream->input.source)
		stream->input.source = g_unix_fd_add(
			stream->input.fd, G_IO_OUT | G_IO_ERR, stream_on_input_ready, stream);
	return 0;
}

static int stream_take_resize(Stream *stream, const uint8_t *payload, size_t size)
{
	json_auto_t *value = json_loadb((const char *)payload, size, 0, NULL);
	struct winsize window = {0};
	int rows, cols;

	if (json_unpack(value, "{s:i, s:i}", "rows", &rows, "cols", &cols) < 0 || rows < 0 ||
		rows > UINT16_MAX || cols < 0 || cols > UINT16_MAX)
		return -EPROTO;
	window.ws_row = (unsigned short)rows;
	window.ws_col = (unsigned short)cols;
	if (stream->tty && stream->output.fd >= 0)
		(void)ioctl(stream->output.fd, TIOCSWINSZ, &window);
	return 0;
}

static int stream_take_window(Stream *stream, const uint8_t *payload, size_t size)
{
	json_auto_t *value = json_loadb((const char *)payload, size, 0, NULL);
	json_int_t bytes;

	if (json_unpack(value, "{s:I}", "bytes", &bytes) < 0 || bytes < 0 ||
		(uint64_t)bytes > STREAM_WINDOW - stream->credit)
		return -EPROTO;
	stream->credit += (size_t)bytes;
	if (stream->credit > 0 && !stream->finished)
		stream_go_on(stream);
	return 0;
}

static int stream_take(Stream *stream, const uint8_t *message, size_t size)
{
	if (size == 0 || size > 1 + STREAM_PAYLOAD_MAX)
		return -EPROTO;
	switch (message[0]) {
	case STREAM_STDIN:
		return stream_take_input(stream, message + 1, size - 1);
	case STREAM_RESIZE:
		return stream_take_resize(stream, message + 1, size - 1);
	case STREAM_WINDOW_UPDATE:
		return stream_take_window(stream, message + 1, size - 1);
	default:
		return -EPROTO;
	}
}

static void stream_on_message(const uint8_t *message, size_t size, void *data)
{
	Stream *stream = data;

	if (stream_take(stream, message, size) < 0) {
		log_warning("A client's stream does not keep to the protocol, closing it");
		server_socket_close(stream->socket);
	}
}

/* --- the worker ------------------------------------------------------------------------------- */

static void stream_on_exit(int wait_status, void *data)
{
	Stream *stream = data;

	stream->exit_source = 0;
	stream->worker_runs = false;
	stream_free_if_over(stream);
}

static gboolean stream_on_answer(int fd, GIOCondition condition, gpointer data)
{
	Stream *stream = data;
	char buffer[4096];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n > 0 && stream->answer->len + (size_t)n <= JOB_SIZE_MAX) {
		g_string_append_len(stream->answer, buffer, n);
		return G_SOURCE_CONTINUE;
	}

	stream->answer_source = 0;
	stream->answered = true;
	if (stream->socket)
		stream_drain(stream);
	return G_SOURCE_REMOVE;
}

static gboolean stream_on_kill_timeout(gpointer data)
{
	Stream *stream = data;

	stream->kill_source = 0;
	(void)workerproc_kill(stream->worker.pid, stream->worker.start_ticks, SIGKILL);
	return G_SOURCE_REMOVE;
}

static int64_t stream_param(const Stream *stream, const char *name, int64_t fallback)
{
	json_t *params = json_object_get(stream->job, "params");
	const char *text = json_string_value(json_object_get(params, name));

	return text ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

/* The worker's three descriptors, and our ends of them. */
static int stream_open_terminal(Stream *stream, int worker_fds[3])
{
	struct winsize window = {
		.ws_row = (unsigned short)stream_param(stream, "rows", 24),
		.ws_col = (unsigned short)stream_param(stream, "cols", 80),
	};
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, &window) < 0)
		return -errno;
	stream->output.fd = master;
	worker_fds[0] = slave;
	if (fcntl(master, F_SETFD, FD_CLOEXEC) < 0 || fcntl(slave, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	for (int i = 1; i < 3; i++) {
		worker_fds[i] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
		if (worker_fds[i] < 0)
			return -errno;
	}
	stream->input.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
	return stream->input.fd < 0 ? -errno : 0;
}

static int stream_open_pipes(Stream *stream, int worker_fds[3])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	worker_fds[0] = fds[0];
	stream->input.fd = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	stream->output.fd = fds[0];
	worker_fds[1] = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	stream->error.fd = fds[0];
	worker_fds[2] = fds[1];
	return 0;
}

static int stream_open_stdio(Stream *stream, int worker_fds[3])
{
	const Pipe *const pipes[] = {&stream->input, &stream->output, &stream->error};
	int r = stream->tty ? stream_open_terminal(stream, worker_fds)
			    : stream_open_pipes(stream, worker_fds);

	for (size_t i = 0; i < G_N_ELEMENTS(pipes) && r >= 0; i++) {
		if (pipes[i]->fd >= 0 && !g_unix_set_fd_nonblocking(pipes[i]->fd, TRUE, NULL))
			r = -errno;
	}
	return r;
}

static int stream_start_worker(Stream *stream, GError **err)
{
	int worker_fds[3] = {-1, -1, -1};
	int r = stream_open_stdio(stream, worker_fds);

	if (r < 0)
		err_set_errno(err, r, "cannot make a terminal or pipe");
	else
		r = workerproc_start(
			stream->agent->program, true, worker_fds, &stream->worker, err);
	for (int i = 0; i < 3; i++)
		fd_clear(&worker_fds[i]);
	if (r < 0)
		return r;

	r = workerproc_watch(stream->worker.pid, stream->worker.start_ticks, stream_on_exit, stream,
		&stream->exit_source);
	if (r < 0) {
		workerproc_abandon(&stream->worker);
		return err_set_errno(err, r, "cannot watch a worker");
	}
	stream->worker_runs = true;
	return workerproc_send(&stream->worker, true, stream->job, err);
}

/* --- the socket ------------------------------------------------------------------------------- */

static void stream_on_opened(ServerSocket *socket, void *data)
{
	Stream *stream = data;
	g_autoptr(GError) err = NULL;
	int r;

	stream->socket = socket;
	r = stream_start_worker(stream, &err);
	if (r < 0) {
		stream_send_failure(stream, r, err->message);
		return;
	}
	stream->answer_source =
		g_unix_fd_add(stream->worker.job_fd, G_IO_IN | G_IO_HUP, stream_on_answer, stream);
	stream_go_on(stream);
}

static void stream_on_closed(void *data)
{
	Stream *stream = data;

	stream->socket = NULL;
	pipe_close(&stream->input);
	pipe_close(&stream->output);
	pipe_close(&stream->error);
	if (stream->worker_runs) {
		(void)workerproc_kill(stream->worker.pid, stream->worker.start_ticks, SIGTERM);
		stream->kill_source = g_timeout_add(TASK_ABORT_MS, stream_on_kill_timeout, stream);
	}
	stream_free_if_over(stream);
}

int stream_start(Agent *agent, ServerRequest *request, json_t *job, GError **err)
{
	static const ServerSocketEvents events = {
		.opened = stream_on_opened,
		.message = stream_on_message,
		.closed = stream_on_closed,
	};
	Stream *stream;
	int r;

	assert(agent);
	assert(request);
	assert(json_is_object(job));

	if (agent->n_streams >= AGENT_STREAMS_MAX)
		return err_set(err, EBUSY, "%u streams are open on this node, no more are allowed",
			agent->n_streams);

	stream = g_new0(Stream, 1);
	stream->agent = agent;
	stream->job = json_incref(job);
	stream->tty = stream_param(stream, "tty", 0) != 0;
	stream->input.fd = stream->output.fd = stream->error.fd = -1;
	stream->worker.job_fd = -1;
	stream->answer = g_string_new(NULL);
	stream->queue = g_byte_array_new();
	stream->credit = STREAM_WINDOW;
	agent->n_streams++;

	r = server_request_upgrade(request, &events, stream, err);
	if (r < 0)
		stream_free(stream);
	return r;
}
