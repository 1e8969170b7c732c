/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The frame around one job in a process of its own: reads the job, sets its descriptors up as
 * agent/job.h says, runs it, and delivers the outcome.  SIGTERM is a request to abort, which the
 * job sees through job_aborted(). */

#include "agent/job.h"

/* The whole main of a worker program that knows the jobs in tables (NULL-terminated).
 *
 *	PROGRAM [--stream=FD]	job on descriptor 0, or for a stream on socket FD
 *
 * Returns the exit status: 0 when the job succeeded, 1 when it failed, 2 when there was none. */
int worker_main(int argc, char **argv, const JobType *const *tables);
