/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A fixture for tests of the client library: the real server (cfs/ipc.h) on a socket in a directory of
 * its own, in this process, where the test itself is the store that answers.  All runs in the default
 * main context. */

#include "cfs/client.h"
#include "cfs/ipc.h"
#include "tests/unit/test.h"

/* A request that has come, and what the test may look at of it. */
typedef struct Asked {
	IpcType type;
	uint64_t client;
	uint64_t number;
	uint64_t about;     /* Token or number that it is about; otherwise 0. */
	EventFilter filter; /* IPC_SUBSCRIBE, without its text. */
} Asked;

struct fixture {
	void *directory; /* Of tmpdir_set_up(). */
	char *path;      /* Of the socket. */
	IpcServer *server;
	GQueue asked;                  /* Of Asked: what the test has not taken. */
	unsigned n_asked[IPC_N_TYPES]; /* Of all that have come. */
	unsigned n_gone;               /* Clients. */
	GBytes *content; /* IPC_READ is answered with it at once; NULL: like others. */
};

/* To be called first in main(): makes us root for the server, who needs not be it, and ends a test that
 * waits for ever. */
void served_begin(void);

/* The server runs after set-up. */
int served_set_up(void **state);
int served_tear_down(void **state);
void served_start(struct fixture *f);
void served_stop(struct fixture *f);

/* Runs the loop until a condition is true … */
#define WAIT_UNTIL(condition)                                       \
	do {                                                        \
		while (!(condition))                                \
			(void)g_main_context_iteration(NULL, TRUE); \
	} while (0)

/* … or all that was sent has arrived. */
void settle(void);

/* The next request of a type, which is waited for. */
Asked next_asked(struct fixture *f, IpcType type);

/* Answers a request; type and number are filled in.  Subscriptions, their ends and cancellations have
 * been answered with success already. */
void answer(struct fixture *f, const Asked *asked, IpcAnswer made);

/* The same for the next request of a type, with a result alone. */
void answer_next(struct fixture *f, IpcType type, int result);

/* Events as the client told of them. */
void tell(struct fixture *f, const Asked *subscription, const Event *event);

/* What a client says of itself. */
typedef struct Heard {
	unsigned n_connected;
	unsigned n_disconnected;
	bool may_change;
	int reason; /* Of the last disconnection. */
} Heard;

/* A client in the default main context (or another) that is not connected yet. */
CfsClient *heard_client(struct fixture *f, Heard *heard, GMainContext *context);
