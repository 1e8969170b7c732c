/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage.h"

#include <string.h>

#include "agent/storage/backend.h"
#include "agent/storage/storage_cfg.h"
#include "agent/storage/volname.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"

#define PATH_STORAGE_CFG   PATH_STORE "/storage.cfg"
#define PATH_STORAGE_LOCKS "/var/lock/pve-manager"

/* Making a volume takes well below a second; a minute is a storage that hangs. */
#define LOCK_TIMEOUT_MS 60000

/* A storage and a volume name, with room to spare. */
#define VOLUME_ID_MAX (VOLUME_NAME_MAX + 128)

struct Storage {
	StorageSection *section;
	const StorageType *type;
	const StorageBackend *backend; /* NULL: this version cannot use the type. */
	unsigned content;
	char **nodes; /* NULL: all. */
};

struct StorageSet {
	GPtrArray *storages; /* Storage*, owned, sorted by id. */
};

static const StorageBackend *const backends[] = {
	&backend_dir,
};

static Storage *storage_free(Storage *storage)
{
	if (!storage)
		return NULL;
	storage_section_free(storage->section);
	g_strfreev(storage->nodes);
	g_free(storage);
	return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Storage, storage_free)

static void storage_destroy(void *data)
{
	storage_free(data);
}

/* Takes section.  NULL, with a warning, when nothing can be done with it. */
static Storage *storage_new(StorageSection *section, GPtrArray *warnings)
{
	g_autoptr(Storage) storage = g_new0(Storage, 1);
	const char *content, *nodes;

	storage->section = section;
	storage->type = storage_type_find(section->type);
	if (!storage->type) {
		if (warnings)
			g_ptr_array_add(warnings,
				g_strdup_printf("storage '%s': unknown type '%s', skipped",
					section->id, section->type));
		return NULL;
	}
	for (unsigned i = 0; storage->type->required[i]; i++) {
		const char *key = storage->type->required[i];
		const char *value = storage_section_get(section, key);
		const SchemaOption *option = schema_find(storage_properties, key, NULL);
		g_autofree char *canonical = NULL;

		if (value && schema_normalize(option, SCHEMA_FILE, value, &canonical, NULL) >= 0)
			continue;
		if (warnings)
			g_ptr_array_add(warnings,
				g_strdup_printf("storage '%s': property '%s' is %s, skipped",
					section->id, key, value ? "wrong" : "missing"));
		return NULL;
	}

	for (unsigned i = 0; i < G_N_ELEMENTS(backends); i++)
		if (str_equal(backends[i]->type, section->type))
			storage->backend = backends[i];
	content = storage_section_get(section, "content");
	storage->content =
		content ? storage_content_parse(content, NULL) : storage->type->default_content;
	nodes = storage_section_get(section, "nodes");
	if (nodes && !str_equal(section->id, "local"))
		storage->nodes = g_strsplit_set(nodes, ",; ", -1);
	return g_steal_pointer(&storage);
}

/* Storage `local`, as it is when storage.cfg does not name it. */
static StorageSection *section_new_local(void)
{
	StorageSection *section = storage_section_new("dir", "local");

	storage_section_set(section, "path", PATH_VZ);
	storage_section_set(section, "content", "backup,images,iso,rootdir,snippets,vztmpl");
	return section;
}

static int compare_storages(const void *a, const void *b)
{
	return strcmp(storage_id(*(Storage *const *)a), storage_id(*(Storage *const *)b));
}

StorageSet *storage_set_parse(const char *text, GPtrArray *warnings)
{
	g_autoptr(GPtrArray) sections = storage_cfg_parse(text, warnings);
	StorageSet *set = g_new0(StorageSet, 1);
	bool have_local = false;

	set->storages = g_ptr_array_new_with_free_func(storage_destroy);
	while (sections->len > 0) {
		Storage *storage =
			storage_new(g_ptr_array_steal_index(sections, sections->len - 1), warnings);

		if (!storage)
			continue;
		have_local |= str_equal(storage_id(storage), "local");
		g_ptr_array_add(set->storages, storage);
	}
	if (!have_local)
		g_ptr_array_add(set->storages, storage_new(section_new_local(), NULL));
	g_ptr_array_sort(set->storages, compare_storages);
	return set;
}

