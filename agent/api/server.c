/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/server.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <gio/gunixsocketaddress.h>
#include <libsoup/soup.h>

#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

/* Seconds after which a client that has gone silent without closing is noticed. */
#define KEEPALIVE_S 30

struct Server {
	SoupServer *soup;
	char *path;
	ServerFunc func;
	void *data;
	unsigned n_requests;
};

struct ServerRequest {
	Server *server;          /* Borrowed. */
	SoupServerMessage *soup; /* A reference. */
	bool paused;             /* The handler has returned, libsoup waits for us. */
	bool gone;               /* The client will never see an answer. */
	gulong finished_handler;
	void (*on_gone)(void *data);
	void *on_gone_data;
};

struct ServerSocket {
	ServerSocketEvents events;
	void *data;
	SoupWebsocketConnection *soup; /* NULL until it is open. */
};

/* --- requests --------------------------------------------------------------------------------- */

const char *server_request_verb(const ServerRequest *request)
{
	return soup_server_message_get_method(request->soup);
}

const char *server_request_path(const ServerRequest *request)
{
	return g_uri_get_path(soup_server_message_get_uri(request->soup));
}

const char *server_request_query(const ServerRequest *request)
{
	return g_uri_get_query(soup_server_message_get_uri(request->soup));
}

const char *server_request_body(const ServerRequest *request, size_t *ret_size)
{
	SoupMessageBody *body = soup_server_message_get_request_body(request->soup);

	*ret_size = body->data ? (size_t)body->length : 0;
	return body->data ?: "";
}

const char *server_request_content_type(const ServerRequest *request)
{
	return soup_message_headers_get_content_type(
		soup_server_message_get_request_headers(request->soup), NULL);
}

const char *server_request_user(const ServerRequest *request)
{
	return "root@pam";
}

void server_request_on_gone(ServerRequest *request, void (*gone)(void *data), void *data)
{
	assert(request);

	request->on_gone = gone;
	request->on_gone_data = data;
}

static void request_on_finished(SoupServerMessage *soup, gpointer data)
{
	ServerRequest *request = data;

	request->gone = true;
	if (request->on_gone)
		request->on_gone(request->on_gone_data);
}

static ServerRequest *request_new(Server *server, SoupServerMessage *soup)
{
	ServerRequest *request = g_new0(ServerRequest, 1);

	request->server = server;
	request->soup = g_object_ref(soup);
	request->finished_handler =
		g_signal_connect(soup, "finished", G_CALLBACK(request_on_finished), request);
	server->n_requests++;
	return request;
}

static void request_free(ServerRequest *request)
{
	request->server->n_requests--;
	g_signal_handler_disconnect(request->soup, request->finished_handler);
	g_object_unref(request->soup);
	g_free(request);
}

static void message_set_answer(SoupServerMessage *soup, unsigned status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	assert(text);
	soup_server_message_set_status(soup, status, NULL);
	soup_server_message_set_response(
		soup, "application/json;charset=UTF-8", SOUP_MEMORY_COPY, text, strlen(text));
	free(text);
}

void server_request_answer(ServerRequest *request, unsigned status, json_t *body)
{
	assert(request);
	assert(status >= 200 && status < 600);
	assert(json_is_object(body));

	if (!request->gone) {
		message_set_answer(request->soup, status, body);
		if (request->paused)
			soup_server_message_unpause(request->soup);
	}
	request_free(request);
}

/* --- WebSockets ------------------------------------------------------------------------------- */

static void socket_free(ServerSocket *socket)
{
	socket->events.closed(socket->data);
	g_clear_object(&socket->soup);
	g_free(socket);
}

static void socket_on_message(
	SoupWebsocketConnection *soup, gint type, GBytes *bytes, gpointer data)
{
	ServerSocket *socket = data;
	size_t size;
	const void *message = g_bytes_get_data(bytes, &size);

	if (type == SOUP_WEBSOCKET_DATA_BINARY)
		socket->events.message(message, size, socket->data);
	else
		soup_websocket_connection_close(
			soup, SOUP_WEBSOCKET_CLOSE_UNSUPPORTED_DATA, "binary messages only");
}

static void socket_on_closed(SoupWebsocketConnection *soup, gpointer data)
{
	ServerSocket *socket = data;

	g_signal_handlers_disconnect_by_data(soup, socket);
	socket_free(socket);
}

/* The answer 101 has been written: from here on the connection is ours. */
static void socket_on_upgraded(SoupServerMessage *message, gpointer data)
{
	ServerSocket *socket = data;
	g_autoptr(GIOStream) stream = NULL;

	g_signal_handlers_disconnect_by_data(message, socket);
	stream = soup_server_message_steal_connection(message);
	socket->soup = soup_websocket_connection_new(stream, soup_server_message_get_uri(message),
		SOUP_WEBSOCKET_CONNECTION_SERVER, NULL, NULL, NULL);
	soup_websocket_connection_set_max_incoming_payload_size(socket->soup, SERVER_MESSAGE_MAX);
	soup_websocket_connection_set_keepalive_interval(socket->soup, KEEPALIVE_S);
	g_signal_connect(socket->soup, "message", G_CALLBACK(socket_on_message), socket);
	g_signal_connect(socket->soup, "closed", G_CALLBACK(socket_on_closed), socket);
	socket->events.opened(socket, socket->data);
}

/* The client went away before the answer was written. */
static void socket_on_not_upgraded(SoupServerMessage *message, gpointer data)
{
	g_signal_handlers_disconnect_by_data(message, data);
	socket_free(data);
}

