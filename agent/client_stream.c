/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client_stream.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include <glib-unix.h>
#include <libsoup/soup.h>

#include "agent/client_session.h"
#include "agent/stream.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"

typedef struct Relay {
	const AgentStreamOptions *options; /* Borrowed. */
	GMainLoop *loop;
	SoupWebsocketConnection *socket; /* NULL: not open. */
	GError *refused;                 /* Why it did not open. */
	unsigned input_source;
	bool input_ended;
	size_t credit; /* What we may send before the agent confirms. */
	size_t unconfirmed;

	bool ended; /* The exit has come, or what follows is set for another reason. */
	int status;
	int r; /* 0, or the negative errno with reason. */
	char *reason;
} Relay;

static void relay_end(Relay *relay, int status, int r, const char *reason)
{
	if (!relay->ended) {
		relay->ended = true;
		relay->status = status;
		relay->r = r;
		relay->reason = g_strdup(reason);
	}
	g_main_loop_quit(relay->loop);
}

static void relay_send(Relay *relay, StreamChannel channel, const void *payload, size_t size)
{
	uint8_t message[1 + STREAM_PAYLOAD_MAX];

	assert(size <= STREAM_PAYLOAD_MAX);

	message[0] = (uint8_t)channel;
	if (size > 0)
		memcpy(message + 1, payload, size);
	if (soup_websocket_connection_get_state(relay->socket) == SOUP_WEBSOCKET_STATE_OPEN)
		soup_websocket_connection_send_binary(relay->socket, message, 1 + size);
}

static void relay_send_json(Relay *relay, StreamChannel channel, json_t *value)
{
	g_autofree char *text = json_dumps(value, JSON_COMPACT);

	assert(text);
	relay_send(relay, channel, text, strlen(text));
}

/* --- input ------------------------------------------------------------------------------------ */

static void relay_end_input(Relay *relay)
{
	relay->input_ended = true;
	relay_send(relay, STREAM_STDIN, NULL, 0);
}

static gboolean relay_on_input(int fd, GIOCondition condition, gpointer data)
{
	Relay *relay = data;
	char buffer[STREAM_PAYLOAD_MAX];
	ssize_t n = read(fd, buffer, MIN(sizeof(buffer), relay->credit));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n > 0) {
		relay->credit -= (size_t)n;
		relay_send(relay, STREAM_STDIN, buffer, (size_t)n);
		if (relay->credit > 0)
			return G_SOURCE_CONTINUE;
	} else {
		relay_end_input(relay);
	}
	relay->input_source = 0;
	return G_SOURCE_REMOVE;
}

/* To be called when there is credit. */
static void relay_watch_input(Relay *relay)
{
	if (!relay->input_ended && !relay->input_source)
		relay->input_source = g_unix_fd_add(
			relay->options->stdin_fd, G_IO_IN | G_IO_HUP, relay_on_input, relay);
}

static gboolean relay_on_resize(gpointer data)
{
	Relay *relay = data;
	json_auto_t *value = NULL;
	struct winsize size;

	if (ioctl(relay->options->stdin_fd, TIOCGWINSZ, &size) < 0)
		return G_SOURCE_CONTINUE;
	value = json_pack("{s:i, s:i}", "rows", size.ws_row, "cols", size.ws_col);
	relay_send_json(relay, STREAM_RESIZE, value);
	return G_SOURCE_CONTINUE;
}

/* --- output ----------------------------------------------------------------------------------- */

/* Writing may block: the agent then gets no confirmation and holds the command back. */
static void relay_take_output(Relay *relay, int fd, const uint8_t *payload, size_t size)
{
	json_auto_t *value = NULL;
	int r = file_write_all(fd, payload, size);

	if (r < 0) {
		relay_end(relay, 0, r, "cannot write the output");
		return;
	}
	relay->unconfirmed += size;
	if (relay->unconfirmed < STREAM_CONFIRM_MIN)
		return;
	value = json_pack("{s:I}", "bytes", (json_int_t)relay->unconfirmed);
	relay->unconfirmed = 0;
	relay_send_json(relay, STREAM_WINDOW_UPDATE, value);
}

static void relay_take_window(Relay *relay, const uint8_t *payload, size_t size)
{
	json_auto_t *value = json_loadb((const char *)payload, size, 0, NULL);
	json_int_t bytes = json_integer_value(json_object_get(value, "bytes"));

	if (bytes <= 0 || (uint64_t)bytes > STREAM_WINDOW - relay->credit) {
		relay_end(relay, 0, -EPROTO, "the agent does not keep to the protocol of streams");
		return;
	}
	relay->credit += (size_t)bytes;
	relay_watch_input(relay);
}

