/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cleaning up after work that did not come to its end.
 *
 * A worker that was killed, or a node that lost power, may leave a container half made or half removed.
 * What to do about it is the business of job `recover` (agent/ct), which finds a note of what was under
 * way (agent/ct/undo.h).  It gets the parameters `type` and `upid` of the task that died where they are
 * known, and runs as a task like any other.  One that dies itself is not recovered again before the next
 * start of the agent. */

#include "agent/api/agent.h"

/* Starts `recover` for work of this type (NULL: unknown) that died; upid NULL: it was no task.  Without
 * quorum nothing can be cleaned up: everything is then looked for when quorum is back. */
void recovery_start(Agent *agent, const char *type, unsigned vmid, const char *upid);

/* At the start of the agent, after tasks have been adopted, as soon as there is quorum: `recover` for
 * containers of this node that no task is working on, but that have a note, or are locked by their
 * creation; and, once a boot, `startall`, which starts the containers that are to run from boot on. */
void recovery_begin(Agent *agent);

/* At its end: nothing is waited for any more. */
void recovery_end(Agent *agent);
