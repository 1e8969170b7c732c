/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What client.c and client_stream.c share: together they are the one place where programs that talk to
 * the agent meet libsoup.  For nobody else. */

#include <jansson.h>
#include <libsoup/soup.h>

#include "agent/client.h"

/* Borrowed. */
SoupSession *agent_client_session(AgentClient *client);

/* A request of agent_client_request(), owned by the caller.  -EINVAL: path cannot be one; -E2BIG: the
 * server would not read that much. */
int agent_client_message(
	const char *verb, const char *path, json_t *params, SoupMessage **ret, GError **err);
