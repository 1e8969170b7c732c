/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The life of a request: path and parameters are checked against the table of methods, then it is
 * answered by a handler of the agent, by a worker, with the UPID of a task, or becomes a stream.
 *
 * Answers have the envelope {"data": …}; what went wrong is {"data": null, "message": "…", "errno":
 * N, "errors": {parameter: reason}} with an HTTP status to match. */

#include <jansson.h>

#include <glib.h>

#include "agent/api/agent.h"
#include "agent/api/server.h"
#include "agent/methods.h"

#define API_PREFIX "/api2/json"

/* A request on its way. */
typedef struct ApiCall {
	Agent *agent;            /* Borrowed. */
	ServerRequest *request;  /* Not answered yet. */
	const ApiMethod *method; /* Borrowed. */
	json_t *params;          /* Checked, in canonical form, those of the path included. */
	unsigned vmid;           /* From path or parameters; 0: none. */
	json_t *extra;           /* Further members of the envelope, or NULL; owned. */
} ApiCall;

/* What a handler returns when it will call api_call_finish() later. */
#define API_LATER 1

/* Answers an API_READ method: sets *ret_data, or returns a negative errno with the reason. */
typedef struct ApiHandler {
	const char *verb; /* NULL ends a table. */
	const char *path; /* As in api_methods. */
	int (*run)(ApiCall *call, json_t **ret_data, GError **err);
	bool any_node; /* Also answers for other nodes of the cluster, from the store. */
} ApiHandler;

extern const ApiHandler api_cluster_handlers[];
extern const ApiHandler api_ct_handlers[];
extern const ApiHandler api_storage_handlers[];
extern const ApiHandler api_task_handlers[];

/* Takes a request from the server; data is the Agent. */
void api_serve(ServerRequest *request, void *data);

/* Ends a call that a handler has put off.  data and err are borrowed. */
void api_call_finish(ApiCall *call, int r, json_t *data, const GError *err);

/* A parameter as text, NULL when not given; as boolean or number with fallback. */
const char *api_param(const ApiCall *call, const char *name);
bool api_param_boolean(const ApiCall *call, const char *name, bool fallback);
int64_t api_param_integer(const ApiCall *call, const char *name, int64_t fallback);

/* The HTTP status for a negative errno. */
unsigned api_status(int r);
