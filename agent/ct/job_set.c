/* SPDX-License-Identifier: Apache-2.0 */

/* set: changes options.  Of a stopped container at once, volumes that are asked for included; of a
 * running one what needs no work on it, the rest stays pending until it is next started. */

#include "agent/ct/change.h"
#include "agent/ct/changeenv.h"
#include "agent/ct/cleanup.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/pending.h"
#include "agent/ct/quorum.h"
#include "agent/ct/state.h"
#include "agent/storage/storage.h"
#include "base/macro.h"

int job_set(Job *job, json_t **ret_result, GError **err)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	CtStore store = ct_store_local(job->node);
	g_autoptr(StorageSet) storages = NULL;
	g_autoptr(CtConfig) config = NULL;
	g_autofree char *digest = NULL;
	g_auto(CtHostEnv) host = {0};
	auto_close int lock_fd = -1;
	int r;

	r = quorum_require(err);
	if (r >= 0)
		r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r >= 0)
		r = cleanup_dead(job, job->vmid, NULL, err);
	if (r >= 0)
		r = ct_file_load(&store, NULL, job->vmid, &config, &digest, warnings, err);
	if (r >= 0)
		r = storage_set_load(&storages, err);
	if (r < 0)
		return r;

	ct_host_env_init(&host, job, storages);
	r = ct_change_stage(config, job->params, digest, &host.env, warnings, err);
	job_warn_all(job, warnings);
	if (r < 0)
		return r;
	return pending_apply_to(job, job->vmid, config, ct_state_running(job->vmid), err);
}