bool server_request_wants_upgrade(const ServerRequest *request)
{
	return soup_message_headers_header_equals(
		soup_server_message_get_request_headers(request->soup), "Upgrade", "websocket");
}

int server_request_upgrade(
	ServerRequest *request, const ServerSocketEvents *events, void *data, GError **err)
{
	ServerSocket *socket;

	assert(request);
	assert(!request->paused);
	assert(events && events->opened && events->message && events->closed);

	if (!soup_websocket_server_process_handshake(request->soup, NULL, NULL, NULL, NULL))
		return err_set(err, EINVAL, "not a correct WebSocket handshake");

	socket = g_new0(ServerSocket, 1);
	socket->events = *events;
	socket->data = data;
	g_signal_connect(
		request->soup, "wrote-informational", G_CALLBACK(socket_on_upgraded), socket);
	g_signal_connect(request->soup, "finished", G_CALLBACK(socket_on_not_upgraded), socket);
	request_free(request);
	return 0;
}

void server_socket_send(ServerSocket *socket, const void *message, size_t size)
{
	assert(socket && socket->soup);
	assert(size <= SERVER_MESSAGE_MAX);

	if (soup_websocket_connection_get_state(socket->soup) == SOUP_WEBSOCKET_STATE_OPEN)
		soup_websocket_connection_send_binary(socket->soup, message, size);
}

void server_socket_close(ServerSocket *socket)
{
	assert(socket && socket->soup);

	if (soup_websocket_connection_get_state(socket->soup) == SOUP_WEBSOCKET_STATE_OPEN)
		soup_websocket_connection_close(socket->soup, SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
}

/* --- server ----------------------------------------------------------------------------------- */

static void message_refuse(SoupServerMessage *soup, unsigned status, const char *reason)
{
	json_auto_t *body = json_pack("{s:n, s:s}", "data", "message", reason);

	message_set_answer(soup, status, body);
}

/* The mode of the socket keeps others out; this holds even where somebody has changed that. */
static bool peer_is_trusted(SoupServerMessage *soup)
{
	GSocket *socket = soup_server_message_get_socket(soup);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (!socket ||
		getsockopt(g_socket_get_fd(socket), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void server_on_request(SoupServer *soup, SoupServerMessage *message, const char *path,
	GHashTable *query, gpointer data)
{
	SoupMessageBody *body = soup_server_message_get_request_body(message);
	Server *server = data;
	ServerRequest *request;
	unsigned n_requests;

	if (!peer_is_trusted(message)) {
		message_refuse(message, 403, "only root may use this socket");
		return;
	}
	if (!soup_message_body_get_accumulate(body)) {
		message_refuse(message, 413, "request is too large");
		return;
	}
	if (server->n_requests >= SERVER_REQUESTS_MAX) {
		message_refuse(message, 503, "too many requests are open");
		return;
	}

	request = request_new(server, message);
	n_requests = server->n_requests;
	server->func(request, server->data);
	/* Still there, so it will be answered later. */
	if (server->n_requests == n_requests) {
		request->paused = true;
		soup_server_message_pause(message);
	}
}

/* Counts the body while it comes in and keeps nothing of one that is too large. */
static void message_on_chunk(SoupServerMessage *message, GBytes *chunk, gpointer data)
{
	SoupMessageBody *body = soup_server_message_get_request_body(message);

	if (body->length + (goffset)g_bytes_get_size(chunk) > SERVER_BODY_MAX) {
		soup_message_body_truncate(body);
		soup_message_body_set_accumulate(body, FALSE);
	}
}

static void server_on_message(SoupServer *soup, SoupServerMessage *message, gpointer data)
{
	g_signal_connect(message, "got-chunk", G_CALLBACK(message_on_chunk), NULL);
}

/* bind, then mode, then listen: nobody can connect before the mode is right. */
static GSocket *socket_listen(const char *path, GError **err)
{
	g_autoptr(GSocket) socket = g_socket_new(
		G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, err);
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

	if (!socket)
		return NULL;
	(void)unlink(path);
	if (!g_socket_bind(socket, address, FALSE, err))
		return NULL;
	if (chmod(path, 0600) < 0) {
		(void)err_set_errno(err, -errno, "cannot change mode");
		return NULL;
	}
	if (!g_socket_listen(socket, err))
		return NULL;
	return g_steal_pointer(&socket);
}

int server_new(const char *path, ServerFunc func, void *data, Server **ret, GError **err)
{
	g_autoptr(GSocket) socket = NULL;
	g_autoptr(GError) reason = NULL;
	Server *server;

	assert(path);
	assert(func);
	assert(ret);

	socket = socket_listen(path, &reason);
	if (!socket)
		return err_set(err, EIO, "cannot listen on '%s': %s", path, reason->message);

	server = g_new0(Server, 1);
	server->path = g_strdup(path);
	server->func = func;
	server->data = data;
	/* Undecoded: a volume in a path has an encoded slash. */
	server->soup = soup_server_new("raw-paths", TRUE, NULL);
	soup_server_add_handler(server->soup, NULL, server_on_request, server, NULL);
	g_signal_connect(server->soup, "request-started", G_CALLBACK(server_on_message), server);
	if (!soup_server_listen_socket(server->soup, socket, 0, &reason)) {
		(void)err_set(err, EIO, "cannot listen on '%s': %s", path, reason->message);
		server_free(server);
		return -EIO;
	}
	*ret = server;
	return 0;
}

Server *server_free(Server *server)
{
	if (!server)
		return NULL;
	soup_server_disconnect(server->soup);
	g_object_unref(server->soup);
	(void)unlink(server->path);
	g_free(server->path);
	g_free(server);
	return NULL;
}
