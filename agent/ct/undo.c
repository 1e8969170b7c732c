/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/undo.h"

#include <jansson.h>
#include <string.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"

#define UNDO_DIR      "/var/lib/atoll/undo"
#define UNDO_SIZE_MAX (16 * 1024 * 1024)

Undo *undo_new(const char *kind, const char *upid)
{
	Undo *undo = g_new0(Undo, 1);

	assert(kind);

	undo->kind = g_strdup(kind);
	undo->upid = g_strdup(upid);
	undo->storages = g_ptr_array_new_with_free_func(g_free);
	undo->volumes = g_ptr_array_new_with_free_func(g_free);
	return undo;
}

Undo *undo_free(Undo *undo)
{
	if (undo) {
		g_free(undo->kind);
		g_free(undo->upid);
		g_ptr_array_unref(undo->storages);
		g_ptr_array_unref(undo->volumes);
		g_free(undo);
	}
	return NULL;
}

static json_t *strings_to_json(const GPtrArray *strings)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < strings->len; i++)
		json_array_append_new(array, json_string(strings->pdata[i]));
	return array;
}

static int strings_from_json(const json_t *array, GPtrArray *strings)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(array))
		return -EBADMSG;
	json_array_foreach(array, i, item) {
		if (!json_is_string(item))
			return -EBADMSG;
		g_ptr_array_add(strings, g_strdup(json_string_value(item)));
	}
	return 0;
}

char *undo_to_text(const Undo *undo)
{
	json_auto_t *root = json_pack("{s:s, s:s?, s:o, s:o}", "kind", undo->kind, "upid",
		undo->upid, "storages", strings_to_json(undo->storages), "volumes",
		strings_to_json(undo->volumes));
	g_autofree char *json = NULL;

	assert(root);
	json = json_dumps(root, JSON_INDENT(1));
	assert(json);
	return g_strconcat(json, "\n", NULL);
}

int undo_from_text(const char *text, Undo **ret)
{
	json_auto_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	g_autoptr(Undo) undo = NULL;
	json_t *upid, *storages, *volumes;
	const char *kind;
	int r;

	if (json_unpack(root, "{s:s, s:o, s:o, s:o}", "kind", &kind, "upid", &upid, "storages",
		    &storages, "volumes", &volumes) < 0)
		return -EBADMSG;
	if (!json_is_null(upid) && !json_is_string(upid))
		return -EBADMSG;

	undo = undo_new(kind, json_string_value(upid));
	r = strings_from_json(storages, undo->storages);
	if (r >= 0)
		r = strings_from_json(volumes, undo->volumes);
	if (r < 0)
		return r;

	*ret = g_steal_pointer(&undo);
	return 0;
}

static char *dup_path(unsigned vmid)
{
	return g_strdup_printf(UNDO_DIR "/%u.json", vmid);
}

int undo_load(unsigned vmid, Undo **ret, GError **err)
{
	g_autofree char *path = dup_path(vmid);
	g_autofree char *text = NULL;
	int r;

	r = file_read(path, UNDO_SIZE_MAX, &text, NULL);
	if (r >= 0)
		r = undo_from_text(text, ret);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", path);
	return 0;
}

int undo_save(unsigned vmid, const Undo *undo, GError **err)
{
	g_autofree char *path = dup_path(vmid);
	g_autofree char *text = undo_to_text(undo);
	int r;

	r = file_mkdir_all(UNDO_DIR, 0700);
	if (r >= 0)
		r = file_replace(path, text, strlen(text), 0600);
	if (r < 0)
		return err_set_errno(err, r, "cannot write '%s'", path);
	return 0;
}

int undo_remove(unsigned vmid, GError **err)
{
	g_autofree char *path = dup_path(vmid);
	int r;

	r = RET_ERRNO(unlink(path));
	if (r < 0 && r != -ENOENT)
		return err_set_errno(err, r, "cannot remove '%s'", path);
	return 0;
}

GArray *undo_list(void)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
	GDir *dir = g_dir_open(UNDO_DIR, 0, NULL);
	const char *name;

	if (!dir)
		return ids;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *text = NULL;
		unsigned id;

		if (!g_str_has_suffix(name, ".json"))
			continue;
		text = g_strndup(name, strlen(name) - strlen(".json"));
		if (ct_id_parse(text, &id, NULL) >= 0)
			g_array_append_val(ids, id);
	}
	g_dir_close(dir);
	return ids;
}
