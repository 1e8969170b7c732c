/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/cleanup.h"

#include "agent/ct/cgroup.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/reboot.h"
#include "agent/ct/state.h"
#include "agent/ct/volumes.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

static bool has_string(const GPtrArray *strings, const char *string)
{
	return g_ptr_array_find_with_equal_func((GPtrArray *)strings, string, g_str_equal, NULL);
}

/* Appends the ids of all volumes of container vmid on the storages named in undo. */
static int list_volumes(const StorageSet *set, unsigned vmid, const GPtrArray *storages,
	GPtrArray *volids, GError **err)
{
	for (unsigned i = 0; i < storages->len; i++) {
		g_autoptr(GPtrArray) infos = NULL;
		Storage *storage;
		int r;

		r = storage_find(set, storages->pdata[i], &storage, err);
		if (r >= 0)
			r = storage_list(storage, 0, vmid, &infos, err);
		if (r < 0)
			return r;
		for (unsigned k = 0; k < infos->len; k++) {
			const VolumeInfo *info = infos->pdata[k];

			g_ptr_array_add(volids, g_strdup(info->volid));
		}
	}
	return 0;
}

/* Frees what came after the note, but for what keep names. */
static int free_new_volumes(
	Job *job, unsigned vmid, const Undo *undo, const GPtrArray *keep, GError **err)
{
	g_autoptr(GPtrArray) volids = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(StorageSet) set = NULL;
	int r;

	r = storage_set_load(&set, err);
	if (r >= 0)
		r = list_volumes(set, vmid, undo->storages, volids, err);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < volids->len; i++) {
		const char *volid = volids->pdata[i];

		if (has_string(undo->volumes, volid) || (keep && has_string(keep, volid)))
			continue;
		r = volume_free(set, volid, err);
		if (r < 0)
			return r;
		job_log(job, "Freed volume '%s'", volid);
	}
	return 0;
}

/* Everything about the container outside of the store. */
static int remove_local_traces(unsigned vmid, GError **err)
{
	g_autofree char *lxc_dir = g_strdup_printf(PATH_LXC "/%u", vmid);
	g_autoptr(NodeConf) node = NULL;
	int r;

	r = node_conf_load(NULL, &node, err);
	if (r < 0)
		return r;
	ct_cgroup_remove_leftovers(node->cgroup_prefix, vmid);
	ct_state_forget(vmid);
	reboot_request_clear(vmid);

	r = file_remove_tree(lxc_dir);
	if (r < 0)
		return err_set_errno(err, r, "cannot remove '%s'", lxc_dir);
	return undo_remove(vmid, err);
}

int cleanup_create(Job *job, unsigned vmid, const Undo *undo, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(CtConfig) config = NULL;
	int r;

	r = ct_file_load(&store, NULL, vmid, &config, NULL, NULL, err);
	if (r == -ENOENT) {
		/* The configuration comes before the first volume and goes after the last one: no
		 * configuration, no volume.  What there is may be that of another node, on a
		 * storage that we share. */
		g_clear_error(err);
		return undo_remove(vmid, err);
	}
	if (r < 0)
		return r;
	/* Finished after all, only the note was left. */
	if (!str_equal(ct_section_get(ct_config_current(config), "lock"), "create"))
		return undo_remove(vmid, err);

	r = free_new_volumes(job, vmid, undo, NULL, err);
	if (r >= 0)
		r = ct_file_remove(&store, vmid, err);
	if (r < 0)
		return r;
	return remove_local_traces(vmid, err);
}

int cleanup_set(Job *job, unsigned vmid, const Undo *undo, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(GPtrArray) named = NULL;
	g_autoptr(CtConfig) config = NULL;
	int r;

	r = ct_file_load(&store, NULL, vmid, &config, NULL, NULL, err);
	if (r == -ENOENT) {
		/* It has moved to another node meanwhile, with its volumes. */
		g_clear_error(err);
		return undo_remove(vmid, err);
	}
	if (r < 0)
		return r;
	named = ct_volume_collect(config);
	r = free_new_volumes(job, vmid, undo, named, err);
	if (r < 0)
		return r;
	return undo_remove(vmid, err);
}