int storage_set_load(StorageSet **ret, GError **err)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = NULL;
	int r;

	assert(ret);

	r = file_read(PATH_STORAGE_CFG, STORAGE_CFG_SIZE_MAX, &text, NULL);
	if (r < 0 && r != -ENOENT)
		return err_set_errno(err, r, "cannot read '%s'", PATH_STORAGE_CFG);

	*ret = storage_set_parse(text, warnings);
	for (unsigned i = 0; i < warnings->len; i++)
		log_warning("%s: %s", PATH_STORAGE_CFG, (const char *)warnings->pdata[i]);
	return 0;
}

StorageSet *storage_set_free(StorageSet *set)
{
	if (!set)
		return NULL;
	g_ptr_array_unref(set->storages);
	g_free(set);
	return NULL;
}

GPtrArray *storage_set_list(const StorageSet *set)
{
	GPtrArray *list = g_ptr_array_new();

	for (unsigned i = 0; i < set->storages->len; i++)
		g_ptr_array_add(list, set->storages->pdata[i]);
	return list;
}

int storage_find(const StorageSet *set, const char *id, Storage **ret, GError **err)
{
	assert(set);
	assert(id);
	assert(ret);

	for (unsigned i = 0; i < set->storages->len; i++)
		if (str_equal(storage_id(set->storages->pdata[i]), id)) {
			*ret = set->storages->pdata[i];
			return 0;
		}
	return err_set(err, ENOENT, "storage '%s' does not exist", id);
}

/* Whether volumes can be reached: the type works here, the storage is on and online. */
static int storage_check_usable(const Storage *storage, GError **err)
{
	int r;

	if (storage_disabled(storage))
		return err_set(err, EINVAL, "storage '%s' is disabled", storage_id(storage));
	if (!storage->backend)
		return err_set(err, EOPNOTSUPP,
			"storage '%s' has type '%s', which this version cannot use",
			storage_id(storage), storage_type(storage));
	r = storage->backend->check_online(storage, err);
	return r < 0 ? err_prefix(err, r, "storage '%s' is not online", storage_id(storage)) : 0;
}

int storage_require(const StorageSet *set, const char *id, const char *node, unsigned content,
	Storage **ret, GError **err)
{
	Storage *storage;
	int r;

	assert(ret);

	r = storage_find(set, id, &storage, err);
	if (r < 0)
		return r;
	if (node && !storage_on_node(storage, node))
		return err_set(err, EINVAL, "storage '%s' is not available on node '%s'", id, node);
	r = storage_check_usable(storage, err);
	if (r < 0)
		return r;
	for (unsigned bit = 1; bit <= content; bit <<= 1)
		if (content & bit & ~storage->content)
			return err_set(err, EINVAL,
				"content type '%s' is not available on storage '%s'",
				storage_content_to_string(bit), id);

	*ret = storage;
	return 0;
}

const char *storage_id(const Storage *storage)
{
	return storage->section->id;
}

const char *storage_type(const Storage *storage)
{
	return storage->section->type;
}

unsigned storage_content(const Storage *storage)
{
	return storage->content;
}

static bool storage_flag(const Storage *storage, const char *key)
{
	const char *value = storage_property(storage, key);

	return value && schema_parse_boolean(value) > 0;
}

bool storage_shared(const Storage *storage)
{
	return storage->type->shared || storage_flag(storage, "shared");
}

bool storage_disabled(const Storage *storage)
{
	return storage_flag(storage, "disable");
}

bool storage_on_node(const Storage *storage, const char *node)
{
	return !storage->nodes || g_strv_contains((const char *const *)storage->nodes, node);
}

const char *storage_property(const Storage *storage, const char *key)
{
	return storage_section_get(storage->section, key);
}

