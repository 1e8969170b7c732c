/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/client_call.h"

#include "base/err.h"
#include "base/macro.h"
#include "cfs/client_internal.h"

struct CfsCaller {
	GMainContext *context; /* Ours alone: nothing else runs while we wait. */
	CfsClient *client;
	unsigned timeout_ms;
	int refused;   /* Why the store does not let us in; 0: it does, or is not there. */
	bool answered; /* The call that waits. */
	bool timed_out;
	GBytes *bytes;  /* Of the last answer … */
	IpcReply reply; /* … which points into them. */
};

static void on_disconnected(void *data, int reason)
{
	CfsCaller *caller = data;

	if (reason == -EACCES || reason == -EUSERS)
		caller->refused = reason;
}

CfsCaller *cfs_caller_new(const char *socket_path, unsigned timeout_ms)
{
	CfsCaller *caller = g_new0(CfsCaller, 1);
	const CfsClientHandler handler = {.data = caller, .disconnected = on_disconnected};

	caller->context = g_main_context_new();
	caller->timeout_ms = timeout_ms;
	caller->client = cfs_client_new(socket_path, caller->context, &handler);
	return caller;
}

CfsCaller *cfs_caller_free(CfsCaller *caller)
{
	if (!caller)
		return NULL;

	caller->client = cfs_client_free(caller->client);
	g_main_context_unref(caller->context);
	if (caller->bytes)
		g_bytes_unref(caller->bytes);
	g_free(caller);
	return NULL;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static gboolean on_timeout(gpointer data)
{
	CfsCaller *caller = data;

	caller->timed_out = true;
	return G_SOURCE_REMOVE;
}

static bool is_connected_or_refused(const CfsCaller *caller)
{
	return cfs_client_is_connected(caller->client) || caller->refused < 0;
}

static bool is_answered(const CfsCaller *caller)
{
	return caller->answered;
}

/* Runs the connection until it is done, or the time of the call is over. */
static void run_until(CfsCaller *caller, bool (*is_done)(const CfsCaller *caller))
{
	while (!caller->timed_out && !is_done(caller))
		(void)g_main_context_iteration(caller->context, TRUE);
}

static void on_answer(void *data, const IpcAnswer *answer)
{
	CfsCaller *caller = data;
	const uint8_t *bytes;
	size_t size;
	int r;

	/* What it points to goes when we return, so it is made again in a place of our own. */
	if (caller->bytes)
		g_bytes_unref(caller->bytes);
	caller->bytes = ipc_encode_answer(answer);
	bytes = g_bytes_get_data(caller->bytes, &size);
	r = ipc_decode_reply(bytes, size, &caller->reply);
	assert(r == 0);
	caller->answered = true;
}

static int call_connected(CfsCaller *caller, const IpcRequest *request, GError **err)
{
	const char *what = ipc_type_to_string(request->type);
	int64_t number;

	run_until(caller, is_connected_or_refused);
	if (caller->refused < 0)
		return err_set_errno(err, caller->refused, "the store does not let us in");
	if (caller->timed_out)
		return err_set(err, ETIMEDOUT, "the store cannot be reached");
	number = cfs_client_send(caller->client, request, on_answer, caller);
	if (number < 0)
		return err_set_errno(err, (int)number, "cannot ask the store to %s", what);

	run_until(caller, is_answered);
	if (!caller->answered && request->type == IPC_LOCK)
		client_cancel_lock(caller->client, number);
	else if (!caller->answered)
		cfs_client_redirect(caller->client, number, NULL, NULL);
	if (!caller->answered)
		return err_set(err, ETIMEDOUT, "the store has not answered in time (%s)", what);
	if (caller->reply.answer.result < 0)
		return err_set_errno(
			err, caller->reply.answer.result, "the store refuses to %s", what);
	return 0;
}

/* What is under way when the time is over goes out before we return. */
static int call_within(
	CfsCaller *caller, const IpcRequest *request, unsigned timeout_ms, GError **err)
{
	GSource *timer = g_timeout_source_new(timeout_ms);
	int r;

	g_source_set_callback(timer, on_timeout, caller, NULL);
	(void)g_source_attach(timer, caller->context);
	caller->answered = false;
	caller->timed_out = false;
	caller->refused = 0;
	r = call_connected(caller, request, err);
	if (caller->timed_out)
		while (g_main_context_iteration(caller->context, FALSE))
			;
	g_source_destroy(timer);
	g_source_unref(timer);
	return r;
}

int cfs_call(CfsCaller *caller, const IpcRequest *request, const IpcAnswer **ret, GError **err)
{
	int r = call_within(caller, request, caller->timeout_ms, err);

	if (r == 0 && ret)
		*ret = &caller->reply.answer;
	return r;
}

/* --- Requests --------------------------------------------------------------------------------- */

int cfs_call_read(CfsCaller *caller, const char *path, IpcEntry *ret, GError **err)
{
	IpcRequest request = {.type = IPC_READ};
	const IpcAnswer *answer;
	int r;

	request.read.path = path;
	r = cfs_call(caller, &request, &answer, err);
	if (r == 0)
		*ret = answer->read;
	return r;
}

int cfs_call_change(CfsCaller *caller, const Op *op, uint64_t *ret_version, GError **err)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	IpcRequest request = {.type = IPC_CHANGE};
	const IpcAnswer *answer;
	int r = op_check(op);

	if (r < 0)
		return err_set_errno(err, r, "this is no change of the store");
	op_encode(op, bytes);
	request.change.bytes = bytes->data;
	request.change.size = bytes->len;
	r = cfs_call(caller, &request, &answer, err);
	if (r == 0 && ret_version)
		*ret_version = answer->change.version;
	return r;
}

