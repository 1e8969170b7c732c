/* SPDX-License-Identifier: Apache-2.0 */

/* What clients ask over the IPC socket. */

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/service_internal.h"

/* What an answer has beside the content of a file. */
#define ANSWER_OVERHEAD 256

static void answer(
	Service *service, const IpcPeer *peer, const IpcRequest *request, IpcAnswer *made)
{
	made->type = request->type;
	made->number = request->number;
	ipc_server_answer(service->ipc, peer->client, made);
}

static void answer_result(
	Service *service, const IpcPeer *peer, const IpcRequest *request, int result)
{
	answer(service, peer, request, &(IpcAnswer){.result = result});
}

/* --- The tree --------------------------------------------------------------------------------- */

static bool add_name(const TreeNode *node, void *data)
{
	const char *name = tree_node_name(node);

	g_byte_array_append(data, (const uint8_t *)name, (guint)strlen(name) + 1);
	return ((GByteArray *)data)->len <= IPC_ANSWER_MAX;
}

static void on_read(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	const Tree *tree = replica_tree(service->replica);
	const TreeNode *node = tree_by_path(tree, request->read.path);
	g_autoptr(GByteArray) names = g_byte_array_new();
	IpcAnswer made = {.result = 0};

	if (!peer->may_change && tree_path_is_private(request->read.path)) {
		answer_result(service, peer, request, -EACCES);
		return;
	}
	if (!node) {
		answer_result(service, peer, request, -ENOENT);
		return;
	}
	made.read.inode = tree_node_inode(node);
	made.read.version = tree_node_version(node);
	made.read.mtime_s = tree_node_mtime_s(node);
	made.read.directory = tree_node_is_directory(node);
	if (made.read.directory) {
		tree_each_child(tree, made.read.inode, NULL, add_name, names);
		made.read.bytes = names->data;
		made.read.size = names->len;
	} else {
		made.read.bytes = g_bytes_get_data(tree_node_data(node), &made.read.size);
	}
	if (made.read.size > IPC_ANSWER_MAX - ANSWER_OVERHEAD)
		answer_result(service, peer, request, -EFBIG);
	else
		answer(service, peer, request, &made);
}

/* A change that a client waits for, perhaps gone meanwhile. */
typedef struct IpcChange {
	ChangeToken token; /* First. */
	Service *service;
	IpcPeer peer;
	IpcRequest request; /* Type and number. */
} IpcChange;

static void change_answer(ChangeToken *token, int result)
{
	IpcChange *change = (IpcChange *)token;
	Service *service = change->service;
	IpcAnswer made = {.result = result};

	made.change.version = tree_version(replica_tree(service->replica));
	answer(service, &change->peer, &change->request, &made);
	g_free(change);
}

/* Takes op. */
static void submit(Service *service, const IpcPeer *peer, const IpcRequest *request, Op *op)
{
	IpcChange *change = g_new0(IpcChange, 1);
	int r;

	change->token.answer = change_answer;
	change->service = service;
	change->peer = *peer;
	change->request.type = request->type;
	change->request.number = request->number;
	r = service_submit(service, op, &change->token);
	if (r < 0) {
		(void)op_free(op);
		change_answer(&change->token, r);
	}
}

/* What the file system would not take either. */
static int check_change(const Op *op)
{
	int r = op_check(op);

	if (r == 0 && (op->type == OP_LOCK || op->takeover.token != 0))
		r = -EINVAL;
	if (r == 0 && (storefs_path_is_made(op->path) ||
			      (op->target && storefs_path_is_made(op->target))))
		r = -EPERM;
	for (unsigned i = 0; r == 0 && op->ops && i < op->ops->len; i++)
		r = check_change(g_ptr_array_index(op->ops, i));
	return r;
}

static void on_change(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	g_autoptr(Op) op = NULL;
	int r = op_decode(request->change.bytes, request->change.size, &op);

	if (r == -EBADMSG)
		r = -EINVAL;
	if (r == 0)
		r = check_change(op);
	if (r < 0)
		answer_result(service, peer, request, r);
	else
		submit(service, peer, request, g_steal_pointer(&op));
}

