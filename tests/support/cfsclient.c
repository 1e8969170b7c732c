/* SPDX-License-Identifier: Apache-2.0 */

/* The client library of the store from the command line, for tests:
 *
 *	cfsclient [--socket FILE] [--timeout MS] COMMAND
 *
 *	read PATH
 *	change JSON                        an operation, or an array of them as one transaction:
 *	                                   {"op": "create", "path": "a", "data": "x", "target": "b",
 *	                                    "absent": true, "version": 7}
 *	fill PATH SIZE                     creates a file of that many bytes
 *	barrier
 *	state
 *	status-set KEY [VALUE]             without a value: removes
 *	status-get NODE KEY
 *	status-list
 *	log-write PRIORITY TAG MESSAGE
 *	log-read
 *	lock NAME OWNER TTL WAIT_MS
 *	renew TOKEN
 *	unlock TOKEN
 *	watch KINDS EXACT TEXT             tells events, and of the connection, until the end of input
 *	hold NAME OWNER TTL                waits for a lock and keeps it until the end of input
 *
 * Prints JSON, one line each time; a failure is {"errno": N, "message": TEXT}. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib-unix.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/macro.h"
#include "cfs/client_call.h"

#define ARGUMENTS_MAX 4

typedef struct Probe {
	const char *socket;
	CfsCaller *caller;
	char **arguments;
} Probe;

/* Takes value. */
static void print_json(json_t *value)
{
	assert(value);
	(void)json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(value);
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* --- Calls ------------------------------------------------------------------------------------ */

static int do_read(const Probe *probe, json_t **ret, GError **err)
{
	IpcEntry entry;
	json_t *names;
	int r = cfs_call_read(probe->caller, probe->arguments[0], &entry, err);

	if (r < 0)
		return r;
	*ret = json_pack("{s:o, s:o, s:i, s:b, s:i}", "inode", number(entry.inode), "version",
		number(entry.version), "mtime", (int)entry.mtime_s, "directory", entry.directory,
		"size", (int)entry.size);
	if (!entry.directory) {
		(void)json_object_set_new(
			*ret, "content", json_stringn((const char *)entry.bytes, entry.size));
		return 0;
	}
	names = json_array();
	for (const char *at = (const char *)entry.bytes, *end = at + entry.size; at < end;
		at += strlen(at) + 1)
		(void)json_array_append_new(names, json_string(at));
	(void)json_object_set_new(*ret, "names", names);
	return 0;
}

static OpType type_of(const char *name)
{
	static const char *const names[OP_N_TYPES] = {
		[OP_CREATE] = "create",
		[OP_MKDIR] = "mkdir",
		[OP_WRITE] = "write",
		[OP_REPLACE] = "replace",
		[OP_TRUNCATE] = "truncate",
		[OP_RENAME] = "rename",
		[OP_UNLINK] = "unlink",
		[OP_RMDIR] = "rmdir",
		[OP_LOCK] = "lock",
	};

	for (OpType type = OP_INVALID + 1; type < OP_N_TYPES; type++)
		if (str_equal(names[type], name))
			return type;
	return OP_INVALID;
}

static Op *op_of(const json_t *from)
{
	const json_t *version = json_object_get(from, "version");
	const char *data = json_string_value(json_object_get(from, "data"));
	const char *target = json_string_value(json_object_get(from, "target"));
	Op *op;

	if (json_is_array(from)) {
		op = op_new(OP_TRANSACTION, "");
		for (size_t i = 0; i < json_array_size(from); i++)
			g_ptr_array_add(op->ops, op_of(json_array_get(from, i)));
		return op;
	}
	op = op_new(type_of(json_string_value(json_object_get(from, "op"))),
		json_string_value(json_object_get(from, "path")));
	op->mtime_s = (uint32_t)clock_system()->wall_s(clock_system());
	op->target = g_strdup(target);
	if (!data && op->type == OP_CREATE)
		data = "";
	if (data)
		op->data = g_bytes_new(data, strlen(data));
	if (version) {
		op->condition = OP_IF_VERSION;
		op->if_version = (uint64_t)json_integer_value(version);
	} else if (json_is_true(json_object_get(from, "absent"))) {
		op->condition = OP_IF_ABSENT;
	}
	return op;
}

static int do_change(const Probe *probe, json_t **ret, GError **err)
{
	json_auto_t *from = json_loads(probe->arguments[0], 0, NULL);
	g_autoptr(Op) op = op_of(from);
	uint64_t version;
	int r = cfs_call_change(probe->caller, op, &version, err);

	if (r == 0)
		*ret = json_pack("{s:o}", "version", number(version));
	return r;
}

static int do_fill(const Probe *probe, json_t **ret, GError **err)
{
	size_t size = strtoul(probe->arguments[1], NULL, 10);
	g_autoptr(Op) op = op_new(OP_CREATE, probe->arguments[0]);
	uint64_t version;
	int r;

	op->data = g_bytes_new_take(g_malloc0(size), size);
	r = cfs_call_change(probe->caller, op, &version, err);
	if (r == 0)
		*ret = json_pack("{s:o}", "version", number(version));
	return r;
}

static int do_barrier(const Probe *probe, json_t **ret, GError **err)
{
	*ret = json_object();
	return cfs_call_barrier(probe->caller, err);
}

static int do_state(const Probe *probe, json_t **ret, GError **err)
{
	const IpcState *state;
	json_t *nodes = json_object();
	int r = cfs_call_state(probe->caller, &state, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < state->n_nodes; i++) {
		const IpcNode *node = &state->nodes[i];

		(void)json_object_set_new(nodes, node->name,
			json_pack("{s:i, s:b, s:b, s:b}", "id", (int)node->id, "online",
				node->online, "in_store", node->in_store, "catching_up",
				node->catching_up));
	}
	*ret = json_pack("{s:i, s:b, s:b, s:b, s:s, s:i, s:o, s:o, s:o, s:o}", "node",
		(int)state->node, "standalone", state->standalone, "quorate", state->quorate,
		"writable", state->writable, "state", replica_state_to_string(state->state), "need",
		(int)state->need, "epoch", number(state->epoch), "commit", number(state->commit),
		"version", number(state->version), "nodes", nodes);
	return 0;
}

static int do_status_set(const Probe *probe, json_t **ret, GError **err)
{
	const char *text = probe->arguments[1];
	g_autoptr(GBytes) value = text ? g_bytes_new(text, strlen(text)) : NULL;

	*ret = json_object();
	return cfs_call_status_set(probe->caller, probe->arguments[0], value, err);
}

static int do_status_get(const Probe *probe, json_t **ret, GError **err)
{
	IpcRequest request = {.type = IPC_STATUS_GET};
	const IpcAnswer *answer;
	int r;

	request.status_get.node = (uint32_t)strtoul(probe->arguments[0], NULL, 10);
	request.status_get.key = probe->arguments[1];
	r = cfs_call(probe->caller, &request, &answer, err);
	if (r == 0)
		*ret = json_pack("{s:o, s:o}", "version", number(answer->status_get.version),
			"value",
			json_stringn(
				(const char *)answer->status_get.bytes, answer->status_get.size));
	return r;
}

static int do_status_list(const Probe *probe, json_t **ret, GError **err)
{
	const IpcRequest request = {.type = IPC_STATUS_LIST};
	const IpcAnswer *answer;
	IpcList list;
	IpcKey key;
	int r = cfs_call(probe->caller, &request, &answer, err);

	if (r < 0)
		return r;
	*ret = json_array();
	list = answer->status_list;
	while (ipc_list_next_key(&list, &key))
		(void)json_array_append_new(*ret,
			json_pack("{s:i, s:s, s:o, s:i}", "node", (int)key.node, "key", key.key,
				"version", number(key.version), "size", (int)key.size));
	return 0;
}

static int do_log_write(const Probe *probe, json_t **ret, GError **err)
{
	*ret = json_object();
	return cfs_call_log(probe->caller, (int)strtol(probe->arguments[0], NULL, 10), "root@pam",
		probe->arguments[1], probe->arguments[2], err);
}

static int do_log_read(const Probe *probe, json_t **ret, GError **err)
{
	const IpcRequest request = {.type = IPC_LOG_READ};
	const IpcAnswer *answer;
	ClusterLogEntry entry;
	IpcList list;
	int r = cfs_call(probe->caller, &request, &answer, err);

	if (r < 0)
		return r;
	*ret = json_array();
	list = answer->log_read;
	while (ipc_list_next_entry(&list, &entry))
		(void)json_array_append_new(
			*ret, json_pack("{s:s, s:s, s:s, s:s, s:i}", "node", entry.host, "user",
				      entry.user, "tag", entry.tag, "msg", entry.message, "pri",
				      (int)entry.priority));
	return 0;
}

static int do_lock(const Probe *probe, json_t **ret, GError **err)
{
	const CfsTake take = {
		.name = probe->arguments[0],
		.owner = probe->arguments[1],
		.ttl_s = (uint32_t)strtoul(probe->arguments[2], NULL, 10),
		.wait_ms = (unsigned)strtoul(probe->arguments[3], NULL, 10),
	};
	uint64_t token;
	int64_t until_ms;
	int r = cfs_call_lock(probe->caller, &take, &token, &until_ms, err);

	if (r == 0)
		*ret = json_pack("{s:o, s:I}", "token", number(token), "left_ms",
			(json_int_t)(until_ms - clock_system()->monotonic_ms(clock_system())));
	return r;
}

static int do_renew(const Probe *probe, json_t **ret, GError **err)
{
	int64_t until_ms;
	int r = cfs_call_renew(
		probe->caller, strtoull(probe->arguments[0], NULL, 10), &until_ms, err);

	if (r == 0)
		*ret = json_pack("{s:I}", "left_ms",
			(json_int_t)(until_ms - clock_system()->monotonic_ms(clock_system())));
	return r;
}

static int do_unlock(const Probe *probe, json_t **ret, GError **err)
{
	*ret = json_object();
	return cfs_call_unlock(probe->caller, strtoull(probe->arguments[0], NULL, 10), err);
}

/* --- Until the end of input ------------------------------------------------------------------- */

static void on_connected(void *data, bool may_change)
{
	print_json(json_pack("{s:s, s:b}", "event", "connected", "may_change", may_change));
}

static void on_disconnected(void *data, int reason)
{
	print_json(json_pack("{s:s, s:i}", "event", "disconnected", "errno", -reason));
}

static void on_event(void *data, const Event *event)
{
	print_json(json_pack("{s:s, s:i, s:i, s:o, s:b, s:s}", "event", "told", "kind",
		(int)event->kind, "node", (int)event->node, "version", number(event->version), "on",
		event->on, "text", event->text));
}

static void on_held(void *data, uint64_t token)
{
	print_json(json_pack("{s:s, s:o}", "event", "held", "token", number(token)));
}

static void on_lost(void *data, int reason)
{
	print_json(json_pack("{s:s, s:i}", "event", "lost", "errno", -reason));
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer data)
{
	char byte;

	if (read(fd, &byte, 1) > 0)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

static void run_to_end_of_input(void)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);

	(void)g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, loop);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
}

