/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls: short jobs whose answer the client waits for (API_WORKER).  Done by a worker too, so that
 * waiting for a lock or a disk does not stop the agent. */

#include <jansson.h>

#include <glib.h>

/* r is 0 or a negative errno with the reason in err; -EOWNERDEAD: the worker died before it could answer,
 * and what it was doing may be half done.  answer, borrowed, has what the job answered
 * in "data" and an array of sentences in "warnings". */
typedef void (*CallFunc)(int r, json_t *answer, const GError *err, void *data);

/* Starts program with job (agent/job.h); func is called once, from the main loop, if and only if
 * this returns 0. */
int call_start(const char *program, json_t *job, CallFunc func, void *data, GError **err);