static void relay_take_exit(Relay *relay, const uint8_t *payload, size_t size)
{
	json_auto_t *value = json_loadb((const char *)payload, size, 0, NULL);
	const char *reason;
	int status, code;

	if (json_unpack(value, "{s:i}", "status", &status) == 0)
		relay_end(relay, status, 0, NULL);
	else if (json_unpack(value, "{s:s, s:i}", "error", &reason, "errno", &code) == 0)
		relay_end(relay, 0, code > 0 ? -code : -EIO, reason);
	else
		relay_end(relay, 0, -EPROTO, "the agent does not keep to the protocol of streams");
}

static void relay_on_message(
	SoupWebsocketConnection *socket, gint type, GBytes *bytes, gpointer data)
{
	Relay *relay = data;
	size_t size;
	const uint8_t *message = g_bytes_get_data(bytes, &size);

	if (relay->ended || size == 0)
		return;
	switch (message[0]) {
	case STREAM_STDOUT:
		relay_take_output(relay, relay->options->stdout_fd, message + 1, size - 1);
		break;
	case STREAM_STDERR:
		relay_take_output(relay, relay->options->stderr_fd, message + 1, size - 1);
		break;
	case STREAM_WINDOW_UPDATE:
		relay_take_window(relay, message + 1, size - 1);
		break;
	case STREAM_EXIT:
		relay_take_exit(relay, message + 1, size - 1);
		break;
	default:
		relay_end(relay, 0, -EPROTO, "the agent does not keep to the protocol of streams");
	}
}

static void relay_on_closed(SoupWebsocketConnection *socket, gpointer data)
{
	relay_end(data, 0, -ECONNRESET, "the agent has closed the stream");
}

/* --- life ------------------------------------------------------------------------------------- */

static void relay_on_connected(GObject *session, GAsyncResult *result, gpointer data)
{
	Relay *relay = data;

	relay->socket = soup_session_websocket_connect_finish(
		SOUP_SESSION(session), result, &relay->refused);
	g_main_loop_quit(relay->loop);
}

static void relay_run(Relay *relay)
{
	unsigned resize_source = 0;

	g_signal_connect(relay->socket, "message", G_CALLBACK(relay_on_message), relay);
	g_signal_connect(relay->socket, "closed", G_CALLBACK(relay_on_closed), relay);
	if (relay->options->follow_size) {
		resize_source = g_unix_signal_add(SIGWINCH, relay_on_resize, relay);
		/* It may have changed since the caller has asked. */
		(void)relay_on_resize(relay);
	}
	if (relay->options->stdin_fd < 0)
		relay_end_input(relay);
	else
		relay_watch_input(relay);

	g_main_loop_run(relay->loop);

	g_signal_handlers_disconnect_by_data(relay->socket, relay);
	if (relay->input_source)
		g_source_remove(relay->input_source);
	if (resize_source)
		g_source_remove(resize_source);
}

int agent_client_stream(AgentClient *client, const char *path, json_t *params,
	const AgentStreamOptions *options, int *ret_status, GError **err)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(SoupMessage) message = NULL;
	g_autofree char *reason = NULL;
	Relay relay = {.options = options, .loop = loop, .credit = STREAM_WINDOW};
	int r;

	assert(client && path && options && ret_status);

	r = agent_client_message("GET", path, params, &message, err);
	if (r < 0)
		return r;
	soup_session_websocket_connect_async(agent_client_session(client), message, NULL, NULL,
		G_PRIORITY_DEFAULT, NULL, relay_on_connected, &relay);
	g_main_loop_run(loop);

	if (!relay.socket) {
		/* A refused handshake does not carry the agent's sentence, a plain request does. */
		r = agent_client_request(client, "GET", path, params, NULL, err);
		if (r >= 0)
			r = err_set(err, EIO, "the stream was refused: %s", relay.refused->message);
		g_error_free(relay.refused);
		return r;
	}

	relay_run(&relay);
	g_clear_object(&relay.socket);
	reason = relay.reason;
	if (relay.r < 0)
		return err_set(err, -relay.r, "%s", reason);
	*ret_status = relay.status;
	return 0;
}
