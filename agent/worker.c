/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

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

/* Without SA_RESTART: what the job waits in is interrupted. */
static void worker_catch_sigterm(void)
{
	struct sigaction action = {.sa_handler = worker_on_sigterm};
	sigset_t mask;

	assert(sigaction(SIGTERM, &action, NULL) == 0);

	/* The agent's loop may run with signals blocked, and we have inherited that. */
	sigemptyset(&mask);
	assert(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);

	/* Who reads our output may go away at any time; the write then fails. */
	assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
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
	struct stat st;
	char last = '\n';

	if (r < 0)
		line = g_strdup_printf("TASK ERROR: %s\n", err->message);
	else if (job->n_warnings > 0)
		line = g_strdup_printf("TASK WARNINGS: %u\n", job->n_warnings);
	else
		line = g_strdup("TASK OK\n");

	/* A reason of several lines must not hide which line is the last one. */
	g_strdelimit(line, "\n\r", ' ');
	line[strlen(line) - 1] = '\n';

	/* Programs run by the job share the log and may have left a line unfinished. */
	if (fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
		last != '\n')
		(void)file_write_all(fd, "\n", 1);
	(void)file_write_all(fd, line, strlen(line));
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

int worker_main(int argc, char **argv, const JobType *const *tables)
{
	bool is_stream = argc == 2 && str_equal(argv[1], "--stream");
	auto_close int answer_fd = -1;
	g_autoptr(GError) err = NULL;
	json_auto_t *root = NULL;
	Job job;
	int job_fd = is_stream ? JOB_STREAM_FD : STDIN_FILENO;
	int r;

	assert(tables);

	if (argc > 1 && !is_stream) {
		fprintf(stderr, "usage: %s [--stream] (started by atolld)\n", argv[0]);
		return 2;
	}
	log_open("atoll-worker", LOG_TARGET_STDERR);
	worker_catch_sigterm();

	r = worker_read_job(job_fd, &root, &err);
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

	/* Whatever a library or a program prints must not get into the answer. */
	answer_fd = fcntl(is_stream ? JOB_STREAM_FD : STDOUT_FILENO, F_DUPFD_CLOEXEC, 4);
	if (answer_fd < 0)
		return 2;
	if (is_stream) {
		(void)close(JOB_STREAM_FD);
		if (isatty(STDIN_FILENO))
			(void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	} else if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
		return 2;
	}
	return worker_request(&job, tables, answer_fd);
}
