/* SPDX-License-Identifier: Apache-2.0 */

/* recover: cleans up after workers that died (undo.h).
 *
 * Parameters: `upid`, the task of the dead worker; without it, whatever the note says is undone.
 * With vmid 0 it goes through all notes of this node; a container whose file lock is held is then
 * somebody's work in progress, and left alone.  Can be repeated. */

#include "agent/ct/cleanup.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/undo.h"
#include "base/macro.h"

static int recover_one(Job *job, unsigned vmid, unsigned timeout_ms, GError **err)
{
	CtStore store = ct_store_local(job->node);
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, vmid, timeout_ms, &lock_fd, err);
	if (r < 0)
		return r;
	return cleanup_dead(job, vmid, job_param(job, "upid"), err);
}

int job_recover(Job *job, json_t **ret_result, GError **err)
{
	g_autoptr(GArray) vmids = NULL;

	/* Children of the dead worker hold the lock until they have noticed, or are done. */
	if (job->vmid)
		return recover_one(job, job->vmid, CT_LOCK_TIMEOUT_MS, err);

	vmids = undo_list();
	for (unsigned i = 0; i < vmids->len; i++) {
		unsigned vmid = g_array_index(vmids, unsigned, i);
		g_autoptr(GError) reason = NULL;

		/* One that cannot be cleaned up must not keep the others from it. */
		if (recover_one(job, vmid, 0, &reason) < 0)
			job_warn(job, "Cannot clean up CT %u: %s", vmid, reason->message);
	}
	return 0;
}
