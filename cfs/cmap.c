/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/cmap.h"

#include <stdio.h>
#include <stdlib.h>

#include <corosync/cmap.h>
#include <glib-unix.h>

#include "base/err.h"
#include "base/macro.h"
#include "cfs/corosync.h"

/* A reload of corosync.conf changes many keys one after the other; it is read once they have been
 * quiet for this long. */
#define SETTLE_MS 50

struct CmapWatch {
	CmapHandler handler;
	cmap_handle_t handle;
	cmap_track_handle_t nodes_track, version_track;
	guint fd_source;     /* 0: none. */
	guint settle_source; /* 0: none. */
};

static void node_free(gpointer data)
{
	ClusterNode *node = data;

	g_free(node->name);
	g_free(node->address);
	g_free(node);
}

static ClusterConf *conf_new(void)
{
	ClusterConf *conf = g_new0(ClusterConf, 1);

	conf->nodes = g_ptr_array_new_with_free_func(node_free);
	return conf;
}

ClusterConf *cluster_conf_free(ClusterConf *conf)
{
	if (!conf)
		return NULL;

	g_free(conf->cluster_name);
	g_ptr_array_unref(conf->nodes);
	g_free(conf);
	return NULL;
}

static void conf_add_node(ClusterConf *conf, uint32_t id, const char *name, const char *address)
{
	ClusterNode *node = g_new0(ClusterNode, 1);

	node->id = id;
	node->name = name ? g_strdup(name) : g_strdup_printf("node%u", id);
	node->address = g_strdup(address ? address : "");
	g_ptr_array_add(conf->nodes, node);
}

ClusterConf *cluster_conf_new_single(uint32_t id, const char *name)
{
	ClusterConf *conf = conf_new();

	conf->cluster_name = g_strdup("");
	conf->own_id = id;
	conf_add_node(conf, id, name, "127.0.0.1");
	return conf;
}

ClusterConf *cluster_conf_copy(const ClusterConf *conf)
{
	ClusterConf *copy = conf_new();

	copy->cluster_name = g_strdup(conf->cluster_name);
	copy->config_version = conf->config_version;
	copy->two_node = conf->two_node;
	copy->own_id = conf->own_id;
	for (unsigned i = 0; i < conf->nodes->len; i++) {
		const ClusterNode *node = g_ptr_array_index(conf->nodes, i);

		conf_add_node(copy, node->id, node->name, node->address);
	}
	return copy;
}

const ClusterNode *cluster_conf_node(const ClusterConf *conf, uint32_t id)
{
	for (unsigned i = 0; i < conf->nodes->len; i++) {
		const ClusterNode *node = g_ptr_array_index(conf->nodes, i);

		if (node->id == id)
			return node;
	}
	return NULL;
}

static gboolean on_settled(gpointer data)
{
	CmapWatch *watch = data;

	watch->settle_source = 0;
	watch->handler.changed(watch->handler.data);
	return G_SOURCE_REMOVE;
}

static void on_notify(cmap_handle_t handle, cmap_track_handle_t track, int32_t event,
	const char *key, struct cmap_notify_value new_value, struct cmap_notify_value old_value,
	void *data)
{
	CmapWatch *watch = data;

	if (watch->settle_source)
		g_source_remove(watch->settle_source);
	watch->settle_source = g_timeout_add(SETTLE_MS, on_settled, watch);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	CmapWatch *watch = data;
	cs_error_t error = cmap_dispatch(watch->handle, CS_DISPATCH_ALL);

	if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
		return G_SOURCE_CONTINUE;

	watch->fd_source = 0;
	watch->handler.lost(watch->handler.data);
	return G_SOURCE_REMOVE;
}