int cfs_call_barrier(CfsCaller *caller, GError **err)
{
	const IpcRequest request = {.type = IPC_BARRIER};

	return cfs_call(caller, &request, NULL, err);
}

int cfs_call_state(CfsCaller *caller, const IpcState **ret, GError **err)
{
	const IpcRequest request = {.type = IPC_STATE};
	const IpcAnswer *answer;
	int r = cfs_call(caller, &request, &answer, err);

	if (r == 0)
		*ret = &answer->state;
	return r;
}

int cfs_call_status_set(CfsCaller *caller, const char *key, GBytes *value, GError **err)
{
	IpcRequest request = {.type = IPC_STATUS_SET};

	request.status_set.key = key;
	request.status_set.remove = !value;
	if (value)
		request.status_set.bytes = g_bytes_get_data(value, &request.status_set.size);
	return cfs_call(caller, &request, NULL, err);
}

int cfs_call_log(CfsCaller *caller, int priority, const char *user, const char *tag,
	const char *message, GError **err)
{
	const IpcRequest request = {
		.type = IPC_LOG_WRITE,
		.log_write =
			{
				.priority = (uint8_t)priority,
				.host = "",
				.user = user,
				.tag = tag,
				.message = message,
			},
	};

	return cfs_call(caller, &request, NULL, err);
}

int cfs_call_lock(CfsCaller *caller, const CfsTake *take, uint64_t *ret_token,
	int64_t *ret_until_ms, GError **err)
{
	IpcRequest request = {.type = IPC_LOCK};
	int r;

	request.lock.name = take->name;
	request.lock.owner = take->owner;
	request.lock.ttl_s = take->ttl_s;
	request.lock.wait = take->wait_ms > 0;
	r = call_within(caller, &request, caller->timeout_ms + take->wait_ms, err);
	if (r == 0) {
		*ret_token = caller->reply.answer.lock.token;
		*ret_until_ms = caller->reply.answer.lock.until_ms;
	}
	return r;
}

int cfs_call_renew(CfsCaller *caller, uint64_t token, int64_t *ret_until_ms, GError **err)
{
	IpcRequest request = {.type = IPC_RENEW};
	const IpcAnswer *answer;
	int r;

	request.renew.token = token;
	r = cfs_call(caller, &request, &answer, err);
	if (r == 0)
		*ret_until_ms = answer->renew.until_ms;
	return r;
}

int cfs_call_unlock(CfsCaller *caller, uint64_t token, GError **err)
{
	IpcRequest request = {.type = IPC_UNLOCK};

	request.unlock.token = token;
	return cfs_call(caller, &request, NULL, err);
}