int storage_status(const Storage *storage, StorageStatus *ret, GError **err)
{
	StorageStatus status = {};
	int r;

	assert(storage);
	assert(ret);

	if (storage_check_usable(storage, NULL) >= 0) {
		r = storage->backend->space(storage, &status, err);
		if (r < 0)
			return err_prefix(err, r, "storage '%s'", storage_id(storage));
		status.active = true;
	}
	*ret = status;
	return 0;
}

const char *volume_format_to_string(VolumeFormat format, const char *volid)
{
	static const struct {
		const char *suffix;
		const char *name;
	} file_formats[] = {
		{".tar", "tar"},
		{".tar.bz2", "tbz2"},
		{".tar.gz", "tgz"},
		{".tar.lzo", "tlzo"},
		{".tar.xz", "txz"},
		{".tar.zst", "tzst"},
		{".tgz", "tgz"},
		{".iso", "iso"},
	};

	if (format == VOLUME_FORMAT_RAW)
		return "raw";
	if (format == VOLUME_FORMAT_SUBVOL)
		return "subvol";
	for (unsigned i = 0; i < G_N_ELEMENTS(file_formats); i++)
		if (g_str_has_suffix(volid, file_formats[i].suffix))
			return file_formats[i].name;
	return "file";
}

VolumeInfo *volume_info_new(const Storage *storage, const VolumeName *name)
{
	VolumeInfo *info = g_new0(VolumeInfo, 1);

	if (name->vmid > 0)
		info->volid =
			g_strdup_printf("%s:%u/%s", storage_id(storage), name->vmid, name->file);
	else
		info->volid = g_strdup_printf("%s:%s/%s", storage_id(storage),
			storage_content_to_string(name->content), name->file);
	info->format = name->format;
	info->content = name->content;
	info->vmid = name->vmid;
	info->base = name->base;
	return info;
}

VolumeInfo *volume_info_free(VolumeInfo *info)
{
	if (!info)
		return NULL;
	g_free(info->volid);
	g_free(info);
	return NULL;
}

static void volume_info_destroy(void *data)
{
	volume_info_free(data);
}

int volume_id_parse(const char *volid, char **ret_storage, char **ret_name, GError **err)
{
	g_autofree char *storage = NULL;
	const char *colon;

	assert(volid);
	assert(ret_storage);
	assert(ret_name);

	colon = strlen(volid) <= VOLUME_ID_MAX ? strchr(volid, ':') : NULL;
	storage = colon ? g_strndup(volid, colon - volid) : NULL;
	if (!colon || !colon[1] || !storage_id_is_valid(storage))
		return err_set(
			err, EINVAL, "unable to parse volume id '%.*s'", VOLUME_ID_MAX, volid);

	*ret_storage = g_steal_pointer(&storage);
	*ret_name = g_strdup(colon + 1);
	return 0;
}

/* The storage of volid (borrowed from set) and what its name says (owned by the caller). */
static int volume_find(const StorageSet *set, const char *volid, Storage **ret_storage,
	VolumeName **ret_name, GError **err)
{
	g_autofree char *id = NULL;
	g_autofree char *text = NULL;
	g_autoptr(VolumeName) name = NULL;
	Storage *storage;
	int r;

	assert(set);

	r = volume_id_parse(volid, &id, &text, err);
	if (r < 0)
		return r;
	r = storage_find(set, id, &storage, err);
	if (r < 0)
		return r;
	if (!storage->backend)
		return storage_check_usable(storage, err);
	r = volume_name_parse(text, &name);
	if (r < 0)
		return err_set(err, -r, "unable to parse volume id '%s'", volid);

	*ret_storage = storage;
	*ret_name = g_steal_pointer(&name);
	return 0;
}

int volume_resolve(const StorageSet *set, const char *volid, VolumeInfo **ret_info, char **ret_path,
	GError **err)
{
	g_autoptr(VolumeName) name = NULL;
	Storage *storage;
	int r;

	r = volume_find(set, volid, &storage, &name, err);
	if (r < 0)
		return r;

	if (ret_info)
		*ret_info = volume_info_new(storage, name);
	if (ret_path)
		*ret_path = storage->backend->path_dup(storage, name);
	return 0;
}

