/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Jobs: the work of one API request, done by a process of its own (atoll-worker).
 *
 * The agent starts a worker with the job as one JSON object on its standard input:
 *
 *	{"type": "vzcreate", "vmid": 100, "node": "n1", "user": "root@pam",
 *	 "upid": "UPID:…" (a task; absent for a request that is answered at once),
 *	 "params": {"ostemplate": "local:vztmpl/x.tar.gz", …}}
 *
 * A task's output goes to its log, which the worker itself opens and ends with `TASK OK`, `TASK
 *WARNINGS: N` or `TASK ERROR: text`, so that it is complete even when the agent was restarted
 *meanwhile.  A request without upid writes {"data": …} or {"error": "…", "errno": N} to standard
 *output instead. */

#include <stdbool.h>

#include <jansson.h>

#include <glib.h>

typedef struct Job {
	const char *type;
	unsigned vmid; /* 0: about no container. */
	const char *node;
	const char *user;
	const char *upid; /* NULL: not a task. */
	json_t *params;   /* Object of strings, checked against the method's schema; borrowed. */
	unsigned n_warnings;
} Job;

/* One kind of job.  run returns 0, or a negative errno with the reason; *ret_result (may stay NULL)
 * is what a request that is no task answers. */
typedef struct JobType {
	const char *name;
	int (*run)(Job *job, json_t **ret_result, GError **err);
} JobType;

/* Each folder's jobs, ended by an entry without name; atoll-worker knows them all. */
extern const JobType ct_jobs[];

/* A line of the task's log. */
void job_log(Job *job, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "WARN: …", counted for the task's last line. */
void job_warn(Job *job, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A parameter as text, NULL when not given; as boolean or number with fallback. */
const char *job_param(const Job *job, const char *name);
bool job_param_boolean(const Job *job, const char *name, bool fallback);
long long job_param_integer(const Job *job, const char *name, long long fallback);
