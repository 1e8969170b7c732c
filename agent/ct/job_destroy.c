/* SPDX-License-Identifier: Apache-2.0 */

/* vzdestroy: removes a container and its volumes.  While it is at work the configuration has `lock:
 * destroyed`; one that was left so by a failure (a storage that was not there) can be destroyed
 * again.  --force stops a running container first; --purge is for what else may name it, which there
 * is none of here. */

#include "agent/ct/cleanup.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/lifecycle.h"
#include "agent/ct/quorum.h"
#include "agent/ct/state.h"
#include "agent/ct/volumes.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/macro.h"

/* Volumes of this id on any storage that its configuration does not know. */
static int free_unreferenced(Job *job, CtConfig *config, GError **err)
{
	g_autoptr(GPtrArray) named = ct_volume_collect(config);
	g_autoptr(StorageSet) set = NULL;
	g_autoptr(GPtrArray) storages = NULL;
	int r;

	r = storage_set_load(&set, err);
	if (r < 0)
		return r;

	storages = storage_set_list(set);
	for (unsigned i = 0; i < storages->len; i++) {
		g_autoptr(GPtrArray) infos = NULL;

		if (storage_disabled(storages->pdata[i]))
			continue;
		r = storage_list(storages->pdata[i], 0, job->vmid, &infos, err);
		for (unsigned k = 0; r >= 0 && k < infos->len; k++) {
			const VolumeInfo *info = infos->pdata[k];

			/* A backup carries the id too, and is all the more worth keeping now. */
			if (!(info->content & (STORAGE_CONTENT_ROOTDIR | STORAGE_CONTENT_IMAGES)))
				continue;
			if (g_ptr_array_find_with_equal_func(named, info->volid, g_str_equal, NULL))
				continue;
			job_log(job, "Freeing unreferenced volume '%s'", info->volid);
			r = volume_free(set, info->volid, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int check(Job *job, CtConfig *config, GError **err)
{
	CtSection *section = ct_config_current(config);
	int r;

	r = ct_protection_check(section, job->vmid, "destroy", err);
	if (r < 0)
		return r;
	r = ct_lock_check(section, "destroyed", err);
	if (r < 0)
		return r;
	if (ct_state_running(job->vmid) && !job_param_boolean(job, "force", false))
		return err_set(
			err, EBUSY, "CT %u is running, stop it first or use --force", job->vmid);
	return quorum_require(err);
}

int job_vzdestroy(Job *job, json_t **ret_result, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(GPtrArray) no_storages = g_ptr_array_new();
	g_autoptr(CtConfig) config = NULL;
	g_autoptr(Undo) undo = NULL;
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r >= 0)
		r = cleanup_dead(job, job->vmid, NULL, err);
	if (r >= 0)
		r = ct_file_load(&store, NULL, job->vmid, &config, NULL, NULL, err);
	if (r >= 0)
		r = check(job, config, err);
	if (r >= 0 && ct_state_running(job->vmid)) {
		r = lifecycle_kill(job, job->vmid, err);
		/* That has applied pending changes. */
		if (r >= 0) {
			g_clear_pointer(&config, ct_config_free);
			r = ct_file_load(&store, NULL, job->vmid, &config, NULL, NULL, err);
		}
	}
	if (r < 0)
		return r;

	r = cleanup_prepare(job, job->vmid, UNDO_DESTROY, no_storages, &undo, err);
	if (r < 0)
		return r;
	ct_section_set(ct_config_current(config), "lock", "destroyed");
	r = ct_file_replace(&store, job->vmid, config, err);
	if (r >= 0 && job_param_boolean(job, "destroy-unreferenced-disks", false))
		r = free_unreferenced(job, config, err);
	if (r >= 0)
		r = cleanup_destroy(job, job->vmid, config, err);
	/* An orderly failure is not to be recovered from: the lock tells, and the user decides. */
	if (r < 0)
		(void)undo_remove(job->vmid, NULL);
	return r;
}
