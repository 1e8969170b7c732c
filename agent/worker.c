/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "agent/api/tasklog.h"
#include "agent/api/upid.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"

/* Written by the handler of SIGTERM, therefore not in any object. */
static volatile sig_atomic_t worker_aborted;

static void worker_on_sigterm(int number)
{
	worker_aborted = 1;
}

/* A handler and not SIG_IGN, which the programs that the job runs would inherit. */
static void worker_on_sigpipe(int number)
{
}

static void worker_catch_signals(void)
{
	/* Without SA_RESTART: what the job waits in is interrupted. */
	struct sigaction on_term = {.sa_handler = worker_on_sigterm};
	/* Who reads our output may go away at any time; the write then fails. */
	struct sigaction on_pipe = {.sa_handler = worker_on_sigpipe, .sa_flags = SA_RESTART};

	assert(sigaction(SIGTERM, &on_term, NULL) == 0);
	assert(sigaction(SIGPIPE, &on_pipe, NULL) == 0);
}

/* Reads the job to the end of file.  No job at all (-ENODATA) means that the agent died before it
 * sent one: nothing has happened yet, and nothing will. */
static int worker_read_job(int fd, json_t **ret, GError **err)
{
	g_autoptr(GString) text = g_string_new(NULL);
	json_error_t error;
	char buffer[4096];
	json_t *root;

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, -errno, "cannot read the job");
		if (n == 0)
			break;
		if (text->len + (size_t)n > JOB_SIZE_MAX)
			return err_set(err, EFBIG, "job is larger than %u bytes", JOB_SIZE_MAX);
		g_string_append_len(text, buffer, n);
	}
	if (text->len == 0)
		return err_set(err, ENODATA, "there is no job");

	root = json_loadb(text->str, text->len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_set(err, EINVAL, "job is not JSON: %s", error.text);

	*ret = root;
	return 0;
}

/* Points standard output and error at the task's log, which the agent has made. */
static int worker_open_log(const char *upid, int *ret_fd, GError **err)
{
	g_autofree char *path = upid_dup_log_path(PATH_TASKS, upid);
	auto_close int fd = -1;
	int r;

	if (!path)
		return err_set(err, EINVAL, "'%s' is not a UPID", upid);

	fd = RET_ERRNO(open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC));
	if (fd < 0)
		return err_set_errno(err, fd, "cannot open task log '%s'", path);
	r = RET_ERRNO(dup2(fd, STDOUT_FILENO));
	if (r >= 0)
		r = RET_ERRNO(dup2(fd, STDERR_FILENO));
	if (r < 0)
		return err_set_errno(err, r, "cannot redirect to task log '%s'", path);

	*ret_fd = fd_steal(&fd);
	return 0;
}

/* The last line of a task's log, which is how everybody learns the outcome. */
static void worker_end_log(int fd, const Job *job, int r, const GError *err)
{
	g_autofree char *line = NULL;

	if (r < 0)
		line = g_strdup_printf("TASK ERROR: %s", err->message);
	else if (job->n_warnings > 0)
		line = g_strdup_printf("TASK WARNINGS: %u", job->n_warnings);
	else
		line = g_strdup("TASK OK");

	/* When it cannot be written (disk full) the agent sees a task without end. */
	(void)tasklog_finish(fd, line);
}

/* The answer of a job that is no task. */
static void worker_answer(int fd, const Job *job, int r, json_t *result, const GError *err)
{
	json_auto_t *answer = NULL;
	g_autofree char *text = NULL;

	if (r < 0)
		answer = json_pack("{s:s, s:i}", "error", err->message, "errno", -r);
	else
		answer = json_pack("{s:O?, s:O}", "data", result, "warnings", job->warnings);
	assert(answer);

	text = json_dumps(answer, JSON_COMPACT);
	assert(text);
	/* When nobody reads the answer any more there is nobody to tell either. */
	(void)file_write_all(fd, text, strlen(text));
}

static int worker_run_job(Job *job, const JobType *const *tables, json_t **ret_result, GError **err)
{
	const JobType *type = job_type_find(tables, job->type);
	int r;

	if (!type)
		return err_set(err, ENOSYS, "this worker knows no job '%s'", job->type);

	r = type->run(job, ret_result, err);
	assert(r <= 0);
	assert(r == 0 || !err || *err);
	/* What the job waited in has failed by the signal; why that was sent says more. */
	if (r == -EINTR && job_aborted(job)) {
		g_clear_error(err);
		return job_abort_error(job, err);
	}
	return r;
}

static int worker_task(Job *job, const JobType *const *tables)
{
	g_autoptr(GError) err = NULL;
	json_auto_t *result = NULL;
	auto_close int log_fd = -1;
	int r;

	r = worker_open_log(job->upid, &log_fd, &err);
	if (r < 0) {
		log_err("Cannot start task: %s", err->message);
		return 1;
	}

	r = worker_run_job(job, tables, &result, &err);
	worker_end_log(log_fd, job, r, err);
	return r < 0 ? 1 : 0;
}

/* fd: where the answer goes. */
static int worker_request(Job *job, const JobType *const *tables, int fd)
{
	g_autoptr(GError) err = NULL;
	json_auto_t *warnings = json_array();
	json_auto_t *result = NULL;
	int r;

	job->warnings = warnings;
	r = worker_run_job(job, tables, &result, &err);
	worker_answer(fd, job, r, result, err);
	return r < 0 ? 1 : 0;
}

/* The descriptor in --stream=FD; -1 without arguments, -EINVAL for anything else. */
static int worker_stream_fd(int argc, char **argv)
{
	guint64 fd;

	if (argc == 1)
		return -1;
	if (argc != 2 || !g_str_has_prefix(argv[1], "--stream=") ||
		!g_ascii_string_to_unsigned(argv[1] + strlen("--stream="), 10, 3, 65535, &fd, NULL))
		return -EINVAL;
	return (int)fd;
}

/* Keeps the way for the answer apart: what a library or a program prints must not get into it. */
static int worker_keep_answer_fd(int stream_fd, int *ret_fd)
{
	auto_close int fd = -1;

	if (stream_fd >= 0) {
		if (fcntl(stream_fd, F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
		/* Our session is new; the terminal that the agent made becomes its own. */
		if (isatty(STDIN_FILENO))
			(void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
		*ret_fd = stream_fd;
		return 0;
	}

	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int worker_main(int argc, char **argv, const JobType *const *tables)
{
	int stream_fd = worker_stream_fd(argc, argv);
	auto_close int answer_fd = -1;
	g_autoptr(GError) err = NULL;
	json_auto_t *root = NULL;
	Job job;
	int r;

	assert(tables);

	if (stream_fd == -EINVAL) {
		fprintf(stderr, "usage: %s [--stream=FD] (started by atolld)\n", argv[0]);
		return 2;
	}
	log_open("atoll-worker", LOG_TARGET_STDERR);
	worker_catch_signals();

	r = worker_read_job(stream_fd >= 0 ? stream_fd : STDIN_FILENO, &root, &err);
	if (r >= 0)
		r = job_from_json(root, &job, &err);
	if (r < 0) {
		if (r != -ENODATA)
			log_err("Worker has nothing to do: %s", err->message);
		return 2;
	}
	job.aborted = &worker_aborted;

	if (job.upid)
		return worker_task(&job, tables);
	if (worker_keep_answer_fd(stream_fd, &answer_fd) < 0)
		return 2;
	return worker_request(&job, tables, answer_fd);
}
