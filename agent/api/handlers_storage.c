/* SPDX-License-Identifier: Apache-2.0 */

/* Answers about storages and their volumes. */

#include <string.h>
#include <sys/stat.h>

#include "agent/api/api.h"
#include "agent/api/storageview.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/macro.h"

/* Names in storage.h's order of bits. */
#define N_CONTENTS 7

/* "rootdir,vztmpl" for a set of bits; owned by the caller. */
static char *contents_dup_text(unsigned contents)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < N_CONTENTS; i++) {
		if (contents & 1U << i)
			g_string_append_printf(text, "%s%s", text->len ? "," : "",
				storage_content_to_string(1U << i));
	}
	return g_strdup(text->str);
}

/* The bits for "rootdir,vztmpl"; 0 for NULL. */
static int contents_parse(const char *text, unsigned *ret, GError **err)
{
	g_auto(GStrv) names = g_strsplit_set(text ?: "", ",; ", -1);
	unsigned contents = 0;

	for (char **name = names; *name; name++) {
		unsigned bit = 0;

		if (!**name)
			continue;
		for (unsigned i = 0; i < N_CONTENTS; i++) {
			if (str_equal(*name, storage_content_to_string(1U << i)))
				bit = 1U << i;
		}
		if (!bit)
			return err_set(err, EINVAL, "'%s' is not a content type", *name);
		contents |= bit;
	}
	*ret = contents;
	return 0;
}

/* Whether this node may use the storage at all. */
static bool storage_is_here(const Storage *storage, const char *node)
{
	const char *nodes = storage_property(storage, "nodes");
	g_auto(GStrv) names = g_strsplit_set(nodes ?: "", ",; ", -1);

	return !nodes || g_strv_contains((const char *const *)names, node);
}

static json_t *storage_view(const Storage *storage)
{
	g_autofree char *contents = contents_dup_text(storage_content(storage));
	bool enabled = !storage_disabled(storage);
	StorageStatus status = {0};
	json_t *view;

	/* A storage that cannot be asked is inactive, and the others are still listed. */
	if (enabled && storage_status(storage, &status, NULL) < 0)
		status = (StorageStatus){0};

	view = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I}", "storage",
		storage_id(storage), "type", storage_type(storage), "content", contents, "enabled",
		enabled, "active", status.active, "shared", storage_shared(storage), "total",
		(json_int_t)status.total_bytes, "used", (json_int_t)status.used_bytes, "avail",
		(json_int_t)status.available_bytes);
	assert(view);
	if (status.total_bytes > 0)
		json_object_set_new(view, "used_fraction",
			json_real((double)status.used_bytes / (double)status.total_bytes));
	return view;
}

int storageview_resources(const char *node, json_t **ret, GError **err)
{
	g_autoptr(StorageSet) set = NULL;
	g_autoptr(GPtrArray) list = NULL;
	json_t *resources;
	int r = storage_set_load(&set, err);

	if (r < 0)
		return r;
	resources = json_array();
	list = storage_set_list(set);
	for (unsigned i = 0; i < list->len; i++) {
		const Storage *storage = list->pdata[i];
		StorageStatus status = {0};

		if (storage_disabled(storage) || !storage_is_here(storage, node))
			continue;
		if (storage_status(storage, &status, NULL) < 0)
			status = (StorageStatus){0};
		json_array_append_new(resources,
			json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "id",
				json_sprintf("storage/%s/%s", node, storage_id(storage)), "type",
				"storage", "storage", storage_id(storage), "node", node,
				"plugintype", storage_type(storage), "status",
				status.active ? "available" : "unknown", "shared",
				storage_shared(storage), "maxdisk", (json_int_t)status.total_bytes,
				"disk", (json_int_t)status.used_bytes));
	}
	*ret = resources;
	return 0;
}

