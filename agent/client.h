/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The agent, as other programs see it: requests to its API over the unix socket.
 *
 * Calls block; there is no main loop to run.  Streams (exec, enter, console): agent/client_stream.h. */

#include <stdbool.h>

#include <jansson.h>

#include <glib.h>

typedef struct AgentClient AgentClient;

/* socket_path NULL: PATH_AGENT_SOCKET.  Nothing is connected yet. */
AgentClient *agent_client_new(const char *socket_path);
AgentClient *agent_client_free(AgentClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentClient, agent_client_free)

/* Sends a request and waits for its answer; sources of the default main context are served meanwhile, and
 * may send requests, too.  path is below /api2/json ("/nodes/n1/lxc"), each of its
 * parts escaped already; params (an object of strings, borrowed, NULL: none) goes to the query of GET and
 * DELETE and to the body of POST and PUT.
 *
 * Returns 0 and what was in "data" (*ret_data, owned by the caller, may be NULL), or a negative errno with
 * the agent's sentence, for wrong parameters followed by one line each.  -ECONNREFUSED when there is no
 * agent. */
int agent_client_request(AgentClient *client, const char *verb, const char *path, json_t *params,
	json_t **ret_data, GError **err);

/* What the last request that succeeded had to say beside its answer: an array of sentences, borrowed
 * until the next request; NULL when there are none. */
json_t *agent_client_warnings(AgentClient *client);

/* Calls line for each line of the task's log as it comes, until its end (the last line, which tells the
 * outcome, is left out).  An agent that is restarted meanwhile is waited for.  0 when the task ended well, with *ret_warnings true when it had warnings; -EIO
 * with the task's own reason when it failed. */
int agent_client_follow(AgentClient *client, const char *node, const char *upid,
	void (*line)(const char *text, void *data), void *data, bool *ret_warnings, GError **err);
