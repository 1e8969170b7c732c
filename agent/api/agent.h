/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the agent share: made in main, passed down, never global. */

#include <glib.h>

#include "agent/api/storewatch.h"
#include "agent/api/task.h"
#include "agent/ct/ctfile.h"
#include "base/clock.h"

/* Calls and streams at one time, beside the tasks. */
#define AGENT_CALLS_MAX   64
#define AGENT_STREAMS_MAX 256

typedef struct Agent {
	const char *node;    /* This node's name. */
	const char *program; /* Of the workers. */
	const Clock *clock;
	CtStore store;
	TaskSet *tasks;
	unsigned n_calls;
	unsigned n_streams;
	StoreWatch *watch; /* Waits for quorum before it cleans up (recovery.h); NULL: does not. */
} Agent;
