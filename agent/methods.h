/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The API's methods: path, parameters, what answers.  One table serves the server's checks and
 * routing and the commands' options and help, which is why the commands may include it
 * (tests/lint-includes). Paths are below /api2/json; {node}, {vmid} and so on are parameters taken
 * from the path. */

#include "base/schema.h"

typedef enum ApiKind {
	API_READ,   /* Answered by the agent itself, from memory and files. */
	API_WORKER, /* Answered when a worker has done it: a short change. */
	API_TASK,   /* Answered with the UPID of a task. */
	API_STREAM, /* Becomes a WebSocket: terminal of exec, enter, console (agent/stream.h). */
} ApiKind;

typedef struct ApiMethod {
	const char *verb; /* "GET", "POST", "PUT", "DELETE"; NULL ends a table. */
	const char *path; /* "/nodes/{node}/lxc/{vmid}/status/start" */
	ApiKind kind;
	const char *job;            /* Job type, for a task also the task's; NULL: API_READ. */
	const SchemaOption *params; /* Own parameters; NULL: none. */
	const SchemaOption *more;   /* Second table searched after params, e.g. ct_options; NULL. */
	const char *description;
} ApiMethod;

extern const ApiMethod api_methods[];

/* What may stand for {node}, {vmid}, {storage}, {volume}, {upid} in a path. */
extern const SchemaOption api_path_params[];

/* The entry for verb and pattern; NULL when there is none. */
const ApiMethod *api_method_find(const char *verb, const char *path_pattern);
