/* SPDX-License-Identifier: Apache-2.0 */

/* unlock: removes the lock property, whatever it is.  The work that set it must be dead; as long as
 * it lives on this node it holds the file lock, and this waits in vain. */

#include "agent/ct/config.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "base/macro.h"

int job_unlock(Job *job, json_t **ret_result, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL;
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r < 0)
		return r;
	r = ct_file_load(&store, NULL, job->vmid, &config, NULL, warnings, err);
	if (r >= 0)
		r = ct_lock_remove(ct_config_current(config), job->vmid, NULL, err);
	if (r < 0)
		return r;
	job_warn_all(job, warnings);
	return ct_file_replace(&store, job->vmid, config, err);
}
