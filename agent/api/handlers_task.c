/* SPDX-License-Identifier: Apache-2.0 */

/* Answers about tasks, from the set of running ones and the files of those that have ended. */

#include "agent/api/api.h"
#include "agent/api/tasklog.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/paths.h"

/* A waiting request is answered after this time at the latest, so that a client behind something that
 * gives up on silent connections is safe; it then asks again. */
#define WAIT_MS 30000

/* --- list ------------------------------------------------------------------------------------- */

typedef struct Filter {
	const char *type; /* NULL: any. */
	unsigned vmid;    /* 0: any. */
	bool errors;      /* Only those that failed. */
	int64_t skip;
	int64_t limit;
} Filter;

static json_t *task_view(const Upid *upid, const char *text)
{
	json_t *view = json_pack("{s:s, s:s, s:i, s:I, s:I, s:s, s:s, s:s}", "upid", text, "node",
		upid->node, "pid", (int)upid->pid, "pstart", (json_int_t)upid->pid_start_ticks,
		"starttime", (json_int_t)upid->start_s, "type", upid->type, "id", upid->id, "user",
		upid->user);

	assert(view);
	return view;
}

static bool status_is_error(const char *status)
{
	return !str_equal(status, "OK") && !g_str_has_prefix(status, "WARNINGS: ");
}

/* Adds the task if it passes.  status NULL: it runs. */
static void list_add(
	json_t *list, Filter *filter, const char *text, const char *status, int64_t end_s)
{
	g_autoptr(Upid) upid = NULL;
	json_t *view;

	if (upid_parse(text, &upid, NULL) < 0 ||
		(filter->type && !str_equal(filter->type, upid->type)) ||
		(filter->vmid && filter->vmid != upid_vmid(upid)) ||
		(filter->errors && (!status || !status_is_error(status))))
		return;
	if (filter->skip > 0) {
		filter->skip--;
		return;
	}
	if ((int64_t)json_array_size(list) >= filter->limit)
		return;

	view = task_view(upid, text);
	if (status) {
		json_object_set_new(view, "status", json_string(status));
		json_object_set_new(view, "endtime", json_integer(end_s));
	}
	json_array_append_new(list, view);
}

static int get_tasks(ApiCall *call, json_t **ret_data, GError **err)
{
	const char *source = api_param(call, "source") ?: "archive";
	Filter filter = {
		.type = api_param(call, "typefilter"),
		.vmid = call->vmid,
		.errors = api_param_boolean(call, "errors", false),
		.skip = api_param_integer(call, "start", 0),
		.limit = api_param_integer(call, "limit", 50),
	};
	json_t *list = json_array();

	if (!str_equal(source, "archive")) {
		g_autoptr(GPtrArray) running = task_set_list(call->agent->tasks);

		for (unsigned i = 0; i < running->len; i++)
			list_add(list, &filter, running->pdata[i], NULL, 0);
	}
	if (!str_equal(source, "active")) {
		g_autoptr(GPtrArray) records = tasklog_read_index(PATH_TASKS);

		for (unsigned i = 0; i < records->len; i++) {
			const TaskRecord *record = records->pdata[i];

			list_add(list, &filter, record->upid, record->status, record->end_s);
		}
	}
	*ret_data = list;
	return 0;
}

/* --- one task --------------------------------------------------------------------------------- */

/* The UPID of a request, of a task of the node that was asked. */
static int call_parse_upid(ApiCall *call, Upid **ret, GError **err)
{
	g_autoptr(Upid) upid = NULL;
	int r = upid_parse(api_param(call, "upid"), &upid, err);

	if (r < 0)
		return r;
	if (!str_equal(upid->node, api_param(call, "node")))
		return err_set(err, EINVAL, "task '%s' is not one of node '%s'",
			api_param(call, "upid"), api_param(call, "node"));
	*ret = g_steal_pointer(&upid);
	return 0;
}

/* Adds "status", and for a task that has ended "exitstatus" and "endtime". */
static int add_outcome(ApiCall *call, json_t *view, GError **err)
{
	const char *text = api_param(call, "upid");
	g_autofree char *status = NULL;
	int64_t end_s;
	int r;

	if (task_running(call->agent->tasks, text)) {
		json_object_set_new(view, "status", json_string("running"));
		return 0;
	}
	r = tasklog_outcome(PATH_TASKS, text, &status, &end_s);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "there is no task '%s'", text);
	if (r < 0 && r != -ENODATA)
		return err_set_errno(err, r, "cannot read the log of task '%s'", text);
	json_object_set_new(view, "status", json_string("stopped"));
	json_object_set_new(view, "exitstatus", json_string(r < 0 ? "unknown" : status));
	if (r >= 0)
		json_object_set_new(view, "endtime", json_integer(end_s));
	return 0;
}