static int free_own_volumes(Job *job, unsigned vmid, CtConfig *config, GError **err)
{
	g_autoptr(GPtrArray) volids = ct_volume_collect(config);
	g_autoptr(StorageSet) set = NULL;
	int r;

	r = storage_set_load(&set, err);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < volids->len; i++) {
		const char *volid = volids->pdata[i];
		g_autoptr(VolumeInfo) info = NULL;

		r = volume_resolve(set, volid, &info, NULL, err);
		if (r < 0)
			return r;
		if (info->vmid != vmid) {
			job_warn(job, "Volume '%s' is not one of CT %u, it stays", volid, vmid);
			continue;
		}
		r = volume_free(set, volid, err);
		if (r == -ENOENT) {
			/* Freed by an earlier attempt, or gone by hand. */
			g_clear_error(err);
			continue;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int cleanup_destroy(Job *job, unsigned vmid, CtConfig *config, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autofree char *firewall = g_strdup_printf(PATH_STORE "/firewall/%u.fw", vmid);
	int r;

	r = free_own_volumes(job, vmid, config, err);
	if (r < 0)
		return r;
	r = RET_ERRNO(unlink(firewall));
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return err_set_errno(err, r, "cannot remove '%s'", firewall);
	r = ct_file_remove(&store, vmid, err);
	if (r < 0)
		return r;
	return remove_local_traces(vmid, err);
}

/* A destroy goes on when the configuration still says that it is being destroyed. */
static int finish_destroy(Job *job, unsigned vmid, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(CtConfig) config = NULL;
	g_autoptr(GError) reason = NULL;
	int r;

	r = ct_file_load(&store, NULL, vmid, &config, NULL, NULL, &reason);
	if (r == -ENOENT)
		return undo_remove(vmid, err);
	if (r < 0) {
		g_propagate_error(err, g_steal_pointer(&reason));
		return r;
	}
	if (!str_equal(ct_section_get(ct_config_current(config), "lock"), "destroyed"))
		return undo_remove(vmid, err);
	return cleanup_destroy(job, vmid, config, err);
}

int cleanup_dead(Job *job, unsigned vmid, const char *upid, GError **err)
{
	g_autoptr(GError) reason = NULL;
	g_autoptr(Undo) undo = NULL;
	int r;

	r = undo_load(vmid, &undo, &reason);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		g_propagate_error(err, g_steal_pointer(&reason));
		return r;
	}
	if (upid && !str_equal(upid, undo->upid))
		return 0;

	job_log(job, "Cleaning up after an interrupted %s of CT %u", undo->kind, vmid);
	if (str_equal(undo->kind, UNDO_CREATE))
		return cleanup_create(job, vmid, undo, err);
	if (str_equal(undo->kind, UNDO_DESTROY))
		return finish_destroy(job, vmid, err);
	if (str_equal(undo->kind, UNDO_SET))
		return cleanup_set(job, vmid, undo, err);
	return err_set(
		err, EBADMSG, "nothing is known about undoing '%s' of CT %u", undo->kind, vmid);
}

int cleanup_prepare(Job *job, unsigned vmid, const char *kind, const GPtrArray *storages,
	Undo **ret, GError **err)
{
	g_autoptr(Undo) undo = undo_new(kind, job->upid);
	g_autoptr(StorageSet) set = NULL;
	int r;

	r = cleanup_dead(job, vmid, NULL, err);
	if (r >= 0)
		r = storage_set_load(&set, err);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < storages->len; i++) {
		if (!has_string(undo->storages, storages->pdata[i]))
			g_ptr_array_add(undo->storages, g_strdup(storages->pdata[i]));
	}
	r = list_volumes(set, vmid, undo->storages, undo->volumes, err);
	if (r >= 0)
		r = undo_save(vmid, undo, err);
	if (r < 0)
		return r;

	*ret = g_steal_pointer(&undo);
	return 0;
}
