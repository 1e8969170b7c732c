/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's end of the IPC socket: who may come in, and the bytes to and from each client.
 *
 * A stream socket of the thread's default main context, which never waits for a client.  Root may
 * change, the store's group may read, all others are turned away with the greeting.  A client that
 * does not read its answers is not read from until it does; one that does not read its events is
 * disconnected.  Clients are known by numbers that are never used again, so that an answer may come
 * after the client has gone. */

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

#include <glib.h>

#include "cfs/ipc_wire.h"

/* Clients at one time, and those of one user other than root. */
#define IPC_CLIENTS_MAX      512
#define IPC_USER_CLIENTS_MAX 32

/* A client is not read from while it has so many requests without an answer (one who may only read:
 * fewer), or has not taken so many bytes of answers. */
#define IPC_REQUESTS_MAX        256
#define IPC_READER_REQUESTS_MAX 16
#define IPC_ANSWER_BYTES_MAX    (1024 * 1024)

/* A client that has not taken so many bytes of events is disconnected. */
#define IPC_EVENT_BYTES_MAX (1024 * 1024)

typedef struct IpcServer IpcServer;

typedef struct IpcPeer {
	uint64_t client;
	pid_t pid;
	uid_t uid;
	bool may_change;
} IpcPeer;

typedef struct IpcHandler {
	void *data; /* Given to each function. */

	/* A request, borrowed for the call; ipc_server_answer() must follow, at once or later.
	 * Those that change come from who may change. */
	void (*request)(void *data, const IpcPeer *peer, const IpcRequest *request);

	/* The client has gone. */
	void (*gone)(void *data, uint64_t client);
} IpcHandler;

/* Listens at path, making its directory if need be, and replacing a socket that nobody listens at;
 * -EADDRINUSE when somebody does.
 * Negative errno with reason. */
int ipc_server_new(const char *path, const IpcHandler *handler, IpcServer **ret, GError **err);

/* Disconnects all, without a word to the handler, and removes the socket. */
IpcServer *ipc_server_free(IpcServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IpcServer, ipc_server_free)

/* Answers a request of the client, if it is still there. */
void ipc_server_answer(IpcServer *server, uint64_t client, const IpcAnswer *answer);

/* Tells the client of an event, if it is still there.  gone() does not come from here. */
void ipc_server_event(IpcServer *server, uint64_t client, const IpcEvent *event);
