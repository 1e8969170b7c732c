/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The agent's side of a stream (agent/stream.h): a worker with a terminal or pipes, relayed to a
 * WebSocket.  When the client goes away the worker is asked to end, and killed if it does not. */

#include <jansson.h>

#include <glib.h>

#include "agent/api/agent.h"
#include "agent/api/server.h"

/* Turns request, which is freed, into a stream that runs job (agent/job.h).  On failure the request
 * still has to be answered.  agent is borrowed and must outlive the stream. */
int stream_start(Agent *agent, ServerRequest *request, json_t *job, GError **err);
