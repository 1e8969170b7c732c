/* SPDX-License-Identifier: Apache-2.0 */

/* What goes beside the log: status, cluster log, and telling clients of events. */

#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/service_internal.h"

/* The first status version of a run: above those of earlier runs, for all that one of them may have
 * changed in a second. */
#define STATUS_VERSIONS_PER_S (UINT64_C(1) << 20)

static int beside_send(void *data, GBytes *message)
{
	Service *service = data;
	int r;

	if (!service->cluster)
		return 0;
	r = beside_flow_check(&service->beside_flow);
	if (r == 0)
		r = cluster_send(service->cluster, message);
	if (r == 0)
		beside_flow_sent(&service->beside_flow, g_bytes_get_size(message));
	return r;
}

static void on_status_changed(void *data, const StatusItem *item)
{
	Service *service = data;
	const Event event = {
		.kind = EVENT_STATUS,
		.node = item->node,
		.version = item->version,
		.on = item->value != NULL,
		.text = item->key,
	};

	events_publish(service->events, &event);
}

static void on_log_added(void *data)
{
	Service *service = data;
	const Event event = {.kind = EVENT_LOG, .text = ""};

	events_publish(service->events, &event);
}

void service_beside_start(Service *service)
{
	const BesideEnv env = {.data = service, .send = beside_send};
	const StatusOptions status = {
		.env = env,
		.node = service->node,
		.version = (uint64_t)service->start_time_s * STATUS_VERSIONS_PER_S,
		.changed = on_status_changed,
		.data = service,
	};
	const ClusterLogOptions log = {
		.env = env,
		.node = service->node,
		.boot = service->boot,
		.added = on_log_added,
		.data = service,
	};

	service->events = events_new(service_ipc_deliver, service);
	service->status = status_new(&status);
	service->log = clusterlog_new(&log);
}

void service_beside_stop(Service *service)
{
	service->status = status_free(service->status);
	service->log = clusterlog_free(service->log);
	service->events = events_free(service->events);
}

void service_beside_view_changed(Service *service, const uint32_t *nodes, unsigned n_nodes)
{
	service->beside_flow = (BesideFlow){0};
	status_view_changed(service->status, nodes, n_nodes);
	clusterlog_view_changed(service->log, nodes, n_nodes);
}

void service_beside_message(
	Service *service, unsigned type, uint32_t sender, const uint8_t *bytes, size_t size)
{
	int r = 0;

	/* Types of later versions are none of our business. */
	if (type == BESIDE_STATUS)
		r = status_message(service->status, sender, bytes, size);
	else if (type == BESIDE_LOG)
		r = clusterlog_message(service->log, bytes, size);
	if (r < 0 && !service->beside_complained) {
		log_warning_errno(
			r, "Ignoring a message of node %u that goes beside the log", sender);
		service->beside_complained = true;
	}
	if (sender != service->node)
		return;
	beside_flow_back(&service->beside_flow, size);
	service_beside_flush(service);
}

void service_beside_flush(Service *service)
{
	status_flush(service->status);
	clusterlog_flush(service->log);
}

void service_say(Service *service, int priority, const char *format, ...)
{
	g_autofree char *message = NULL;
	va_list arguments;
	int r;

	va_start(arguments, format);
	message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	r = clusterlog_write(
		service->log, &(ClusterLogEntry){
				      .time_s = (uint64_t)clock_system()->wall_s(clock_system()),
				      .priority = (uint8_t)priority,
				      .pid = (uint32_t)getpid(),
				      .host = service->node_name,
				      .user = "root",
				      .tag = "cfs",
				      .message = message,
			      });
	if (r < 0)
		log_warning_errno(r, "Cannot write to the cluster log");
}

/* --- Events ----------------------------------------------------------------------------------- */

static void publish_path(Service *service, uint64_t parent, const char *name, uint64_t version)
{
	g_autofree char *path = tree_dup_path_at(replica_tree(service->replica), parent, name);
	Event event = {.kind = EVENT_PATH, .version = version, .on = version != 0, .text = path};

	/* A directory that is gone has an event of its own. */
	if (!path)
		return;
	event.secret = tree_path_is_private(path);
	events_publish(service->events, &event);
}

void service_publish_changes(Service *service, const GPtrArray *changes)
{
	const Tree *tree = replica_tree(service->replica);

	if (!events_wanted(service->events, EVENT_PATH))
		return;
	for (unsigned i = 0; i < changes->len; i++) {
		const TreeChange *change = g_ptr_array_index(changes, i);
		const TreeNode *node = tree_by_inode(tree, change->inode);

		if (change->inode == TREE_ROOT_INODE)
			continue;
		if (change->old_name)
			publish_path(service, change->old_parent, change->old_name, 0);
		publish_path(service, change->parent, change->name,
			node && !change->removed ? tree_node_version(node) : 0);
	}
}

void service_publish_members(Service *service)
{
	const Event event = {.kind = EVENT_MEMBERS, .text = ""};

	events_publish(service->events, &event);
}

void service_publish_quorum(Service *service)
{
	Event event = {
		.kind = EVENT_QUORUM,
		.on = replica_writable(service->replica) == 0,
		.text = "",
	};

	if (event.on == service->was_writable)
		return;
	service->was_writable = event.on;
	events_publish(service->events, &event);
}
