/* SPDX-License-Identifier: Apache-2.0 */

/* A worker whose jobs do what a test of the agent needs: say something, fail, hang, die.  The frame
 * around them (agent/worker.h) is the real one.  What `vzstart` does is chosen by the container's id. */

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "agent/worker.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/process.h"

enum {
	VMID_OK = 100,
	VMID_WARNING,
	VMID_ERROR,
	VMID_HANG,    /* Until it is aborted, or the file /run/go is there. */
	VMID_DIE,     /* By a signal. */
	VMID_UNENDED, /* Leaves a line unfinished. */
	VMID_CHATTY,
	VMID_CUT_SHORT, /* Fails in what a signal interrupts. */
};

static int hang(Job *job, GError **err)
{
	job_log(job, "waiting");
	while (access("/run/go", F_OK) < 0) {
		if (job_aborted(job))
			return job_abort_error(job, err);
		g_usleep(10000);
	}
	return 0;
}

static int run_start(Job *job, json_t **ret_result, GError **err)
{
	switch (job->vmid) {
	case VMID_WARNING:
		job_warn(job, "one");
		job_warn(job, "two");
		return 0;
	case VMID_ERROR:
		job_log(job, "trying");
		return err_set(err, EIO, "first line\nsecond line");
	case VMID_HANG:
		return hang(job, err);
	case VMID_CUT_SHORT:
		job_log(job, "waiting");
		while (!job_aborted(job))
			g_usleep(10000);
		return err_set_errno(err, -EINTR, "cannot wait");
	case VMID_DIE:
		job_log(job, "dying");
		(void)raise(SIGKILL);
		return 0;
	case VMID_UNENDED:
		(void)!write(STDOUT_FILENO, "no newline", 10);
		return 0;
	case VMID_CHATTY:
		for (int i = 1; i <= 3000; i++)
			job_log(job, "line %d", i);
		return 0;
	default:
		job_log(job, "user %s node %s debug %d", job->user, job->node,
			job_param_boolean(job, "debug", false));
		return 0;
	}
}

/* Shows what a command made of its arguments, secrets too, each value on one line as C would write
 * it. */
static int run_create(Job *job, json_t **ret_result, GError **err)
{
	const char *name;
	json_t *value;

	json_object_foreach(job->params, name, value) {
		g_autofree char *text = g_strescape(json_string_value(value), NULL);

		job_log(job, "%s=%s", name, text);
	}
	return 0;
}

static int run_recover(Job *job, json_t **ret_result, GError **err)
{
	job_log(job, "recover %u after %s (%s)", job->vmid, job_param(job, "type") ?: "unknown",
		job_param(job, "upid") ?: "unknown");
	return 0;
}

static int run_nothing(Job *job, json_t **ret_result, GError **err)
{
	return 0;
}

static int run_set(Job *job, json_t **ret_result, GError **err)
{
	if (job_param_integer(job, "memory", 0) == 666)
		return err_set(err, EBUSY, "CT is locked (test)");
	if (job_param_integer(job, "memory", 0) == 665)
		return err_set(err, EINVAL,
			JOB_BAD_PARAMETERS "\nmemory: too evil\ntty: not: here\nno reason");
	if (job_param_integer(job, "memory", 0) == 667)
		(void)raise(SIGKILL);
	job_warn(job, "not all is well");
	printf("this must not get into the answer\n");
	(void)fflush(stdout);
	*ret_result = json_incref(job->params);
	return 0;
}

/* The caller's command, on the stream's descriptors. */
static int run_exec(Job *job, json_t **ret_result, GError **err)
{
	json_auto_t *command = json_loads(job_param(job, "command"), 0, NULL);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	ProcessSpec spec;
	json_t *word;
	size_t i;
	int status, r;
	pid_t pid;

	json_array_foreach(command, i, word)
		g_ptr_array_add(argv, (void *)json_string_value(word));
	g_ptr_array_add(argv, NULL);

	spec = process_spec((const char *const *)argv->pdata);
	spec.stdin_fd = STDIN_FILENO;
	spec.stdout_fd = STDOUT_FILENO;
	spec.stderr_fd = STDERR_FILENO;
	r = process_start(&spec, &pid, err);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0) {
		if (job_aborted(job)) {
			(void)kill(pid, SIGKILL);
			return job_abort_error(job, err);
		}
	}
	*ret_result =
		json_integer(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

static const JobType jobs[] = {
	{"exec", run_exec},
	{"recover", run_recover},
	{"set", run_set},
	{"startall", run_nothing},
	{"vzcreate", run_create},
	{"vzshutdown", run_start},
	{"vzstart", run_start},
	{"vzstop", run_nothing},
	{0},
};

int main(int argc, char **argv)
{
	static const JobType *const tables[] = {jobs, NULL};

	return worker_main(argc, argv, tables);
}
