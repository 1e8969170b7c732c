/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/template.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/macro.h"

static int check_file(const char *template, const char *path, GError **err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return err_set(err, ENOENT, "no such template: '%s'", template);
		return err_set_errno(err, -errno, "template '%s'", template);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "template '%s' is not a regular file", template);
	return 0;
}

int template_find(const StorageSet *set, const char *template, const char *node, char **ret_path,
	GError **err)
{
	g_autoptr(VolumeInfo) info = NULL;
	g_autofree char *storage_name = NULL;
	g_autofree char *name = NULL;
	g_autofree char *path = NULL;
	Storage *storage;
	int r;

	assert(template);
	assert(ret_path);

	if (*template == '/') {
		path = g_strdup(template);
	} else {
		r = volume_id_parse(template, &storage_name, &name, err);
		if (r < 0)
			return r;
		r = storage_require(set, storage_name, node, STORAGE_CONTENT_VZTMPL, &storage, err);
		if (r < 0)
			return r;
		r = volume_resolve(set, template, &info, &path, err);
		if (r < 0)
			return r;
		if (info->content != STORAGE_CONTENT_VZTMPL)
			return err_set(err, EINVAL, "volume '%s' is not a template", template);
	}
	r = check_file(template, path, err);
	if (r < 0)
		return r;

	*ret_path = g_steal_pointer(&path);
	return 0;
}

/* Whether the template has this path. */
static bool is_at(const StorageSet *set, const char *volid, const char *path)
{
	g_autofree char *its_path = NULL;

	return volume_resolve(set, volid, NULL, &its_path, NULL) >= 0 && str_equal(its_path, path);
}

int template_volid(const StorageSet *set, const char *template, char **ret_volid, GError **err)
{
	g_autoptr(GPtrArray) storages = storage_set_list(set);
	g_autofree char *file = NULL;
	g_autoptr(VolumeInfo) info = NULL;
	int r;

	assert(template);
	assert(ret_volid);

	if (*template != '/') {
		r = volume_resolve(set, template, &info, NULL, err);
		if (r < 0)
			return r;
		if (info->content != STORAGE_CONTENT_VZTMPL)
			return err_set(err, EINVAL, "volume '%s' is not a template", template);
		*ret_volid = g_strdup(template);
		return 0;
	}

	file = g_path_get_basename(template);
	for (unsigned i = 0; i < storages->len; i++) {
		const Storage *storage = storages->pdata[i];
		g_autofree char *volid = g_strdup_printf("%s:vztmpl/%s", storage_id(storage), file);

		if (storage_content(storage) & STORAGE_CONTENT_VZTMPL &&
			is_at(set, volid, template)) {
			*ret_volid = g_steal_pointer(&volid);
			return 0;
		}
	}
	return err_set(err, ENOENT, "'%s' is no template of a storage", template);
}
