/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Starting and stopping containers of this node, for jobs (agent/job.h).
 *
 * All functions want the container's file lock (ct_file_lock) to be held, so that two of them never
 * meet on one container.  Their progress goes to the task's log. */

#include <stdbool.h>

#include <glib.h>

#include "agent/job.h"

/* How long a killed container may take to be gone: the kernel ends its processes, the monitor
 * cleans up. */
#define LIFECYCLE_KILL_TIMEOUT_S 60

typedef struct LifecycleStart {
	bool debug;    /* The LXC log holds everything. */
	bool skiplock; /* Whatever the lock property says. */
} LifecycleStart;

/* Starts a stopped container, with its pending changes applied.  On failure nothing of it runs, and
 * no mount, link or cgroup of it is left. */
int lifecycle_start(Job *job, unsigned vmid, const LifecycleStart *options, GError **err);

/* Kills a running container and waits until its monitor has cleaned up. */
int lifecycle_kill(Job *job, unsigned vmid, GError **err);

/* Asks a running container to shut down and waits for its end for timeout_s.  Then it is killed if
 * force says so, otherwise the result is -ETIMEDOUT "CT 100 did not stop". */
int lifecycle_shutdown(Job *job, unsigned vmid, unsigned timeout_s, bool force, GError **err);

/* Refusals that the jobs share: 0 if the container runs (does not run); -ESRCH "CT 100 not running",
 * -EALREADY "CT 100 already running". */
int lifecycle_require_running(unsigned vmid, GError **err);
int lifecycle_require_stopped(unsigned vmid, GError **err);
