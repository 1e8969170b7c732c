/* SPDX-License-Identifier: Apache-2.0 */

/* Answers about containers, from the store's files and the kernel. */

#include "agent/api/api.h"
#include "agent/api/ctview.h"
#include "agent/ct/state.h"
#include "base/err.h"
#include "base/macro.h"

static int get_list(ApiCall *call, json_t **ret_data, GError **err)
{
	const char *node = api_param(call, "node");
	bool local = str_equal(node, call->agent->node);
	g_autoptr(GArray) running = local ? ct_state_list_running() : NULL;
	g_autoptr(GArray) ids = NULL;
	json_auto_t *list = json_array();
	int r;

	r = ct_file_list(&call->agent->store, node, &ids, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ids->len; i++) {
		json_t *view = ctview_summary(
			&call->agent->store, node, g_array_index(ids, unsigned, i), running);

		/* Removed since the directory was read. */
		if (view)
			json_array_append_new(list, view);
	}
	*ret_data = g_steal_pointer(&list);
	return 0;
}

/* Adds what was found odd to the answer. */
static void warn(ApiCall *call, const GPtrArray *warnings)
{
	json_t *list;

	if (warnings->len == 0)
		return;
	list = json_array();
	for (unsigned i = 0; i < warnings->len; i++)
		(void)json_array_append_new(list, json_string(warnings->pdata[i]));
	call->extra = json_pack("{s:o}", "warnings", list);
}

static int get_config(ApiCall *call, json_t **ret_data, GError **err)
{
	bool current = api_param_boolean(call, "current", false);
	const char *snapshot = api_param(call, "snapshot");
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL;
	g_autofree char *digest = NULL;
	const CtSection *section;
	int r;

	if (current && snapshot)
		return err_set(err, EINVAL, "snapshot and current exclude each other");
	r = ct_file_load(&call->agent->store, api_param(call, "node"), call->vmid, &config, &digest,
		warnings, err);
	if (r < 0)
		return r;
	warn(call, warnings);

	section = snapshot ? ct_config_snapshot(config, snapshot) : ct_config_current(config);
	if (!section)
		return err_set(err, ENOENT, "snapshot '%s' does not exist", snapshot);
	*ret_data = ctview_config(config, section, !current && !snapshot, digest);
	return 0;
}

static int get_pending(ApiCall *call, json_t **ret_data, GError **err)
{
	g_autoptr(CtConfig) config = NULL;
	int r = ct_file_load(
		&call->agent->store, api_param(call, "node"), call->vmid, &config, NULL, NULL, err);

	if (r < 0)
		return r;
	*ret_data = ctview_pending(config);
	return 0;
}

static int get_status(ApiCall *call, json_t **ret_data, GError **err)
{
	return ctview_status(&call->agent->store, call->vmid, ret_data, err);
}

const ApiHandler api_ct_handlers[] = {
	{"GET", "/nodes/{node}/lxc", get_list, true},
	{"GET", "/nodes/{node}/lxc/{vmid}/config", get_config, true},
	{"GET", "/nodes/{node}/lxc/{vmid}/pending", get_pending, true},
	{"GET", "/nodes/{node}/lxc/{vmid}/status/current", get_status, false},
	{0},
};
