/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/cluster.h"

#include "base/log.h"
#include "base/macro.h"
#include "cfs/cpg.h"
#include "cfs/quorum.h"

/* Pauses between attempts to connect. */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000

struct Cluster {
	ClusterHandler handler;
	char *group_name;
	CmapWatch *cmap; /* NULL together with the others: not connected. */
	QuorumWatch *quorum;
	CpgGroup *group;
	guint retry_source; /* Connects, or gives the connection up first; 0: none. */
	unsigned retry_ms;  /* The next pause. */
	bool complained;    /* About the failure to connect. */
};

static void on_lost(void *data);

static void on_quorum(void *data, bool quorate, const uint32_t *nodes, unsigned n_nodes)
{
	Cluster *cluster = data;

	cluster->handler.quorum(cluster->handler.data, quorate, nodes, n_nodes);
}

static void on_view(void *data, const uint32_t *nodes, unsigned n_nodes)
{
	Cluster *cluster = data;

	cluster->handler.view(cluster->handler.data, nodes, n_nodes);
}

static void on_message(void *data, uint32_t node, const uint8_t *bytes, size_t size)
{
	Cluster *cluster = data;

	cluster->handler.message(cluster->handler.data, node, bytes, size);
}

static void on_drained(void *data)
{
	Cluster *cluster = data;

	cluster->handler.drained(cluster->handler.data);
}

static int read_configuration(Cluster *cluster, GError **err)
{
	g_autoptr(ClusterConf) conf = NULL;
	int r = cmap_watch_read(cluster->cmap, &conf, err);

	if (r == 0)
		cluster->handler.configured(cluster->handler.data, conf);
	return r;
}

static void on_configuration_changed(void *data)
{
	Cluster *cluster = data;
	g_autoptr(GError) err = NULL;

	if (read_configuration(cluster, &err) < 0)
		log_warning("Cannot use the changed configuration: %s", err->message);
}

static int cluster_connect(Cluster *cluster, GError **err)
{
	const CmapHandler cmap = {cluster, on_configuration_changed, on_lost};
	const QuorumHandler quorum = {cluster, on_quorum, on_lost};
	const CpgHandler group = {cluster, on_view, on_message, on_drained, on_lost};
	int r;

	r = cmap_watch_new(&cmap, &cluster->cmap, err);
	if (r == 0)
		r = read_configuration(cluster, err);
	if (r == 0)
		r = quorum_watch_new(&quorum, &cluster->quorum, err);
	if (r == 0)
		r = cpg_group_new(cluster->group_name, &group, &cluster->group, err);
	return r;
}

static void cluster_disconnect(Cluster *cluster)
{
	cluster->group = cpg_group_free(cluster->group);
	cluster->quorum = quorum_watch_free(cluster->quorum);
	cluster->cmap = cmap_watch_free(cluster->cmap);
}

static gboolean on_retry(gpointer data)
{
	Cluster *cluster = data;
	g_autoptr(GError) err = NULL;

	cluster->retry_source = 0;
	cluster_disconnect(cluster);
	if (cluster_connect(cluster, &err) == 0) {
		log_notice("Connected to corosync");
		cluster->retry_ms = RETRY_MIN_MS;
		cluster->complained = false;
		return G_SOURCE_REMOVE;
	}

	if (!cluster->complained)
		log_warning("Waiting for corosync: %s", err->message);
	cluster->complained = true;
	cluster_disconnect(cluster);
	cluster->retry_source = g_timeout_add(cluster->retry_ms, on_retry, cluster);
	cluster->retry_ms = MIN(cluster->retry_ms * 2, RETRY_MAX_MS);
	return G_SOURCE_REMOVE;
}

/* Called from inside the part that was lost, which therefore stays until the next turn of the loop.
 * Each part may notice. */
static void on_lost(void *data)
{
	Cluster *cluster = data;

	if (cluster->retry_source)
		return;
	log_warning("Lost the connection to corosync");
	cluster->retry_source = g_timeout_add(cluster->retry_ms, on_retry, cluster);
	cluster->handler.quorum(cluster->handler.data, false, NULL, 0);
	cluster->handler.view(cluster->handler.data, NULL, 0);
}

Cluster *cluster_new(const char *group, const ClusterHandler *handler)
{
	Cluster *cluster = g_new0(Cluster, 1);

	cluster->handler = *handler;
	cluster->group_name = g_strdup(group);
	cluster->retry_ms = RETRY_MIN_MS;
	cluster->retry_source = g_idle_add(on_retry, cluster);
	return cluster;
}

Cluster *cluster_free(Cluster *cluster)
{
	if (!cluster)
		return NULL;

	if (cluster->retry_source)
		g_source_remove(cluster->retry_source);
	cluster_disconnect(cluster);
	g_free(cluster->group_name);
	g_free(cluster);
	return NULL;
}

int cluster_send(Cluster *cluster, GBytes *message)
{
	/* While it is being given up, parts of it are still there. */
	if (!cluster->group || cluster->retry_source)
		return -ENOTCONN;
	return cpg_group_send(cluster->group, message);
}
