/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"

typedef struct ConfKey {
	const char *group;
	const char *name;
	size_t offset; /* Of the member of NodeConf. */
	enum { CONF_TEXT, CONF_INT64, CONF_UNSIGNED } type;
	const char *text_default;
	int64_t number_default, min, max;
} ConfKey;

static const ConfKey conf_keys[] = {
	{"container", "cgroup-prefix", offsetof(NodeConf, cgroup_prefix), CONF_TEXT, "", 0, 0, 0},
	{"store", "file-max", offsetof(NodeConf, file_max), CONF_INT64, NULL, 1 << 20, 4096,
		16 << 20},
	{"store", "total-max", offsetof(NodeConf, total_max), CONF_INT64, NULL, 128 << 20, 1 << 20,
		INT64_C(1) << 32},
	{"store", "entries-max", offsetof(NodeConf, entries_max), CONF_INT64, NULL, 262144, 1024,
		1 << 24},
	{"agent", "tasks-max", offsetof(NodeConf, tasks_max), CONF_UNSIGNED, NULL, 64, 1, 4096},
};

static void conf_set_number(NodeConf *conf, const ConfKey *key, int64_t value)
{
	char *member = (char *)conf + key->offset;

	if (key->type == CONF_INT64)
		*(int64_t *)member = value;
	else
		*(unsigned *)member = (unsigned)value;
}

static void conf_set_text(NodeConf *conf, const ConfKey *key, const char *value)
{
	char **member = (char **)((char *)conf + key->offset);

	g_free(*member);
	*member = g_strdup(value);
}

static NodeConf *node_conf_new_default(void)
{
	NodeConf *conf = g_new0(NodeConf, 1);

	for (size_t i = 0; i < G_N_ELEMENTS(conf_keys); i++) {
		if (conf_keys[i].type == CONF_TEXT)
			conf_set_text(conf, &conf_keys[i], conf_keys[i].text_default);
		else
			conf_set_number(conf, &conf_keys[i], conf_keys[i].number_default);
	}

	return conf;
}

static const ConfKey *conf_key_find(const char *group, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(conf_keys); i++)
		if (str_equal(conf_keys[i].group, group) && str_equal(conf_keys[i].name, name))
			return &conf_keys[i];

	return NULL;
}

static int conf_apply(NodeConf *conf, const char *path, const char *group, const char *name,
	const char *value, GError **err)
{
	const ConfKey *key = conf_key_find(group, name);
	int64_t number;

	if (!key)
		return err_set(
			err, EINVAL, "%s: unknown key '%s' in section [%s]", path, name, group);

	if (key->type == CONF_TEXT) {
		conf_set_text(conf, key, value);
		return 0;
	}

	if (!g_ascii_string_to_signed(value, 10, key->min, key->max, &number, NULL))
		return err_set(err, EINVAL,
			"%s: key '%s' must be a number from %" G_GINT64_FORMAT
			" to %" G_GINT64_FORMAT ", not '%s'",
			path, name, key->min, key->max, value);

	conf_set_number(conf, key, number);
	return 0;
}

int node_conf_load(const char *path, NodeConf **ret, GError **err)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(NodeConf) conf = node_conf_new_default();
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) groups = NULL;

	assert(ret);

	if (!path)
		path = PATH_CONF;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
		if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return err_prefix(err, err_take(err, EINVAL, &error), "%s", path);
		*ret = g_steal_pointer(&conf);
		return 0;
	}

	groups = g_key_file_get_groups(file, NULL);
	for (char **group = groups; *group; group++) {
		g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);

		for (char **name = names; name && *name; name++) {
			g_autofree char *value = g_key_file_get_value(file, *group, *name, NULL);
			int r = conf_apply(conf, path, *group, *name, value, err);
			if (r < 0)
				return r;
		}
	}

	*ret = g_steal_pointer(&conf);
	return 0;
}

NodeConf *node_conf_free(NodeConf *conf)
{
	if (!conf)
		return NULL;

	g_free(conf->cgroup_prefix);
	g_free(conf);
	return NULL;
}

char *node_name_dup(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	(void)gethostname(name, sizeof(name) - 1);
	name[strcspn(name, ".")] = '\0';
	return g_strdup(name);
}
