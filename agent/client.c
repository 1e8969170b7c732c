/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#include <libsoup/soup.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/paths.h"

#define API_PREFIX "/api2/json"

/* Longest answer that is read: lists of a large cluster stay far below. */
#define ANSWER_MAX (64 * 1024 * 1024)

/* Lines of a log that are asked for at once. */
#define LOG_LINES_MAX 500

struct AgentClient {
	SoupSession *session;
	char *socket_path;
};

AgentClient *agent_client_new(const char *socket_path)
{
	AgentClient *client = g_new0(AgentClient, 1);
	g_autoptr(GSocketAddress) address = NULL;

	client->socket_path = g_strdup(socket_path ?: PATH_AGENT_SOCKET);
	address = g_unix_socket_address_new(client->socket_path);
	/* Requests take as long as they take: a worker may wait for a lock. */
	client->session = soup_session_new_with_options(
		"remote-connectable", address, "timeout", 0, "idle-timeout", 0, NULL);
	return client;
}

AgentClient *agent_client_free(AgentClient *client)
{
	if (!client)
		return NULL;

	g_clear_object(&client->session);
	g_clear_pointer(&client->socket_path, g_free);
	g_free(client);
	return NULL;
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

static SoupMessage *message_new(const char *verb, const char *path, json_t *params)
{
	bool in_query = str_equal(verb, "GET") || str_equal(verb, "DELETE");
	g_autofree char *query = in_query ? query_dup(params) : NULL;
	/* The host is what HTTP wants to be named; the connection goes to the socket. */
	g_autofree char *uri = g_strconcat("http://localhost" API_PREFIX, path, query, NULL);
	SoupMessage *message = soup_message_new(verb, uri);

	if (message && params && !in_query) {
		char *text = json_dumps(params, JSON_COMPACT);
		size_t size = strlen(text);
		g_autoptr(GBytes) body = g_bytes_new_with_free_func(text, size, free, text);

		soup_message_set_request_body_from_bytes(message, "application/json", body);
	}

	return message;
}

static int status_to_errno(guint status)
{
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

	g_string_append(text, message ?: "the agent gave no reason");
	g_strchomp(text->str);
	g_string_set_size(text, strlen(text->str));
	json_object_foreach(errors, name, reason)
		g_string_append_printf(text, "\n%s: %s", name, json_string_value(reason) ?: "");

	return err_set(err, status_to_errno(status), "%s", text->str);
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

	return err_set(err, EIO, "the agent of this node does not answer: %s", error->message);
}

int agent_client_request(AgentClient *client, const char *verb, const char *path, json_t *params,
	json_t **ret_data, GError **err)
{
	g_autoptr(SoupMessage) message = NULL;
	g_autoptr(GBytes) body = NULL;
	g_autoptr(GError) error = NULL;
	json_auto_t *answer = NULL;
	json_error_t json_error;
	guint status;

	assert(client && verb && path);

	message = message_new(verb, path, params);
	if (!message)
		return err_set(err, EINVAL, "'%s' is not a path of the API", path);

	body = soup_session_send_and_read(client->session, message, NULL, &error);
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

	if (ret_data) {
		json_t *data = json_object_get(answer, "data");

		*ret_data = data ? json_incref(data) : json_null();
	}
	return 0;
}

/* Hands over the lines of one answer; *ret_last is the text of the one that ends the log, if it is
 * among them. */
static size_t pass_lines(
	json_t *lines, void (*line)(const char *text, void *data), void *data, char **ret_last)
{
	json_t *row;
	size_t i;

	json_array_foreach(lines, i, row) {
		const char *text = json_string_value(json_object_get(row, "t"));

		if (!text)
			continue;
		if (i + 1 == json_array_size(lines) && g_str_has_prefix(text, "TASK ")) {
			g_free(*ret_last);
			*ret_last = g_strdup(text + strlen("TASK "));
		} else {
			line(text, data);
		}
	}

	return json_array_size(lines);
}

static int outcome(const char *last, bool *ret_warnings, GError **err)
{
	if (!last)
		return err_set(err, EIO, "the task's log has no end: its worker died");
	if (str_equal(last, "OK") || g_str_has_prefix(last, "WARNINGS")) {
		*ret_warnings = !str_equal(last, "OK");
		return 0;
	}
	if (g_str_has_prefix(last, "ERROR: "))
		last += strlen("ERROR: ");
	return err_set(err, EIO, "%s", last);
}

int agent_client_follow(AgentClient *client, const char *node, const char *upid,
	void (*line)(const char *text, void *data), void *data, bool *ret_warnings, GError **err)
{
	g_autofree char *escaped = NULL;
	g_autofree char *path = NULL;
	g_autofree char *last = NULL;
	size_t start = 0;

	assert(client && node && upid && line && ret_warnings);

	escaped = g_uri_escape_string(upid, NULL, false);
	path = g_strdup_printf("/nodes/%s/tasks/%s/log", node, escaped);

	while (!last) {
		g_autofree char *from = g_strdup_printf("%zu", start);
		json_auto_t *params = json_pack("{s:s, s:s, s:s}", "start", from, "limit",
			G_STRINGIFY(LOG_LINES_MAX), "wait", "1");
		json_auto_t *lines = NULL;
		size_t n;
		int r;

		r = agent_client_request(client, "GET", path, params, &lines, err);
		if (r < 0)
			return r;
		n = pass_lines(lines, line, data, &last);
		if (n == 0)
			break;
		start += n;
	}

	return outcome(last, ret_warnings, err);
}
