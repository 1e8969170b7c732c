/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

#include <string.h>

#include <gio/gunixsocketaddress.h>

#include "agent/client_session.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/paths.h"

#define API_PREFIX "/api2/json"

/* Longest answer that is read: lists of a large cluster stay far below. */
#define ANSWER_MAX (64 * 1024 * 1024)

/* What libsoup's server reads before a body, less some room for headers. */
#define URI_LENGTH_MAX (60 * 1024)

/* Lines of a log that are asked for at once. */
#define LOG_LINES_MAX 500

/* How long a task is followed without an agent, the time between two attempts, and how often it may go
 * away in the middle of one. */
#define AWAY_MAX_US   (10 * G_USEC_PER_SEC)
#define AWAY_RETRY_US (G_USEC_PER_SEC / 20)
#define AWAY_CUTS_MAX 5

struct AgentClient {
	SoupSession *session;
	char *socket_path;
	json_t *warnings; /* Of the last request; NULL: none. */
};

AgentClient *agent_client_new(const char *socket_path)
{
	AgentClient *client = g_new0(AgentClient, 1);
	g_autoptr(GSocketAddress) address = NULL;

	client->socket_path = g_strdup(socket_path ?: PATH_AGENT_SOCKET);
	address = g_unix_socket_address_new(client->socket_path);
	/* Requests take as long as they take: a worker may wait for a lock.  There is no proxy to a
	 * socket, and asking for one would load GIO's modules. */
	client->session = soup_session_new_with_options("remote-connectable", address, "timeout", 0,
		"idle-timeout", 0, "proxy-resolver", NULL, NULL);
	return client;
}

AgentClient *agent_client_free(AgentClient *client)
{
	if (!client)
		return NULL;

	json_decref(client->warnings);
	g_clear_object(&client->session);
	g_clear_pointer(&client->socket_path, g_free);
	g_free(client);
	return NULL;
}

SoupSession *agent_client_session(AgentClient *client)
{
	assert(client);

	return client->session;
}

json_t *agent_client_warnings(AgentClient *client)
{
	assert(client);

	return client->warnings;
}

static char *query_dup(json_t *params)
{
	GString *query = g_string_new(NULL);
	const char *name;
	json_t *value;

	json_object_foreach(params, name, value) {
		g_autofree char *escaped_name = g_uri_escape_string(name, NULL, false);
		g_autofree char *escaped =
			g_uri_escape_string(json_string_value(value), NULL, false);

		g_string_append_printf(
			query, "%s%s=%s", query->len ? "&" : "?", escaped_name, escaped);
	}

	return g_string_free(query, FALSE);
}

int agent_client_message(
	const char *verb, const char *path, json_t *params, SoupMessage **ret, GError **err)
{
	bool in_query = str_equal(verb, "GET") || str_equal(verb, "DELETE");
	g_autofree char *query = in_query ? query_dup(params) : NULL;
	/* The host is what HTTP wants to be named; the connection goes to the socket. */
	g_autofree char *uri = g_strconcat("http://localhost" API_PREFIX, path, query, NULL);
	g_autoptr(SoupMessage) message = NULL;

	if (strlen(uri) > URI_LENGTH_MAX)
		return err_set(err, E2BIG,
			"the parameters are longer than the %d bytes of a request", URI_LENGTH_MAX);
	message = soup_message_new(verb, uri);
	if (!message)
		return err_set(err, EINVAL, "'%s' is not a path of the API", path);

	if (params && !in_query) {
		char *text = json_dumps(params, JSON_COMPACT);
		size_t size = strlen(text);
		g_autoptr(GBytes) body = g_bytes_new_with_free_func(text, size, free, text);

		soup_message_set_request_body_from_bytes(message, "application/json", body);
	}

	*ret = g_steal_pointer(&message);
	return 0;
}

