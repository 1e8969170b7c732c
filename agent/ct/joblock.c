/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/joblock.h"

#include "base/macro.h"

/* Most holders only make a short edit: waiting for those is not worth a line. */
#define QUIET_MS 500U

int ct_job_lock(Job *job, const CtStore *store, unsigned vmid, unsigned timeout_ms, int *ret_fd,
	GError **err)
{
	g_autoptr(GError) reason = NULL;
	int r;

	assert(job);

	/* What is no task has no log: its descriptors are a user's terminal. */
	if (!job->upid || timeout_ms <= QUIET_MS)
		return ct_file_lock(store, vmid, timeout_ms, ret_fd, err);

	r = ct_file_lock(store, vmid, QUIET_MS, ret_fd, &reason);
	if (r == -ETIMEDOUT) {
		job_log(job, "trying to acquire lock...");
		return ct_file_lock(store, vmid, timeout_ms - QUIET_MS, ret_fd, err);
	}
	if (r < 0)
		g_propagate_error(err, g_steal_pointer(&reason));
	return r;
}
