/* SPDX-License-Identifier: Apache-2.0 */

/* recover: cleans up after workers that died (undo.h).
 *
 * Parameters: `upid`, the task of the dead worker; without it, whatever the note says is undone.
 * With vmid 0 it goes through all notes of this node, as the agent wants at its start.  A container
 * whose file lock is held is somebody's work in progress, and left alone.  Can be repeated. */

#include "agent/ct/cleanup.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/undo.h"
#include "base/macro.h"

static int recover_one(Job *job, unsigned vmid, GError **err)
{
	CtStore store = ct_store_local(job->node);
	auto_close int lock_fd = -1;
	int r;

	r = ct_file_lock(&store, vmid, 0, &lock_fd, err);
	if (r < 0)
		return r;
	return cleanup_dead(job, vmid, job_param(job, "upid"), err);
}

int job_recover(Job *job, json_t **ret_result, GError **err)
{
	g_autoptr(GArray) vmids = NULL;

	if (job->vmid)
		return recover_one(job, job->vmid, err);

	vmids = undo_list();
	for (unsigned i = 0; i < vmids->len; i++) {
		unsigned vmid = g_array_index(vmids, unsigned, i);
		g_autoptr(GError) reason = NULL;

		/* One that cannot be cleaned up must not keep the others from it. */
		if (recover_one(job, vmid, &reason) < 0)
			job_warn(job, "Cannot clean up CT %u: %s", vmid, reason->message);
	}
	return 0;
}