/* --- Barriers --------------------------------------------------------------------------------- */

/* A barrier is an entry of the log, and who only reads may ask for it.  So there is one at a time: all
 * who ask while it is under way share the next. */
typedef struct BarrierAsker {
	IpcPeer peer;
	IpcRequest request; /* Type and number. */
} BarrierAsker;

typedef struct Barrier {
	ChangeToken token; /* First. */
	Service *service;
	GArray *askers; /* Of BarrierAsker. */
} Barrier;

static void barrier_start(Service *service);

static void barrier_answer(ChangeToken *token, int result)
{
	Barrier *barrier = (Barrier *)token;
	Service *service = barrier->service;

	for (unsigned i = 0; i < barrier->askers->len; i++) {
		const BarrierAsker *asker = &g_array_index(barrier->askers, BarrierAsker, i);

		answer_result(service, &asker->peer, &asker->request, result);
	}
	g_array_unref(barrier->askers);
	g_free(barrier);
	service->barrier_runs = false;
	if (service->barrier_askers->len > 0)
		barrier_start(service);
}

static void barrier_start(Service *service)
{
	Barrier *barrier = g_new0(Barrier, 1);
	Op *op = op_new(OP_BARRIER, "");
	int r;

	barrier->token.answer = barrier_answer;
	barrier->service = service;
	barrier->askers = service->barrier_askers;
	service->barrier_askers = g_array_new(FALSE, FALSE, sizeof(BarrierAsker));
	service->barrier_runs = true;
	r = service_submit(service, op, &barrier->token);
	if (r < 0) {
		(void)op_free(op);
		barrier_answer(&barrier->token, r);
	}
}

static void on_barrier(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	const BarrierAsker asker = {
		.peer = *peer,
		.request = {.type = request->type, .number = request->number},
	};

	g_array_append_val(service->barrier_askers, asker);
	if (!service->barrier_runs)
		barrier_start(service);
}

/* --- State ------------------------------------------------------------------------------------ */

static void describe_node(
	const Service *service, const ReplicaStatus *status, const ClusterNode *from, IpcNode *ret)
{
	*ret = (IpcNode){
		.id = from->id,
		.online = beside_contains(service->online, from->id),
		.name = from->name,
	};
	for (unsigned i = 0; i < status->n_members; i++)
		if (status->members[i].node == from->id) {
			ret->in_store = true;
			ret->catching_up = status->members[i].catching_up;
		}
}

static void on_state(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	const GPtrArray *nodes = service->conf ? service->conf->nodes : NULL;
	IpcAnswer made = {.result = 0};
	IpcState *state = &made.state;
	ReplicaStatus status;

	replica_status(service->replica, &status);
	state->node = service->node;
	state->standalone = service->standalone;
	state->quorate = service->quorate;
	state->writable = replica_writable(service->replica) == 0;
	state->state = (uint8_t)status.state;
	state->need = status.need;
	state->epoch = status.epoch;
	state->commit = status.commit;
	state->version = tree_version(replica_tree(service->replica));
	state->n_nodes = nodes ? MIN(nodes->len, REPLICA_NODES_MAX) : 0;
	for (unsigned i = 0; i < state->n_nodes; i++)
		describe_node(service, &status, g_ptr_array_index(nodes, i), &state->nodes[i]);
	answer(service, peer, request, &made);
}

/* --- Status and cluster log ------------------------------------------------------------------- */

static void on_status_set(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	g_autoptr(GBytes) value = NULL;

	if (!request->status_set.remove)
		value = g_bytes_new(request->status_set.bytes, request->status_set.size);
	answer_result(service, peer, request,
		status_set(service->status, request->status_set.key, value));
}

static void on_status_get(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	IpcAnswer made = {.result = 0};
	StatusItem item;

	if (!status_get(
		    service->status, request->status_get.node, request->status_get.key, &item)) {
		answer_result(service, peer, request, -ENOENT);
		return;
	}
	made.status_get.version = item.version;
	made.status_get.bytes = g_bytes_get_data(item.value, &made.status_get.size);
	answer(service, peer, request, &made);
}

