/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client's side of a stream (agent/stream.h): exec, enter and console on descriptors of the caller.
 *
 * The call blocks and runs the default main context meanwhile.  What happens to the terminal (raw mode)
 * is the caller's business. */

#include <stdbool.h>

#include <jansson.h>

#include <glib.h>

#include "agent/client.h"

/* Borrowed descriptors. */
typedef struct AgentStreamOptions {
	int stdin_fd; /* -1: the input ends at once. */
	int stdout_fd;
	int stderr_fd;
	bool follow_size; /* stdin_fd is a terminal whose changes of size are passed on. */
} AgentStreamOptions;

/* Opens the stream at path with params (as for a GET of agent_client_request()) and relays until the
 * command ends; *ret_status is its exit status.  A negative errno with a sentence when it cannot be
 * opened, the command cannot be run, or the agent goes away. */
int agent_client_stream(AgentClient *client, const char *path, json_t *params,
	const AgentStreamOptions *options, int *ret_status, GError **err);