int volume_open(const StorageSet *set, const char *volid, int flags, int *ret_fd,
	VolumeInfo **ret_info, GError **err)
{
	g_autoptr(VolumeName) name = NULL;
	Storage *storage;
	int r;

	assert(ret_fd);

	r = volume_find(set, volid, &storage, &name, err);
	if (r < 0)
		return r;
	r = storage_check_usable(storage, err);
	if (r < 0)
		return r;
	r = storage->backend->open(storage, name, flags, ret_fd, err);
	if (r < 0)
		return r;

	if (ret_info)
		*ret_info = volume_info_new(storage, name);
	return 0;
}

/* Numbers of new volumes are chosen, and directories of guests come and go, under this lock. */
static int storage_lock(const Storage *storage, int *ret_fd, GError **err)
{
	g_autofree char *path = NULL;
	int r;

	r = file_mkdir_all(PATH_STORAGE_LOCKS, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make directory '%s'", PATH_STORAGE_LOCKS);
	path = g_strdup_printf("%s/pve-storage-%s", PATH_STORAGE_LOCKS, storage_id(storage));
	return file_lock(path, LOCK_TIMEOUT_MS, ret_fd, err);
}

int volume_alloc(const StorageSet *set, const char *storage_name, const VolumeSpec *spec,
	char **ret_volid, GError **err)
{
	g_autofree char *name = NULL;
	auto_close int lock_fd = -1;
	Storage *storage;
	int r;

	assert(spec);
	assert(ret_volid);

	r = storage_require(set, storage_name, NULL, STORAGE_CONTENT_ROOTDIR, &storage, err);
	if (r < 0)
		return r;
	if (spec->size_bytes > INT64_MAX)
		return err_set(err, ERANGE, "a volume of %" G_GUINT64_FORMAT " bytes is too large",
			spec->size_bytes);
	r = storage_lock(storage, &lock_fd, err);
	if (r < 0)
		return r;
	r = storage->backend->alloc(storage, spec, &name, err);
	if (r < 0)
		return err_prefix(err, r, "cannot make a volume on storage '%s'", storage_name);

	*ret_volid = g_strdup_printf("%s:%s", storage_name, name);
	return 0;
}

int volume_free(const StorageSet *set, const char *volid, GError **err)
{
	g_autoptr(VolumeName) name = NULL;
	auto_close int lock_fd = -1;
	Storage *storage;
	int r;

	r = volume_find(set, volid, &storage, &name, err);
	if (r < 0)
		return r;
	r = storage_check_usable(storage, err);
	if (r < 0)
		return r;
	r = storage_lock(storage, &lock_fd, err);
	if (r < 0)
		return r;
	return storage->backend->free(storage, name, err);
}

/* Guest volumes first, by guest; within a guest or a content type by name. */
static int compare_volumes(const void *a, const void *b)
{
	const VolumeInfo *x = *(VolumeInfo *const *)a;
	const VolumeInfo *y = *(VolumeInfo *const *)b;

	if (x->vmid != y->vmid)
		return x->vmid - 1 < y->vmid - 1 ? -1 : 1;
	return strcmp(x->volid, y->volid);
}

int storage_list(
	const Storage *storage, unsigned content, unsigned vmid, GPtrArray **ret, GError **err)
{
	g_autoptr(GPtrArray) volumes = NULL;
	int r;

	assert(storage);
	assert(ret);

	r = storage_check_usable(storage, err);
	if (r < 0)
		return r;
	volumes = g_ptr_array_new_with_free_func(volume_info_destroy);
	content = content ? content & storage->content : storage->content;
	if (content) {
		r = storage->backend->list(storage, content, vmid, volumes, err);
		if (r < 0)
			return err_prefix(err, r, "cannot list storage '%s'", storage_id(storage));
	}
	g_ptr_array_sort(volumes, compare_volumes);

	*ret = g_steal_pointer(&volumes);
	return 0;
}
