/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTP server on a unix socket: the only file of the agent that knows libsoup.
 *
 * It hands out one ServerRequest for each request that has come in whole, and takes the answer then
 * or later.  Only root (and the user that the server runs as) is served: the socket's mode says so,
 * and the peer's credentials are checked again. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <glib.h>

/* A request with a larger body is answered with 413. */
#define SERVER_BODY_MAX (512 * 1024)

/* Requests that may be open at one time; one more is answered with 503. */
#define SERVER_REQUESTS_MAX 256

/* Largest message on a socket, either way. */
#define SERVER_MESSAGE_MAX (64 * 1024)

typedef struct Server Server;
typedef struct ServerRequest ServerRequest;
typedef struct ServerSocket ServerSocket;

/* Called for each request, which must be ended some time by server_request_answer() or
 * server_request_upgrade(). */
typedef void (*ServerFunc)(ServerRequest *request, void *data);

/* Listens on path, replacing a socket that is there. */
int server_new(const char *path, ServerFunc func, void *data, Server **ret, GError **err);
Server *server_free(Server *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)

/* What was asked.  Borrowed until the request ends. */
const char *server_request_verb(const ServerRequest *request);
const char *server_request_path(const ServerRequest *request);  /* Still percent-encoded. */
const char *server_request_query(const ServerRequest *request); /* NULL: none. */
const char *server_request_body(const ServerRequest *request, size_t *ret_size);
const char *server_request_content_type(const ServerRequest *request); /* NULL: none. */

/* The user for whom it is done: `root@pam`. */
const char *server_request_user(const ServerRequest *request);

/* gone is called once when the client goes away before it was answered; the request must be
 * answered all the same.  NULL: nobody wants to know any more. */
void server_request_on_gone(ServerRequest *request, void (*gone)(void *data), void *data);

/* Answers and frees the request.  body is borrowed. */
void server_request_answer(ServerRequest *request, unsigned status, json_t *body);

/* Whether the client asks for a WebSocket. */
bool server_request_wants_upgrade(const ServerRequest *request);

typedef struct ServerSocketEvents {
	/* The socket is there; borrowed until closed() has returned. */
	void (*opened)(ServerSocket *socket, void *data);
	void (*message)(const uint8_t *message, size_t size, void *data); /* A binary message. */
	void (*closed)(void *data); /* Comes once, also when it never opened. */
} ServerSocketEvents;

/* Turns the request into a WebSocket and frees it.  -EINVAL: the client's handshake is wrong; the
 * request then still has to be answered, and no event comes. */
int server_request_upgrade(
	ServerRequest *request, const ServerSocketEvents *events, void *data, GError **err);

/* Sends a binary message.  It waits in memory until the client takes it: the caller limits how
 * much. */
void server_socket_send(ServerSocket *socket, const void *message, size_t size);

/* Closes after what was sent; closed() follows. */
void server_socket_close(ServerSocket *socket);