static CfsClient *new_client(const Probe *probe)
{
	const CfsClientHandler handler = {
		.connected = on_connected,
		.disconnected = on_disconnected,
	};

	return cfs_client_new(probe->socket, NULL, &handler);
}

static int do_watch(const Probe *probe, json_t **ret, GError **err)
{
	const EventFilter filter = {
		.kinds = (uint32_t)strtoul(probe->arguments[0], NULL, 10),
		.exact = str_equal(probe->arguments[1], "1"),
		.text = probe->arguments[2],
	};
	g_autoptr(CfsClient) client = new_client(probe);
	g_autoptr(CfsSubscription) subscription =
		cfs_client_subscribe(client, &filter, on_event, NULL);

	run_to_end_of_input();
	return 0;
}

static int do_hold(const Probe *probe, json_t **ret, GError **err)
{
	const CfsLockOptions options = {
		.name = probe->arguments[0],
		.owner = probe->arguments[1],
		.ttl_s = (uint32_t)strtoul(probe->arguments[2], NULL, 10),
		.held = on_held,
		.lost = on_lost,
	};
	g_autoptr(CfsClient) client = new_client(probe);
	CfsLock *lock = cfs_client_lock(client, &options);

	run_to_end_of_input();
	lock = cfs_lock_free(lock);
	/* What frees it goes out from the loop. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	return 0;
}

/* --- The command line ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int n_min, n_max; /* Arguments. */
	int (*run)(const Probe *probe, json_t **ret, GError **err);
} commands[] = {
	{"read", 1, 1, do_read},
	{"change", 1, 1, do_change},
	{"fill", 2, 2, do_fill},
	{"barrier", 0, 0, do_barrier},
	{"state", 0, 0, do_state},
	{"status-set", 1, 2, do_status_set},
	{"status-get", 2, 2, do_status_get},
	{"status-list", 0, 0, do_status_list},
	{"log-write", 3, 3, do_log_write},
	{"log-read", 0, 0, do_log_read},
	{"lock", 4, 4, do_lock},
	{"renew", 1, 1, do_renew},
	{"unlock", 1, 1, do_unlock},
	{"watch", 3, 3, do_watch},
	{"hold", 3, 3, do_hold},
};

