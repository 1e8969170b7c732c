/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/pending.h"

#include "agent/ct/cleanup.h"
#include "agent/ct/config.h"
#include "agent/ct/ctalloc.h"
#include "agent/ct/idmap.h"
#include "agent/ct/staged.h"
#include "agent/ct/volumes.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/macro.h"

/* The request behind a pending volume. */
static int get_request(CtConfig *config, const char *key, VolumeRequest *ret, GError **err)
{
	g_autoptr(PropString) props = NULL;
	bool is_request;
	int r;

	r = ct_volume_parse(ct_config_pending(config), key, &props, err);
	if (r < 0)
		return r;
	r = volume_request_parse(propstring_get(props, "volume"), NULL, &is_request, ret, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	if (!ret->storage)
		return err_set(err, EINVAL, "%s: no storage is named for the new volume", key);
	return 0;
}

static int make_volume(Job *job, unsigned vmid, CtConfig *config, const StorageSet *storages,
	const IdMap *idmap, const char *key, GError **err)
{
	g_auto(VolumeRequest) request = {0};
	g_autofree char *volid = NULL;
	int r;

	r = get_request(config, key, &request, err);
	if (r < 0)
		return r;
	r = ct_alloc(job, storages, vmid, idmap, &request, &volid, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	ct_staged_fulfil(config, key, volid, (int64_t)request.size_bytes);
	return 0;
}

/* Every storage that a request names, if it can be used; nothing has been made yet. */
static int check_requests(const Job *job, CtConfig *config, const StorageSet *storages,
	const GPtrArray *keys, GPtrArray *names, GError **err)
{
	for (unsigned i = 0; i < keys->len; i++) {
		g_auto(VolumeRequest) request = {0};
		Storage *storage;
		int r;

		r = get_request(config, keys->pdata[i], &request, err);
		if (r < 0)
			return r;
		r = storage_require(storages, request.storage, job->node, STORAGE_CONTENT_ROOTDIR,
			&storage, err);
		if (r < 0)
			return err_prefix(err, r, "%s", (const char *)keys->pdata[i]);
		g_ptr_array_add(names, g_strdup(request.storage));
	}
	return 0;
}

/* Makes all volumes that are asked for.  *ret_undo is set, and to be dealt with, once one may have
 * been made. */
static int make_volumes(Job *job, unsigned vmid, CtConfig *config, const StorageSet *storages,
	Undo **ret_undo, GError **err)
{
	g_autoptr(GPtrArray) keys = ct_staged_requests(config);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(IdMap) idmap = NULL;
	int r;

	if (keys->len == 0)
		return 0;

	r = id_map_from_section(ct_config_current(config), &idmap, err);
	if (r >= 0)
		r = check_requests(job, config, storages, keys, names, err);
	if (r >= 0)
		r = cleanup_prepare(job, vmid, UNDO_SET, names, ret_undo, err);
	for (unsigned i = 0; r >= 0 && i < keys->len; i++)
		r = make_volume(job, vmid, config, storages, idmap, keys->pdata[i], err);
	return r;
}

/* Frees what nothing refers to any more.  The configuration is written: what cannot be freed is lost
 * to it, and somebody should know. */
static void free_volumes(
	Job *job, unsigned vmid, const StorageSet *storages, const GPtrArray *volids)
{
	for (unsigned i = 0; i < volids->len; i++) {
		const char *volid = volids->pdata[i];
		g_autoptr(VolumeInfo) info = NULL;
		g_autoptr(GError) reason = NULL;
		int r;

		r = volume_resolve(storages, volid, &info, NULL, &reason);
		if (r >= 0 && info->vmid != vmid)
			continue;
		if (r >= 0)
			r = volume_free(storages, volid, &reason);
		if (r < 0 && r != -ENOENT && job)
			job_warn(job, "Volume '%s' stays: %s", volid, reason->message);
	}
}

static int apply(
	Job *job, const CtStore *store, unsigned vmid, CtConfig *config, bool running, GError **err)
{
	g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(StorageSet) storages = NULL;
	g_autoptr(Undo) undo = NULL;
	int r;

	r = storage_set_load(&storages, err);
	if (r >= 0 && !running && job)
		r = make_volumes(job, vmid, config, storages, &undo, err);
	if (r >= 0)
		r = ct_staged_apply(config, running, freed, err);
	if (r >= 0)
		r = ct_file_replace(store, vmid, config, err);
	if (r < 0) {
		g_autoptr(GError) reason = NULL;

		if (undo && cleanup_set(job, vmid, undo, &reason) < 0)
			job_warn(job, "Cannot undo it all: %s", reason->message);
		return r;
	}

	free_volumes(job, vmid, storages, freed);
	return undo ? undo_remove(vmid, err) : 0;
}

int pending_apply_to(Job *job, unsigned vmid, CtConfig *config, bool running, GError **err)
{
	CtStore store = ct_store_local(job->node);

	return apply(job, &store, vmid, config, running, err);
}

int pending_apply(Job *job, const CtStore *store, unsigned vmid, GError **err)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL;
	g_autoptr(GPtrArray) requests = NULL;
	int r;

	r = ct_file_load(store, NULL, vmid, &config, NULL, warnings, err);
	if (r < 0)
		return r;
	if (ct_section_is_empty(ct_config_pending(config)))
		return 0;
	requests = ct_staged_requests(config);
	if (requests->len > 0 && !job)
		return 0;
	/* What could not be read will not be in the new file. */
	if (job)
		job_warn_all(job, warnings);
	return apply(job, store, vmid, config, false, err);
}
