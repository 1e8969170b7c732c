/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/api.h"

#include <string.h>

#include "agent/api/call.h"
#include "agent/api/clusterview.h"
#include "agent/api/params.h"
#include "agent/api/recovery.h"
#include "agent/api/router.h"
#include "agent/api/stream.h"
#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"

/* --- answers ---------------------------------------------------------------------------------- */

unsigned api_status(int r)
{
	switch (-r) {
	case 0:
		return 200;
	case EINVAL:
	case E2BIG:
		return 400;
	case EPERM:
	case EACCES:
		return 403;
	case ENOENT:
	case ESRCH:
		return 404;
	case ENOSYS:
	case EOPNOTSUPP:
		return 501;
	case EHOSTUNREACH:
		return 595; /* What this API's clients know as "the other node cannot be asked". */
	default:
		return 500;
	}
}

static void answer_error(ServerRequest *request, int r, const char *message, json_t *errors)
{
	json_auto_t *body = json_pack(
		"{s:n, s:s, s:i, s:O*}", "data", "message", message, "errno", -r, "errors", errors);

	assert(r < 0);
	assert(body);
	server_request_answer(request, api_status(r), body);
}

/* A job that refuses parameters says so in lines: the reasons by parameter, owned by the caller; NULL
 * when the message is about something else. */
static json_t *errors_of_job(const char *message)
{
	g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
	json_t *errors;

	if (!str_equal(lines[0], JOB_BAD_PARAMETERS))
		return NULL;

	errors = json_object();
	for (char **line = lines + 1; *line; line++) {
		char *reason = strstr(*line, ": ");

		if (!reason)
			continue;
		*reason = '\0';
		(void)json_object_set_new(errors, *line, json_string(reason + 2));
	}
	return errors;
}

static void call_free(ApiCall *call)
{
	json_decref(call->params);
	json_decref(call->extra);
	g_free(call);
}

void api_call_finish(ApiCall *call, int r, json_t *data, const GError *err)
{
	assert(call);

	if (r < 0) {
		const char *message = err ? err->message : g_strerror(-r);
		json_auto_t *errors = errors_of_job(message);

		answer_error(call->request, r, errors ? JOB_BAD_PARAMETERS : message, errors);
	} else {
		json_auto_t *body = json_pack("{s:O?}", "data", data);

		assert(body);
		if (call->extra)
			json_object_update(body, call->extra);
		server_request_answer(call->request, 200, body);
	}
	call_free(call);
}

/* --- parameters ------------------------------------------------------------------------------- */

const char *api_param(const ApiCall *call, const char *name)
{
	return json_string_value(json_object_get(call->params, name));
}

bool api_param_boolean(const ApiCall *call, const char *name, bool fallback)
{
	const char *text = api_param(call, name);

	return text ? str_equal(text, "1") : fallback;
}

int64_t api_param_integer(const ApiCall *call, const char *name, int64_t fallback)
{
	const char *text = api_param(call, name);

	return text ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

/* All parameters that came with the request, wherever they stood. */
static int request_read_params(ServerRequest *request, json_t *params, GError **err)
{
	const char *type = server_request_content_type(request);
	const char *query = server_request_query(request);
	size_t size;
	const char *body = server_request_body(request, &size);
	int r = 0;

	if (query)
		r = params_add_form(params, query, strlen(query), err);
	if (r < 0 || size == 0)
		return r;
	if (str_equal(type, "application/json"))
		return params_add_json(params, body, size, err);
	if (!type || str_equal(type, "application/x-www-form-urlencoded"))
		return params_add_form(params, body, size, err);
	return err_set(err, EINVAL, "content type '%.64s' is not understood", type);
}

/* What a worker gets: the container and the node are members of the job itself. */
static json_t *call_make_job(ApiCall *call)
{
	json_auto_t *params = json_copy(call->params);

	json_object_del(params, "node");
	json_object_del(params, "vmid");
	return json_pack("{s:s, s:i, s:s, s:s, s:O}", "type", call->method->job, "vmid",
		(int)call->vmid, "node", call->agent->node, "user",
		server_request_user(call->request), "params", params);
}

/* --- the four kinds --------------------------------------------------------------------------- */

static const ApiHandler *handler_find(const ApiMethod *method)
{
	static const ApiHandler *const tables[] = {
		api_cluster_handlers, api_ct_handlers, api_storage_handlers, api_task_handlers};

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		for (const ApiHandler *handler = tables[i]; handler->verb; handler++) {
			if (str_equal(handler->verb, method->verb) &&
				str_equal(handler->path, method->path))
				return handler;
		}
	}
	return NULL;
}

static void serve_read(ApiCall *call, const ApiHandler *handler)
{
	g_autoptr(GError) err = NULL;
	json_auto_t *data = NULL;
	int r = handler->run(call, &data, &err);

	assert(r >= 0 || err);
	if (r != API_LATER)
		api_call_finish(call, r, data, err);
}

static void on_worker_answer(int r, json_t *answer, const GError *err, void *data)
{
	ApiCall *call = data;
	json_t *warnings = json_object_get(answer, "warnings");

	call->agent->n_calls--;
	if (r == -EOWNERDEAD)
		recovery_start(call->agent, call->method->job, call->vmid, NULL);
	if (json_array_size(warnings) > 0)
		call->extra = json_pack("{s:O}", "warnings", warnings);
	api_call_finish(call, r, json_object_get(answer, "data"), err);
}

