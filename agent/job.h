/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Jobs: the work of one API request, done by a process of its own (atoll-worker).
 *
 * The agent starts a worker with the job as one JSON object, ended by end of file:
 *
 *	{"type": "vzcreate", "vmid": 100, "node": "n1", "user": "root@pam",
 *	 "upid": "UPID:…" (a task; absent for a request that is answered at once),
 *	 "params": {"ostemplate": "local:vztmpl/x.tar.gz", …}}
 *
 * kind (agent/methods.h)  job comes on        1 and 2 are              answer goes to
 * API_TASK                0, a pipe           the task's log           last line of the log
 * API_WORKER              0, a pipe           the agent's 2            the agent's pipe
 * API_STREAM              --stream=FD,        the client's terminal or that socket
 *                         a socket            pipes, 0 too
 *
 * A task's log is opened and ended by the worker itself (`TASK OK`, `TASK WARNINGS: N`, `TASK
 * ERROR: text`), so that it is complete even when the agent was restarted meanwhile.  The other two
 * kinds answer {"data": …, "warnings": […]} or {"error": "…", "errno": N}. */

#include <signal.h>
#include <stdbool.h>

#include <jansson.h>

#include <glib.h>

/* A job's JSON and its answer are at most this long. */
#define JOB_SIZE_MAX (1024 * 1024)

/* What is said of parameters that are wrong, by the agent itself or by a job that looks closer.  A job
 * (-EINVAL) adds a line "name: reason" for each, and the agent answers them as it does its own. */
#define JOB_BAD_PARAMETERS "Parameter verification failed."

typedef struct Job {
	const char *type;
	unsigned vmid; /* 0: about no container. */
	const char *node;
	const char *user;
	const char *upid; /* NULL: not a task. */
	json_t *params;   /* Object of strings, checked against the method's schema; borrowed.  The
			   * container and the node are not among them. */
	unsigned n_warnings;
	json_t *warnings; /* Array that keeps them for the answer; NULL: a task, they are in its
			     log. */
	const volatile sig_atomic_t *aborted; /* Not 0 once somebody asked to abort. */
} Job;

/* One kind of job.  run returns 0, or a negative errno with the reason; *ret_result (may stay NULL)
 * is what a request that is no task answers.  For a stream it is the integer exit status. */
typedef struct JobType {
	const char *name;
	int (*run)(Job *job, json_t **ret_result, GError **err);
} JobType;

/* Each folder's jobs, ended by an entry without name; atoll-worker knows them all. */
extern const JobType ct_jobs[];
extern const JobType storage_jobs[];

/* The type in a NULL-terminated array of such tables; NULL when there is none. */
const JobType *job_type_find(const JobType *const *tables, const char *name);

/* Reads what the agent sent into *job; its strings are borrowed from root, which the caller keeps.
 * -EINVAL with the reason when something is missing or of the wrong kind. */
int job_from_json(json_t *root, Job *ret_job, GError **err);

/* A line of the task's log. */
void job_log(Job *job, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "WARN: …", counted for the task's last line. */
void job_warn(Job *job, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The same for each sentence (char *) of warnings. */
void job_warn_all(Job *job, const GPtrArray *warnings);

/* Whether the work should be given up.  Long work asks between its steps, cleans up and fails with
 * job_abort_error(); a signal has then already interrupted what it waited in (EINTR).  Work that
 * does not listen is killed ten seconds later, and cleaned up by job `recover`. */
bool job_aborted(const Job *job);

/* Sets the reason and returns -ECANCELED. */
int job_abort_error(const Job *job, GError **err);

/* A parameter as text, NULL when not given; as boolean or number with fallback. */
const char *job_param(const Job *job, const char *name);
bool job_param_boolean(const Job *job, const char *name, bool fallback);
long long job_param_integer(const Job *job, const char *name, long long fallback);
