/* SPDX-License-Identifier: Apache-2.0 */

/* The jobs about containers, by type. */

#include "agent/ct/ct_jobs.h"

const JobType ct_jobs[] = {
	{"console", job_console},
	{"enter", job_enter},
	{"exec", job_exec},
	{"recover", job_recover},
	{"set", job_set},
	{"startall", job_startall},
	{"unlock", job_unlock},
	{"vzcreate", job_vzcreate},
	{"vzdestroy", job_vzdestroy},
	{"vzreboot", job_vzreboot},
	{"vzshutdown", job_vzshutdown},
	{"vzstart", job_vzstart},
	{"vzstop", job_vzstop},
	{0},
};
