/* SPDX-License-Identifier: Apache-2.0 */

/* vzstop: kills a container.  vzshutdown: asks it to shut down and waits. */

#include "agent/ct/config.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/lifecycle.h"
#include "base/macro.h"

#define SHUTDOWN_TIMEOUT_S 60

/* Takes the file lock of a running container whose configuration is not locked.  A container whose
 * configuration cannot be read can still be stopped, as skiplock says. */
static int lock_running(
	Job *job, const char *allowed_lock, bool skiplock, int *ret_lock_fd, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(CtConfig) config = NULL;
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r < 0)
		return r;
	if (!skiplock) {
		r = ct_file_load(&store, NULL, job->vmid, &config, NULL, NULL, err);
		if (r >= 0)
			r = ct_lock_check(ct_config_current(config), allowed_lock, err);
		if (r < 0)
			return r;
	}
	r = lifecycle_require_running(job->vmid, err);
	if (r < 0)
		return r;

	*ret_lock_fd = fd_steal(&lock_fd);
	return 0;
}

int job_vzstop(Job *job, json_t **ret_result, GError **err)
{
	auto_close int lock_fd = -1;
	int r;

	r = lock_running(job, "mounted", job_param_boolean(job, "skiplock", false), &lock_fd, err);
	if (r < 0)
		return r;
	return lifecycle_kill(job, job->vmid, err);
}

int job_vzshutdown(Job *job, json_t **ret_result, GError **err)
{
	unsigned timeout_s = (unsigned)job_param_integer(job, "timeout", SHUTDOWN_TIMEOUT_S);
	auto_close int lock_fd = -1;
	int r;

	r = lock_running(job, NULL, false, &lock_fd, err);
	if (r < 0)
		return r;
	return lifecycle_shutdown(
		job, job->vmid, timeout_s, job_param_boolean(job, "forceStop", false), err);
}
