/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/clusterview.h"

#include <string.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"
#include "base/propstring.h"

/* Both grow with the cluster, by some ten bytes a guest. */
#define VIEW_SIZE_MAX (64 * 1024 * 1024)

/* A file of the store is not larger by default. */
#define FILE_SIZE_MAX (1024 * 1024)

static const SchemaOption next_id_props[] = {
	{
		.name = "lower",
		.type = SCHEMA_INTEGER,
		.limited = true,
		.min = CT_ID_MIN,
		.max = CT_ID_MAX,
		.description = "Lowest id",
	},
	{
		.name = "upper",
		.type = SCHEMA_INTEGER,
		.limited = true,
		.min = CT_ID_MIN,
		.max = CT_ID_MAX + 1,
		.description = "First id above",
	},
	{0},
};

static int load_view(const char *path, char **ret, GError **err)
{
	int r = file_read(path, VIEW_SIZE_MAX, ret, NULL);

	if (r == -ENOENT || r == -ENOTCONN)
		return err_set(err, ENOTCONN, "the configuration store is not mounted on '%s'",
			PATH_STORE);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", path);
	return 0;
}

int clusterview_parse_members(const char *text, json_t **ret)
{
	json_auto_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(root, "nodename"));

	if (!name)
		return -EBADMSG;
	if (!json_object_get(root, "nodelist")) {
		json_t *list = json_pack("{s:{s:i, s:i}}", name, "id", 1, "online", 1);

		assert(list);
		json_object_set_new(root, "nodelist", list);
	}
	*ret = g_steal_pointer(&root);
	return 0;
}

int clusterview_load_members(json_t **ret, GError **err)
{
	g_autofree char *text = NULL;
	int r = load_view(PATH_STORE "/.members", &text, err);

	if (r < 0)
		return r;
	r = clusterview_parse_members(text, ret);
	if (r < 0)
		return err_set_errno(err, r, "cannot understand '%s'", PATH_STORE "/.members");
	return 0;
}

int clusterview_load_guests(json_t **ret, GError **err)
{
	json_auto_t *root = NULL;
	g_autofree char *text = NULL;
	json_t *ids;
	int r = load_view(PATH_STORE "/.vmlist", &text, err);

	if (r < 0)
		return r;
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return err_set_errno(
			err, -EBADMSG, "cannot understand '%s'", PATH_STORE "/.vmlist");

	ids = json_object_get(root, "ids");
	*ret = json_is_object(ids) ? json_incref(ids) : json_object();
	return 0;
}

int clusterview_load_file(const char *path, char **ret, size_t *ret_size, GError **err)
{
	g_autofree char *full = g_build_filename(PATH_STORE, path, NULL);
	int r = file_read(full, FILE_SIZE_MAX, ret, ret_size);

	if (r == -ENOENT)
		return err_set(err, ENOENT, "configuration file '%s' does not exist", path);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", full);
	return 0;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *clusterview_sorted_keys(json_t *object)
{
	GPtrArray *keys = g_ptr_array_new();
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
		g_ptr_array_add(keys, (void *)key);
	g_ptr_array_sort(keys, compare_text);
	return keys;
}

static json_t *status_of_node(const char *name, json_t *member, const char *local_node)
{
	json_t *ip = json_object_get(member, "ip");
	json_t *entry = json_pack("{s:s, s:o, s:s, s:O*, s:O*, s:O*, s:i, s:s}", "type", "node",
		"id", json_sprintf("node/%s", name), "name", name, "nodeid",
		json_object_get(member, "id"), "online", json_object_get(member, "online"), "ip",
		ip, "local", str_equal(name, local_node), "level", "");

	assert(entry);
	return entry;
}

json_t *clusterview_status(json_t *members, const char *local_node)
{
	json_t *nodelist = json_object_get(members, "nodelist");
	json_t *cluster = json_object_get(members, "cluster");
	g_autoptr(GPtrArray) names = clusterview_sorted_keys(nodelist);
	json_t *status = json_array();

	if (cluster) {
		json_t *entry = json_pack("{s:s, s:s, s:O*, s:O*, s:O*, s:O*}", "type", "cluster",
			"id", "cluster", "name", json_object_get(cluster, "name"), "nodes",
			json_object_get(cluster, "nodes"), "quorate",
			json_object_get(cluster, "quorate"), "version",
			json_object_get(cluster, "version"));

		assert(entry);
		json_array_append_new(status, entry);
	}
	for (unsigned i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];

		json_array_append_new(
			status, status_of_node(name, json_object_get(nodelist, name), local_node));
	}
	return status;
}

json_t *clusterview_nodes(json_t *members)
{
	json_t *nodelist = json_object_get(members, "nodelist");
	g_autoptr(GPtrArray) names = clusterview_sorted_keys(nodelist);
	json_t *nodes = json_array();

	for (unsigned i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		json_t *member = json_object_get(nodelist, name);
		bool online = json_integer_value(json_object_get(member, "online")) != 0;

		json_array_append_new(
			nodes, json_pack("{s:s, s:s, s:o, s:s}", "type", "node", "node", name, "id",
				       json_sprintf("node/%s", name), "status",
				       online ? "online" : "offline"));
	}
	return nodes;
}

/* The value of `key: value` in the text of datacenter.cfg; owned by the caller. */
static char *datacenter_dup_value(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

	for (char **line = lines; *line; line++) {
		char *colon = strchr(*line, ':');

		if (!colon || **line == '#')
			continue;
		*colon = '\0';
		if (str_equal(g_strstrip(*line), key))
			return g_strdup(g_strstrip(colon + 1));
	}
	return NULL;
}

int clusterview_next_id(json_t *guests, const char *datacenter, unsigned *ret, GError **err)
{
	g_autofree char *value = datacenter_dup_value(datacenter, "next-id");
	g_autoptr(PropString) props = NULL;
	int64_t lower = 100;
	int64_t upper = 1000000;
	int r;

	assert(json_is_object(guests));
	assert(ret);

	if (value) {
		r = propstring_parse(next_id_props, SCHEMA_INPUT, value, &props, err);
		if (r < 0)
			return err_prefix(err, r, "next-id in datacenter.cfg: ");
		lower = propstring_get_integer(props, "lower", lower);
		upper = propstring_get_integer(props, "upper", upper);
	}
	for (int64_t id = lower; id < upper; id++) {
		char text[16];

		(void)g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, id);
		if (!json_object_get(guests, text)) {
			*ret = (unsigned)id;
			return 0;
		}
	}
	return err_set(err, ENOENT,
		"no free id in the range from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, lower,
		upper - 1);
}
