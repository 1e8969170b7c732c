/* SPDX-License-Identifier: Apache-2.0 */

/* What corosync says: configuration, quorum, membership, messages. */

#include "cfs/service_internal.h"

#include "base/log.h"
#include "base/macro.h"

/* The process group of corosync in which the stores meet. */
#define GROUP_NAME "atoll-cfs"

void service_tell_quorum(Service *service)
{
	g_autofree uint32_t *ids = g_new(uint32_t, service->conf->nodes->len);
	ReplicaQuorum quorum = {
		.quorate = service->quorate,
		.two_node = service->conf->two_node,
		.configured = ids,
		.n_configured = service->conf->nodes->len,
	};

	for (unsigned i = 0; i < quorum.n_configured; i++) {
		const ClusterNode *node = g_ptr_array_index(service->conf->nodes, i);

		ids[i] = node->id;
		for (unsigned j = 0; j < service->online->len; j++)
			if (g_array_index(service->online, uint32_t, j) == node->id)
				quorum.n_online++;
	}
	replica_quorum_changed(service->replica, &quorum);
	service_make_directories(service);
}

/* The id of a running replica cannot change: it is part of its log. */
static bool check_identity(Service *service, const ClusterConf *conf)
{
	if (service->node == 0 || conf->own_id == service->node)
		return true;
	log_err("This node has id %u in corosync.conf, but its database is that of node %u; move "
		"the database away if this is a new node",
		conf->own_id, service->node);
	return false;
}

static void on_configured(void *data, const ClusterConf *conf)
{
	Service *service = data;
	g_autoptr(GError) err = NULL;

	if (!check_identity(service, conf)) {
		service_fail(service);
		return;
	}
	(void)cluster_conf_free(service->conf);
	service->conf = cluster_conf_copy(conf);
	service->node = conf->own_id;
	service->members_version++;
	g_free(service->node_name);
	service->node_name = g_strdup(cluster_conf_node(conf, conf->own_id)->name);
	if (service->fs)
		storefs_set_node_name(service->fs, service->node_name);

	if (!service->replica && service_start_replica(service, &err) < 0) {
		log_err("Cannot start: %s", err->message);
		service_fail(service);
		return;
	}
	service_tell_quorum(service);
	service_publish_members(service);
}

static void say_about(Service *service, uint32_t node, const char *what)
{
	const ClusterNode *found = service->conf ? cluster_conf_node(service->conf, node) : NULL;

	if (found)
		service_say(service, LOG_NOTICE, "node '%s' %s", found->name, what);
}

/* Writes to the cluster log who came and went.  One of those who saw it does: the lowest that is
 * still there. */
static void say_membership(Service *service, const GArray *before, bool was_quorate)
{
	const uint32_t *nodes = (const uint32_t *)service->online->data;
	unsigned n_nodes = service->online->len;

	if (before->len == 0 || n_nodes == 0 ||
		beside_speaker(before, nodes, n_nodes, service->node) != service->node)
		return;
	for (unsigned i = 0; i < before->len; i++) {
		uint32_t node = g_array_index(before, uint32_t, i);

		if (!beside_contains(service->online, node))
			say_about(service, node, "left the cluster");
	}
	for (unsigned i = 0; i < n_nodes; i++)
		if (!beside_contains(before, nodes[i]))
			say_about(service, nodes[i], "joined the cluster");
	if (service->quorate != was_quorate)
		service_say(service, service->quorate ? LOG_NOTICE : LOG_WARNING, "quorum %s",
			service->quorate ? "reached" : "lost");
}

static void on_quorum(void *data, bool quorate, const uint32_t *nodes, unsigned n_nodes)
{
	Service *service = data;
	g_autoptr(GArray) before = service->online;
	bool was_quorate = service->quorate;

	if (quorate != was_quorate)
		log_notice("Quorum %s, %u nodes online", quorate ? "reached" : "lost", n_nodes);
	service->quorate = quorate;
	service->online = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_array_append_vals(service->online, nodes, n_nodes);
	service->members_version++;
	if (!service->replica)
		return;
	if (service->conf)
		service_tell_quorum(service);
	say_membership(service, before, was_quorate);
	service_publish_members(service);
}

static void on_view(void *data, const uint32_t *nodes, unsigned n_nodes)
{
	Service *service = data;

	if (!service->replica)
		return;
	replica_view_changed(service->replica, nodes, n_nodes);
	service_beside_view_changed(service, nodes, n_nodes);
}

static void on_message(void *data, uint32_t node, const uint8_t *bytes, size_t size)
{
	Service *service = data;
	unsigned type = beside_type(bytes, size);

	if (type)
		service_beside_message(service, type, node, bytes, size);
	else
		replica_message(service->replica, node, bytes, size);
}

static void on_drained(void *data)
{
	Service *service = data;

	replica_tick(service->replica);
	service_beside_flush(service);
}

void service_connect(Service *service)
{
	const ClusterHandler handler = {
		.data = service,
		.configured = on_configured,
		.quorum = on_quorum,
		.view = on_view,
		.message = on_message,
		.drained = on_drained,
	};

	service->cluster = cluster_new(GROUP_NAME, &handler);
}
