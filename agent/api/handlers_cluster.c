/* SPDX-License-Identifier: Apache-2.0 */

/* Answers about the cluster as a whole, from the store's files. */

#include <sys/sysinfo.h>

#include "agent/api/api.h"
#include "agent/api/clusterview.h"
#include "agent/api/ctview.h"
#include "agent/api/storageview.h"
#include "agent/ct/state.h"
#include "base/err.h"
#include "base/macro.h"

static int get_version(ApiCall *call, json_t **ret_data, GError **err)
{
	*ret_data = json_pack("{s:s, s:s}", "version", PACKAGE_VERSION, "release", PACKAGE_VERSION);
	return 0;
}

static int get_nextid(ApiCall *call, json_t **ret_data, GError **err)
{
	json_auto_t *guests = NULL;
	g_autofree char *datacenter = NULL;
	json_t *taken;
	unsigned vmid;
	int r;

	r = clusterview_load_guests(&guests, err);
	if (r < 0)
		return r;
	if (call->vmid) {
		g_autofree char *text = g_strdup_printf("%u", call->vmid);

		taken = json_object_get(guests, text);
		if (taken)
			return err_set(err, EINVAL, "CT %u already exists on node '%s'", call->vmid,
				json_string_value(json_object_get(taken, "node")));
		vmid = call->vmid;
	} else {
		r = clusterview_load_file("datacenter.cfg", &datacenter, NULL, NULL);
		if (r < 0 && r != -ENOENT)
			return err_set_errno(err, r, "cannot read datacenter.cfg");
		r = clusterview_next_id(guests, datacenter, &vmid, err);
		if (r < 0)
			return r;
	}
	*ret_data = json_sprintf("%u", vmid);
	return 0;
}

static int get_status(ApiCall *call, json_t **ret_data, GError **err)
{
	json_auto_t *members = NULL;
	int r = clusterview_load_members(&members, err);

	if (r < 0)
		return r;
	*ret_data = clusterview_status(members, call->agent->node);
	return 0;
}

/* What only the node itself knows. */
static void add_local_numbers(json_t *node)
{
	struct sysinfo info;
	uint64_t unit;

	if (sysinfo(&info) < 0)
		return;
	unit = info.mem_unit;
	json_object_set_new(node, "uptime", json_integer(info.uptime));
	json_object_set_new(node, "maxcpu", json_integer(get_nprocs()));
	json_object_set_new(node, "maxmem", json_integer((json_int_t)(info.totalram * unit)));
	json_object_set_new(node, "mem",
		json_integer((json_int_t)((info.totalram - info.freeram - info.bufferram) * unit)));
}

static int get_nodes(ApiCall *call, json_t **ret_data, GError **err)
{
	json_auto_t *members = NULL;
	json_t *node;
	size_t i;
	int r = clusterview_load_members(&members, err);

	if (r < 0)
		return r;
	*ret_data = clusterview_nodes(members);
	json_array_foreach(*ret_data, i, node) {
		if (str_equal(json_string_value(json_object_get(node, "node")), call->agent->node))
			add_local_numbers(node);
	}
	return 0;
}

static int add_guests(ApiCall *call, json_t *resources, GError **err)
{
	g_autoptr(GArray) running = ct_state_list_running();
	g_autoptr(GPtrArray) ids = NULL;
	json_auto_t *guests = NULL;
	int r = clusterview_load_guests(&guests, err);

	if (r < 0)
		return r;
	ids = clusterview_sorted_keys(guests);
	for (unsigned i = 0; i < ids->len; i++) {
		json_t *guest = json_object_get(guests, ids->pdata[i]);
		const char *node = json_string_value(json_object_get(guest, "node"));
		unsigned vmid = (unsigned)g_ascii_strtoull(ids->pdata[i], NULL, 10);
		bool local = str_equal(node, call->agent->node);
		json_t *resource;

		if (!node || !str_equal(json_string_value(json_object_get(guest, "type")), "lxc"))
			continue;
		resource = ctview_summary(&call->agent->store, node, vmid, local ? running : NULL);
		/* Removed or moved between the two readings. */
		if (!resource)
			continue;
		json_object_set_new(resource, "id", json_sprintf("lxc/%u", vmid));
		json_object_set_new(resource, "node", json_string(node));
		json_array_append_new(resources, resource);
	}
	return 0;
}

static int get_resources(ApiCall *call, json_t **ret_data, GError **err)
{
	const char *type = api_param(call, "type");
	json_auto_t *resources = json_array();
	json_auto_t *nodes = NULL;
	json_auto_t *storages = NULL;
	int r = 0;

	if (!type || str_equal(type, "node"))
		r = get_nodes(call, &nodes, err);
	if (r >= 0 && (!type || str_equal(type, "vm")))
		r = add_guests(call, resources, err);
	if (r >= 0 && (!type || str_equal(type, "storage")))
		r = storageview_resources(call->agent->node, &storages, err);
	if (r < 0)
		return r;
	json_array_extend(resources, nodes);
	json_array_extend(resources, storages);
	*ret_data = g_steal_pointer(&resources);
	return 0;
}

const ApiHandler api_cluster_handlers[] = {
	{"GET", "/version", get_version, false},
	{"GET", "/cluster/nextid", get_nextid, false},
	{"GET", "/cluster/resources", get_resources, false},
	{"GET", "/cluster/status", get_status, false},
	{"GET", "/nodes", get_nodes, false},
	{0},
};
