/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job.h"

#include <stdarg.h>
#include <stdlib.h>

#include "agent/api/tasklog.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/schema.h"

const JobType *job_type_find(const JobType *const *tables, const char *name)
{
	assert(tables);
	assert(name);

	for (; *tables; tables++) {
		for (const JobType *type = *tables; type->name; type++) {
			if (str_equal(type->name, name))
				return type;
		}
	}
	return NULL;
}

int job_from_json(json_t *root, Job *ret_job, GError **err)
{
	Job job = {0};
	json_error_t error;
	int vmid = 0;

	assert(root);
	assert(ret_job);

	if (json_unpack_ex(root, &error, 0, "{s:s, s?i, s:s, s:s, s?s, s:o}", "type", &job.type,
		    "vmid", &vmid, "node", &job.node, "user", &job.user, "upid", &job.upid,
		    "params", &job.params) < 0)
		return err_set(err, EINVAL, "job is not understood: %s", error.text);
	if (vmid < 0 || !json_is_object(job.params))
		return err_set(err, EINVAL, "job is not understood: wrong vmid or params");

	job.vmid = (unsigned)vmid;
	*ret_job = job;
	return 0;
}

/* One write a line, straight to the descriptor: lines of the worker and of the programs that it
 * runs then keep their order, and none is lost in a buffer when the worker is killed. */
static void job_log_line(const char *prefix, const char *text)
{
	g_autofree char *line = g_strconcat(prefix, text, "\n", NULL);

	/* A log that cannot be written (disk full) must not stop the work. */
	(void)file_write_all(STDERR_FILENO, line, strlen(line));
}

void job_log(Job *job, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list ap;

	assert(job);
	assert(format);

	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	tasklog_clean(text);
	job_log_line("", text);
}

void job_warn(Job *job, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list ap;

	assert(job);
	assert(format);

	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	tasklog_clean(text);

	job->n_warnings++;
	if (job->warnings)
		json_array_append_new(job->warnings, json_string(text));
	else
		job_log_line("WARN: ", text);
}

void job_warn_all(Job *job, const GPtrArray *warnings)
{
	assert(job && warnings);

	for (unsigned i = 0; i < warnings->len; i++)
		job_warn(job, "%s", (const char *)warnings->pdata[i]);
}

bool job_aborted(const Job *job)
{
	assert(job);

	return job->aborted && *job->aborted;
}

int job_abort_error(const Job *job, GError **err)
{
	assert(job_aborted(job));

	return err_set(err, ECANCELED, "aborted on request");
}

const char *job_param(const Job *job, const char *name)
{
	assert(job);
	assert(name);

	return json_string_value(json_object_get(job->params, name));
}

bool job_param_boolean(const Job *job, const char *name, bool fallback)
{
	const char *text = job_param(job, name);
	int value;

	if (!text)
		return fallback;
	value = schema_parse_boolean(text);
	return value < 0 ? fallback : value != 0;
}

long long job_param_integer(const Job *job, const char *name, long long fallback)
{
	const char *text = job_param(job, name);
	long long value;
	char *end;

	if (!text)
		return fallback;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno || end == text || *end ? fallback : value;
}