static int serve_worker(ApiCall *call, GError **err)
{
	json_auto_t *job = call_make_job(call);
	int r;

	if (call->agent->n_calls >= AGENT_CALLS_MAX)
		return err_set(err, EBUSY, "%u requests are being worked on, no more are allowed",
			call->agent->n_calls);

	r = call_start(call->agent->program, job, on_worker_answer, call, err);
	if (r < 0)
		return r;
	call->agent->n_calls++;
	return 0;
}

static int serve_task(ApiCall *call, GError **err)
{
	json_auto_t *job = call_make_job(call);
	TaskRequest request = {
		.type = call->method->job,
		.vmid = call->vmid,
		.user = server_request_user(call->request),
		.params = json_object_get(job, "params"),
	};
	g_autofree char *upid = NULL;
	json_auto_t *data = NULL;
	int r;

	/* Before the new task, which would wait for the lock that they hold. */
	if (api_param_boolean(call, "overrule-shutdown", false))
		task_set_abort(call->agent->tasks, "vzshutdown", call->vmid);

	r = task_start(call->agent->tasks, &request, &upid, err);
	if (r < 0)
		return r;
	data = json_string(upid);
	api_call_finish(call, 0, data, NULL);
	return 0;
}

static int serve_stream(ApiCall *call, GError **err)
{
	json_auto_t *job = call_make_job(call);
	int r;

	if (!server_request_wants_upgrade(call->request))
		return err_set(err, EINVAL, "this path answers WebSocket requests only");

	r = stream_start(call->agent, call->request, job, err);
	if (r < 0)
		return r;
	call_free(call);
	return 0;
}

/* --- dispatch --------------------------------------------------------------------------------- */

/* Whether the request is for this node, or may be answered here for another one. */
static int call_check_node(const ApiCall *call, const ApiHandler *handler, GError **err)
{
	const char *node = api_param(call, "node");
	json_auto_t *members = NULL;
	int r;

	if (!node || str_equal(node, call->agent->node))
		return 0;
	r = clusterview_load_members(&members, err);
	if (r < 0)
		return r;
	if (!json_object_get(json_object_get(members, "nodelist"), node))
		return err_set(err, ENOENT, "no such cluster node '%s'", node);
	if (handler && handler->any_node)
		return 0;
	return err_set(err, EHOSTUNREACH,
		"node '%s' is not this node; send the request to that node's own agent", node);
}

/* A container in the path must be there, on that node. */
static int call_check_container(const ApiCall *call, GError **err)
{
	const char *node = api_param(call, "node");
	g_autofree char *path = NULL;
	int r, found;

	if (!strstr(call->method->path, "{vmid}"))
		return 0;
	path = ct_file_path(&call->agent->store, node, call->vmid);
	found = RET_ERRNO(access(path, F_OK));
	if (found >= 0)
		return 0;
	r = ct_store_require(&call->agent->store, err);
	if (r < 0)
		return r;
	if (found == -ENOENT)
		return err_set(err, ENOENT,
			"configuration file 'nodes/%s/lxc/%u.conf' does not exist", node,
			call->vmid);
	return err_set_errno(err, found, "cannot read '%s'", path);
}

static int call_dispatch(ApiCall *call, GError **err)
{
	const ApiHandler *handler = NULL;
	int r;

	if (call->method->kind == API_READ) {
		handler = handler_find(call->method);
		assert(handler); /* Each such method of the table has one (test_methods). */
	}
	r = call_check_node(call, handler, err);
	if (r >= 0)
		r = call_check_container(call, err);
	if (r < 0)
		return r;

	switch (call->method->kind) {
	case API_READ:
		serve_read(call, handler);
		return 0;
	case API_WORKER:
		return serve_worker(call, err);
	case API_TASK:
		return serve_task(call, err);
	case API_STREAM:
		return serve_stream(call, err);
	}
	assert(false);
	return -ENOSYS;
}

/* The path below the prefix; NULL when it is elsewhere. */
static const char *request_api_path(ServerRequest *request)
{
	const char *path = server_request_path(request);

	return g_str_has_prefix(path, API_PREFIX "/") ? path + strlen(API_PREFIX) : NULL;
}

static int request_find_method(
	ServerRequest *request, ApiCall *call, json_t **ret_errors, GError **err)
{
	const char *path = request_api_path(request);
	json_auto_t *given = json_object();
	const char *vmid;
	int r;

	if (!path)
		return err_set(err, ENOENT, "path '%.200s' is not below " API_PREFIX,
			server_request_path(request));
	r = router_match(
		api_methods, server_request_verb(request), path, &call->method, &call->params, err);
	if (r < 0)
		return r;
	r = request_read_params(request, given, err);
	if (r < 0)
		return r;
	r = router_check(call->method, given, call->params, ret_errors, err);
	if (r < 0)
		return r;

	vmid = api_param(call, "vmid");
	call->vmid = vmid ? (unsigned)g_ascii_strtoull(vmid, NULL, 10) : 0;
	return 0;
}

void api_serve(ServerRequest *request, void *data)
{
	ApiCall *call = g_new0(ApiCall, 1);
	json_auto_t *errors = NULL;
	g_autoptr(GError) err = NULL;
	int r;

	call->agent = data;
	call->request = request;
	r = request_find_method(request, call, &errors, &err);
	if (r >= 0)
		r = call_dispatch(call, &err);
	if (r < 0) {
		answer_error(request, r, err ? err->message : g_strerror(-r), errors);
		call_free(call);
	}
}