static int get_list(ApiCall *call, json_t **ret_data, GError **err)
{
	const char *only = api_param(call, "storage");
	bool enabled = api_param_boolean(call, "enabled", false);
	g_autoptr(StorageSet) set = NULL;
	g_autoptr(GPtrArray) list = NULL;
	json_auto_t *view = json_array();
	unsigned contents;
	Storage *wanted;
	int r;

	r = contents_parse(api_param(call, "content"), &contents, err);
	if (r >= 0)
		r = storage_set_load(&set, err);
	if (r >= 0 && only)
		r = storage_find(set, only, &wanted, err);
	if (r < 0)
		return r;

	list = storage_set_list(set);
	for (unsigned i = 0; i < list->len; i++) {
		const Storage *storage = list->pdata[i];

		if ((only && !str_equal(only, storage_id(storage))) ||
			(contents && !(contents & storage_content(storage))) ||
			(enabled && storage_disabled(storage)) ||
			!storage_is_here(storage, call->agent->node))
			continue;
		json_array_append_new(view, storage_view(storage));
	}
	*ret_data = g_steal_pointer(&view);
	return 0;
}

static int get_status(ApiCall *call, json_t **ret_data, GError **err)
{
	g_autoptr(StorageSet) set = NULL;
	Storage *storage;
	int r = storage_set_load(&set, err);

	if (r >= 0)
		r = storage_find(set, api_param(call, "storage"), &storage, err);
	if (r < 0)
		return r;
	*ret_data = storage_view(storage);
	return 0;
}

static json_t *volume_view(const VolumeInfo *info)
{
	json_t *view = json_pack("{s:s, s:s, s:s, s:I, s:I}", "volid", info->volid, "content",
		storage_content_to_string(info->content), "format",
		volume_format_to_string(info->format, info->volid), "size",
		(json_int_t)info->size_bytes, "ctime", (json_int_t)info->ctime_s);

	assert(view);
	if (info->vmid)
		json_object_set_new(view, "vmid", json_integer(info->vmid));
	return view;
}

static int get_content(ApiCall *call, json_t **ret_data, GError **err)
{
	g_autoptr(StorageSet) set = NULL;
	g_autoptr(GPtrArray) volumes = NULL;
	json_t *view;
	unsigned contents;
	Storage *storage;
	int r;

	r = contents_parse(api_param(call, "content"), &contents, err);
	if (r >= 0)
		r = storage_set_load(&set, err);
	if (r >= 0)
		r = storage_require(set, api_param(call, "storage"), call->agent->node, contents,
			&storage, err);
	if (r >= 0)
		r = storage_list(storage, contents, call->vmid, &volumes, err);
	if (r < 0)
		return r;

	view = json_array();
	for (unsigned i = 0; i < volumes->len; i++)
		json_array_append_new(view, volume_view(volumes->pdata[i]));
	*ret_data = view;
	return 0;
}

/* A volume by its id, or by its name on the storage in the path. */
static int get_volume(ApiCall *call, json_t **ret_data, GError **err)
{
	const char *storage = api_param(call, "storage");
	const char *volume = api_param(call, "volume");
	g_autofree char *volid = NULL;
	g_autofree char *named = NULL;
	g_autofree char *name = NULL;
	g_autofree char *path = NULL;
	g_autoptr(StorageSet) set = NULL;
	g_autoptr(VolumeInfo) info = NULL;
	struct stat st;
	int r;

	volid = strchr(volume, ':') ? g_strdup(volume) : g_strdup_printf("%s:%s", storage, volume);
	r = volume_id_parse(volid, &named, &name, err);
	if (r < 0)
		return r;
	if (!str_equal(named, storage))
		return err_set(err, EINVAL, "volume '%s' is not on storage '%s'", volid, storage);

	r = storage_set_load(&set, err);
	if (r >= 0)
		r = volume_resolve(set, volid, &info, &path, err);
	if (r < 0)
		return r;
	/* The name says neither; the volume need not exist for its path to be told. */
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		info->size_bytes = (uint64_t)st.st_size;
		info->ctime_s = st.st_ctim.tv_sec;
	}
	*ret_data = volume_view(info);
	json_object_set_new(*ret_data, "path", json_string(path));
	return 0;
}

const ApiHandler api_storage_handlers[] = {
	{"GET", "/nodes/{node}/storage", get_list, false},
	{"GET", "/nodes/{node}/storage/{storage}/status", get_status, false},
	{"GET", "/nodes/{node}/storage/{storage}/content", get_content, false},
	{"GET", "/nodes/{node}/storage/{storage}/content/{volume}", get_volume, false},
	{0},
};