int cmap_watch_new(const CmapHandler *handler, CmapWatch **ret, GError **err)
{
	const int32_t events = CMAP_TRACK_ADD | CMAP_TRACK_DELETE | CMAP_TRACK_MODIFY;
	g_autoptr(CmapWatch) watch = g_new0(CmapWatch, 1);
	int r, fd;

	assert(handler && handler->changed && handler->lost);

	watch->handler = *handler;
	r = corosync_errno(cmap_initialize(&watch->handle));
	if (r < 0) {
		watch->handle = 0;
		return err_set_errno(err, r, "cannot connect to corosync's configuration");
	}
	r = corosync_errno(cmap_track_add(watch->handle, "nodelist.", events | CMAP_TRACK_PREFIX,
		on_notify, watch, &watch->nodes_track));
	if (r == 0)
		r = corosync_errno(cmap_track_add(watch->handle, "totem.config_version", events,
			on_notify, watch, &watch->version_track));
	if (r == 0)
		r = corosync_errno(cmap_fd_get(watch->handle, &fd));
	if (r < 0)
		return err_set_errno(err, r, "cannot watch corosync's configuration");

	watch->fd_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, watch);
	*ret = g_steal_pointer(&watch);
	return 0;
}

CmapWatch *cmap_watch_free(CmapWatch *watch)
{
	if (!watch)
		return NULL;

	if (watch->fd_source)
		g_source_remove(watch->fd_source);
	if (watch->settle_source)
		g_source_remove(watch->settle_source);
	if (watch->handle)
		(void)cmap_finalize(watch->handle);
	g_free(watch);
	return NULL;
}

/* The string is malloc'ed by the library; NULL when there is none. */
static char *get_string(CmapWatch *watch, const char *key)
{
	char *value = NULL, *copy;

	if (cmap_get_string(watch->handle, key, &value) != CS_OK)
		return NULL;
	copy = g_strdup(value);
	free(value);
	return copy;
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
	const ClusterNode *left = *(ClusterNode *const *)a, *right = *(ClusterNode *const *)b;

	return (left->id > right->id) - (left->id < right->id);
}

/* Positions in the nodelist may have holes after a node was taken out. */
static void read_nodes(CmapWatch *watch, ClusterConf *conf, uint32_t own_position)
{
	for (unsigned position = 0; position < CMAP_NODES_MAX; position++) {
		g_autofree char *id_key = g_strdup_printf("nodelist.node.%u.nodeid", position);
		g_autofree char *name_key = g_strdup_printf("nodelist.node.%u.name", position);
		g_autofree char *ring_key =
			g_strdup_printf("nodelist.node.%u.ring0_addr", position);
		g_autofree char *name = NULL, *address = NULL;
		uint32_t id;

		if (cmap_get_uint32(watch->handle, id_key, &id) != CS_OK || id == 0)
			continue;
		name = get_string(watch, name_key);
		address = get_string(watch, ring_key);
		conf_add_node(conf, id, name, address);
		if (position == own_position)
			conf->own_id = id;
	}
	g_ptr_array_sort(conf->nodes, compare_ids);
}

int cmap_watch_read(CmapWatch *watch, ClusterConf **ret, GError **err)
{
	g_autoptr(ClusterConf) conf = conf_new();
	uint32_t own_position = UINT32_MAX;
	uint8_t two_node = 0;
	int r;

	r = corosync_errno(
		cmap_get_uint32(watch->handle, "nodelist.local_node_pos", &own_position));
	if (r < 0 && r != -ENOENT)
		return err_set_errno(err, r, "cannot read corosync's nodelist");
	if (cmap_get_uint64(watch->handle, "totem.config_version", &conf->config_version) != CS_OK)
		conf->config_version = 0;
	conf->cluster_name = get_string(watch, "totem.cluster_name");
	if (!conf->cluster_name)
		conf->cluster_name = g_strdup("");
	if (cmap_get_uint8(watch->handle, "quorum.two_node", &two_node) == CS_OK)
		conf->two_node = two_node != 0;
	read_nodes(watch, conf, own_position);
	if (conf->own_id == 0)
		return err_set(err, EINVAL, "this node is not in the nodelist of corosync.conf");

	*ret = g_steal_pointer(&conf);
	return 0;
}