static int run(const Probe *probe, const char *name, int n)
{
	g_autoptr(GError) err = NULL;
	json_t *result = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (!str_equal(commands[i].name, name) || n < commands[i].n_min ||
			n > commands[i].n_max)
			continue;
		if (commands[i].run(probe, &result, &err) < 0) {
			print_json(json_pack(
				"{s:i, s:s}", "errno", err->code, "message", err->message));
			json_decref(result);
			return EXIT_FAILURE;
		}
		if (result)
			print_json(result);
		return EXIT_SUCCESS;
	}
	(void)fprintf(stderr, "cfsclient: see the top of cfsclient.c\n");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	g_autofree char *socket = NULL;
	int timeout_ms = 10000;
	const GOptionEntry entries[] = {
		{"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket, "Of the store", "FILE"},
		{"timeout", 0, 0, G_OPTION_ARG_INT, &timeout_ms, "Of each call", "MS"},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
	g_autoptr(CfsCaller) caller = NULL;
	char *arguments[ARGUMENTS_MAX] = {0};
	Probe probe = {.arguments = arguments};

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, NULL) || argc < 2 ||
		argc - 2 > ARGUMENTS_MAX)
		return EXIT_FAILURE;
	for (int i = 2; i < argc; i++)
		arguments[i - 2] = argv[i];
	probe.socket = socket;
	probe.caller = caller = cfs_caller_new(socket, (unsigned)timeout_ms);
	return run(&probe, argv[1], argc - 2);
}