/* The agent's own number, or what the HTTP status comes near to. */
static int answer_errno(guint status, const json_t *answer)
{
	json_int_t number = json_integer_value(json_object_get(answer, "errno"));

	if (number > 0 && number < 4096)
		return (int)number;
	switch (status) {
	case SOUP_STATUS_BAD_REQUEST:
		return EINVAL;
	case SOUP_STATUS_FORBIDDEN:
		return EACCES;
	case SOUP_STATUS_NOT_FOUND:
		return ENOENT;
	default:
		return EIO;
	}
}

/* The agent's sentence, with a line for each parameter that it named. */
static int answer_to_error(guint status, const json_t *answer, GError **err)
{
	const char *message = json_string_value(json_object_get(answer, "message"));
	json_t *errors = json_object_get(answer, "errors");
	g_autoptr(GString) text = g_string_new(NULL);
	const char *name;
	json_t *reason;

	/* Scripts know this one by its number. */
	if (errors)
		g_string_append_printf(text, "%u ", status);
	g_string_append(text, message ?: "the agent gave no reason");
	g_strchomp(text->str);
	g_string_set_size(text, strlen(text->str));
	json_object_foreach(errors, name, reason)
		g_string_append_printf(text, "\n%s: %s", name, json_string_value(reason) ?: "");

	return err_set(err, answer_errno(status, answer), "%s", text->str);
}

static int connection_error(AgentClient *client, GError *error, GError **err)
{
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
		g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
		return err_set(err, ECONNREFUSED,
			"the agent of this node does not answer on '%s': is atolld running?",
			client->socket_path);
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
		return err_set(err, EACCES, "please run as root");

	return err_set(
		err, ECONNRESET, "the agent of this node does not answer: %s", error->message);
}

typedef struct Reply {
	GMainLoop *loop;
	GBytes *body; /* NULL: error says why. */
	GError *error;
} Reply;

static void on_reply(GObject *session, GAsyncResult *result, gpointer data)
{
	Reply *reply = data;

	reply->body =
		soup_session_send_and_read_finish(SOUP_SESSION(session), result, &reply->error);
	g_main_loop_quit(reply->loop);
}

/* Waits for the answer in a main loop, so that a caller's other sources, signals above all, are served
 * meanwhile; they may send requests themselves.  NULL with the reason on failure. */
static GBytes *exchange(AgentClient *client, SoupMessage *message, GError **ret_error)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	Reply reply = {.loop = loop};

	soup_session_send_and_read_async(
		client->session, message, G_PRIORITY_DEFAULT, NULL, on_reply, &reply);
	g_main_loop_run(loop);
	*ret_error = reply.error;
	return reply.body;
}

/* The whole envelope of the answer. */
static int request_envelope(AgentClient *client, const char *verb, const char *path, json_t *params,
	json_t **ret, GError **err)
{
	g_autoptr(SoupMessage) message = NULL;
	g_autoptr(GBytes) body = NULL;
	g_autoptr(GError) error = NULL;
	json_auto_t *answer = NULL;
	json_error_t json_error;
	guint status;
	int r;

	r = agent_client_message(verb, path, params, &message, err);
	if (r < 0)
		return r;

	body = exchange(client, message, &error);
	if (!body)
		return connection_error(client, error, err);
	if (g_bytes_get_size(body) > ANSWER_MAX)
		return err_set(err, EIO, "the agent's answer is too large");

	answer = json_loadb(g_bytes_get_data(body, NULL), g_bytes_get_size(body),
		JSON_REJECT_DUPLICATES, &json_error);
	status = soup_message_get_status(message);
	if (!SOUP_STATUS_IS_SUCCESSFUL(status))
		return answer_to_error(status, answer, err);
	if (!json_is_object(answer))
		return err_set(err, EIO, "the agent's answer is not JSON: %s", json_error.text);

	*ret = g_steal_pointer(&answer);
	return 0;
}