static int get_status(ApiCall *call, json_t **ret_data, GError **err)
{
	g_autoptr(Upid) upid = NULL;
	json_auto_t *view = NULL;
	int r = call_parse_upid(call, &upid, err);

	if (r < 0)
		return r;
	view = task_view(upid, api_param(call, "upid"));
	r = add_outcome(call, view, err);
	if (r < 0)
		return r;
	*ret_data = g_steal_pointer(&view);
	return 0;
}

static int abort_task(ApiCall *call, json_t **ret_data, GError **err)
{
	g_autoptr(Upid) upid = NULL;
	int r = call_parse_upid(call, &upid, err);

	return r < 0 ? r : task_abort(call->agent->tasks, api_param(call, "upid"), err);
}

/* --- log -------------------------------------------------------------------------------------- */

/* The lines that there are, and beside "data": "total", "status", "exitstatus". */
static int read_log(ApiCall *call, json_t **ret_lines, GError **err)
{
	const char *text = api_param(call, "upid");
	uint64_t total;
	int r;

	r = tasklog_read(PATH_TASKS, text, (uint64_t)api_param_integer(call, "start", 0),
		(uint64_t)api_param_integer(call, "limit", 50),
		task_log_cursor(call->agent->tasks, text), ret_lines, &total);
	if (r == -ENOENT)
		return err_set(err, ENOENT, "there is no task '%s'", text);
	if (r < 0)
		return err_set_errno(err, r, "cannot read the log of task '%s'", text);

	json_decref(call->extra);
	call->extra = json_pack("{s:I}", "total", (json_int_t)total);
	return add_outcome(call, call->extra, err);
}

/* A request that waits for a line. */
typedef struct LogWait {
	ApiCall *call;
	unsigned watch;
	unsigned timeout;
} LogWait;

static void wait_end(LogWait *wait)
{
	g_autoptr(GError) err = NULL;
	json_auto_t *lines = NULL;
	int r = read_log(wait->call, &lines, &err);

	server_request_on_gone(wait->call->request, NULL, NULL);
	task_unwatch(wait->call->agent->tasks, wait->watch);
	if (wait->timeout)
		g_source_remove(wait->timeout);
	api_call_finish(wait->call, r, lines, err);
	g_free(wait);
}

static void wait_on_change(bool running, void *data)
{
	LogWait *wait = data;
	json_auto_t *lines = NULL;

	/* What was written need not have been a whole line. */
	if (running && read_log(wait->call, &lines, NULL) >= 0 && json_array_size(lines) == 0)
		return;
	wait_end(wait);
}

static gboolean wait_on_timeout(gpointer data)
{
	LogWait *wait = data;

	wait->timeout = 0;
	wait_end(wait);
	return G_SOURCE_REMOVE;
}

static void wait_on_gone(void *data)
{
	wait_end(data);
}

static int get_log(ApiCall *call, json_t **ret_data, GError **err)
{
	bool wants_wait = api_param_boolean(call, "wait", false);
	g_autoptr(Upid) upid = NULL;
	json_auto_t *lines = NULL;
	LogWait *wait = NULL;
	unsigned watch = 0;
	int r = call_parse_upid(call, &upid, err);

	if (r < 0)
		return r;
	/* The watch comes before the reading: no line can then be missed between the two. */
	if (wants_wait) {
		wait = g_new0(LogWait, 1);
		watch = task_watch(
			call->agent->tasks, api_param(call, "upid"), wait_on_change, wait);
	}
	r = read_log(call, &lines, err);
	if (r >= 0 && watch && json_array_size(lines) == 0) {
		wait->call = call;
		wait->watch = watch;
		wait->timeout = g_timeout_add(WAIT_MS, wait_on_timeout, wait);
		server_request_on_gone(call->request, wait_on_gone, wait);
		return API_LATER;
	}
	if (watch)
		task_unwatch(call->agent->tasks, watch);
	g_free(wait);
	*ret_data = g_steal_pointer(&lines);
	return r;
}

const ApiHandler api_task_handlers[] = {
	{"GET", "/nodes/{node}/tasks", get_tasks, false},
	{"DELETE", "/nodes/{node}/tasks/{upid}", abort_task, false},
	{"GET", "/nodes/{node}/tasks/{upid}/status", get_status, false},
	{"GET", "/nodes/{node}/tasks/{upid}/log", get_log, false},
	{0},
};