/* A list in the making. */
typedef struct Listing {
	uint32_t n;
	GByteArray *bytes;
} Listing;

static void answer_list(
	Service *service, const IpcPeer *peer, const IpcRequest *request, const Listing *listing)
{
	IpcAnswer made = {
		.status_list = {listing->n, listing->bytes->data, listing->bytes->len},
	};

	answer(service, peer, request, &made);
}

static bool add_key(const StatusItem *item, void *data)
{
	const IpcKey key = {
		.node = item->node,
		.version = item->version,
		.size = (uint32_t)g_bytes_get_size(item->value),
		.key = item->key,
	};
	Listing *listing = data;

	listing->n++;
	ipc_list_put_key(listing->bytes, &key);
	return true;
}

static void on_status_list(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	Listing listing = {.bytes = bytes};

	status_each(service->status, add_key, &listing);
	answer_list(service, peer, request, &listing);
}

static void on_log_write(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	ClusterLogEntry entry = request->log_write;

	entry.time_s = (uint64_t)clock_system()->wall_s(clock_system());
	entry.pid = (uint32_t)peer->pid;
	entry.host = service->node_name;
	answer_result(service, peer, request, clusterlog_write(service->log, &entry));
}

static bool add_log_entry(const ClusterLogEntry *entry, void *data)
{
	Listing *listing = data;

	listing->n++;
	ipc_list_put_entry(listing->bytes, entry);
	return true;
}

static void on_log_read(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	Listing listing = {.bytes = bytes};

	clusterlog_each(service->log, add_log_entry, &listing);
	answer_list(service, peer, request, &listing);
}

/* --- Events ----------------------------------------------------------------------------------- */

static void on_subscribe(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	EventFilter filter = request->subscribe;

	filter.secrets = peer->may_change;
	answer_result(service, peer, request,
		events_subscribe(service->events, peer->client, request->number, &filter));
}

static void on_unsubscribe(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	answer_result(service, peer, request,
		events_unsubscribe(service->events, peer->client, request->unsubscribe.number));
}

void service_ipc_deliver(void *data, uint64_t subscriber, uint64_t number, const Event *event)
{
	Service *service = data;

	if (service->ipc)
		ipc_server_event(
			service->ipc, subscriber, &(IpcEvent){.number = number, .event = *event});
}

/* --- The server ------------------------------------------------------------------------------- */

static void on_request(void *data, const IpcPeer *peer, const IpcRequest *request)
{
	static void (*const handlers[IPC_N_TYPES])(
		Service * service, const IpcPeer *peer, const IpcRequest *request) = {
		[IPC_READ] = on_read,
		[IPC_CHANGE] = on_change,
		[IPC_BARRIER] = on_barrier,
		[IPC_STATE] = on_state,
		[IPC_STATUS_SET] = on_status_set,
		[IPC_STATUS_GET] = on_status_get,
		[IPC_STATUS_LIST] = on_status_list,
		[IPC_SUBSCRIBE] = on_subscribe,
		[IPC_UNSUBSCRIBE] = on_unsubscribe,
		[IPC_LOG_WRITE] = on_log_write,
		[IPC_LOG_READ] = on_log_read,
		[IPC_LOCK] = service_ipc_lock,
		[IPC_RENEW] = service_ipc_lock,
		[IPC_UNLOCK] = service_ipc_lock,
		[IPC_CANCEL] = service_ipc_cancel,
	};

	handlers[request->type](data, peer, request);
}

static void on_gone(void *data, uint64_t client)
{
	Service *service = data;

	events_forget(service->events, client);
	service_ipc_locks_gone(service, client);
}

void service_ipc_stop(Service *service)
{
	service->ipc = ipc_server_free(service->ipc);
	if (service->barrier_askers)
		g_array_unref(service->barrier_askers);
	service->barrier_askers = NULL;
}

int service_ipc_start(Service *service, GError **err)
{
	const IpcHandler handler = {.data = service, .request = on_request, .gone = on_gone};

	if (!service->socket)
		return 0;
	service->barrier_askers = g_array_new(FALSE, FALSE, sizeof(BarrierAsker));
	return ipc_server_new(service->socket, &handler, &service->ipc, err);
}
