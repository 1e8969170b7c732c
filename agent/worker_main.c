/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-worker: runs one job of the agent (agent/job.h). */

#include "agent/worker.h"

int main(int argc, char **argv)
{
	static const JobType *const tables[] = {ct_jobs, storage_jobs, NULL};

	return worker_main(argc, argv, tables);
}