int agent_client_request(AgentClient *client, const char *verb, const char *path, json_t *params,
	json_t **ret_data, GError **err)
{
	json_auto_t *answer = NULL;
	json_t *data;
	int r;

	assert(client && verb && path);

	r = request_envelope(client, verb, path, params, &answer, err);
	if (r < 0)
		return r;
	json_decref(client->warnings);
	client->warnings = json_incref(json_object_get(answer, "warnings"));
	data = json_object_get(answer, "data");
	if (ret_data)
		*ret_data = data ? json_incref(data) : json_null();
	return 0;
}

static const char *member_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool is_outcome(const char *text)
{
	return str_equal(text, "TASK OK") || g_str_has_prefix(text, "TASK WARNINGS: ") ||
	       g_str_has_prefix(text, "TASK ERROR: ");
}

/* Hands over the lines of one answer, but for the one that ends the log: it is the outcome, which
 * comes in the envelope too. */
static size_t pass_lines(json_t *answer, void (*line)(const char *text, void *data), void *data)
{
	json_t *lines = json_object_get(answer, "data");
	json_t *row;
	size_t i;

	json_array_foreach(lines, i, row) {
		const char *text = json_string_value(json_object_get(row, "t"));
		bool last = i + 1 == json_array_size(lines);

		if (text && !(last && is_outcome(text)))
			line(text, data);
	}
	return json_array_size(lines);
}

static int outcome(const char *status, bool *ret_warnings, GError **err)
{
	bool ok = str_equal(status, "OK");

	if (!ok && !(status && g_str_has_prefix(status, "WARNINGS: ")))
		return err_set(
			err, EIO, "%s", status ?: "the agent does not know how the task ended");
	*ret_warnings = !ok;
	return 0;
}

/* Asks for lines from start on.  The task runs on while the agent is restarted, so an agent that is away
 * for a moment is no reason to leave it. */
static int request_log(
	AgentClient *client, const char *path, size_t start, json_t **ret, GError **err)
{
	g_autofree char *from = g_strdup_printf("%zu", start);
	json_auto_t *params = json_pack(
		"{s:s, s:s, s:s}", "start", from, "limit", G_STRINGIFY(LOG_LINES_MAX), "wait", "1");
	gint64 until_us = g_get_monotonic_time() + AWAY_MAX_US;
	unsigned n_cuts = 0;

	for (;;) {
		g_autoptr(GError) reason = NULL;
		int r = request_envelope(client, "GET", path, params, ret, &reason);

		if (r >= 0)
			return 0;
		/* A connection that was cut has taken its time; what counts is how long none is made,
		 * and that an agent that dies of this very request is not asked for ever. */
		if (r == -ECONNRESET && n_cuts++ < AWAY_CUTS_MAX)
			until_us = g_get_monotonic_time() + AWAY_MAX_US;
		else if (r != -ECONNREFUSED || g_get_monotonic_time() > until_us)
			return err_set(err, -r, "%s", reason->message);
		g_usleep(AWAY_RETRY_US);
	}
}

int agent_client_follow(AgentClient *client, const char *node, const char *upid,
	void (*line)(const char *text, void *data), void *data, bool *ret_warnings, GError **err)
{
	g_autofree char *escaped = NULL;
	g_autofree char *path = NULL;
	size_t start = 0;

	assert(client && node && upid && line && ret_warnings);

	escaped = g_uri_escape_string(upid, NULL, false);
	path = g_strdup_printf("/nodes/%s/tasks/%s/log", node, escaped);

	for (;;) {
		json_auto_t *answer = NULL;
		size_t n;
		int r;

		r = request_log(client, path, start, &answer, err);
		if (r < 0)
			return r;
		n = pass_lines(answer, line, data);
		start += n;
		/* A running task may just have had nothing to say for a while. */
		if (n < LOG_LINES_MAX && str_equal(member_text(answer, "status"), "stopped"))
			return outcome(member_text(answer, "exitstatus"), ret_warnings, err);
	}
}
