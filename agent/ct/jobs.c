/* SPDX-License-Identifier: Apache-2.0 */

/* The jobs about containers, by type. */

#include "agent/job.h"

const JobType ct_jobs[] = {
	{0},
};
