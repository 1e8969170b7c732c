/* SPDX-License-Identifier: Apache-2.0 */

/* vzstart: starts a stopped container.  vzreboot: shuts it down, killing it after the timeout, and
 * starts it again, all under one lock. */

#include "agent/ct/config.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/lifecycle.h"
#include "agent/ct/quorum.h"
#include "agent/ct/reboot.h"
#include "base/macro.h"

/* For the shutdown of a reboot without a timeout of its own. */
#define REBOOT_TIMEOUT_S 60

int job_vzstart(Job *job, json_t **ret_result, GError **err)
{
	LifecycleStart options = {
		.debug = job_param_boolean(job, "debug", false),
		.skiplock = job_param_boolean(job, "skiplock", false),
	};
	CtStore store = ct_store_local(job->node);
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r < 0)
		return r;

	/* Whether the start was asked for by a guest that reboots or by somebody else: it is here. */
	reboot_request_clear(job->vmid);
	return lifecycle_start(job, job->vmid, &options, err);
}

/* What would refuse the start, before there is one to be made: a container must not end as a stopped one
 * because somebody wanted it to run anew. */
static int check_reboot(const CtStore *store, unsigned vmid, GError **err)
{
	g_autoptr(CtConfig) config = NULL;
	int r;

	r = lifecycle_require_running(vmid, err);
	if (r >= 0)
		r = quorum_require(err);
	if (r >= 0)
		r = ct_file_load(store, NULL, vmid, &config, NULL, NULL, err);
	if (r >= 0)
		r = ct_lock_check(ct_config_current(config), "mounted", err);
	return r;
}

int job_vzreboot(Job *job, json_t **ret_result, GError **err)
{
	unsigned timeout_s = (unsigned)job_param_integer(job, "timeout", REBOOT_TIMEOUT_S);
	LifecycleStart options = {0};
	CtStore store = ct_store_local(job->node);
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &store, job->vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r < 0)
		return r;
	r = check_reboot(&store, job->vmid, err);
	if (r < 0)
		return r;
	r = lifecycle_shutdown(job, job->vmid, timeout_s, true, err);
	if (r < 0)
		return r;
	return lifecycle_start(job, job->vmid, &options, err);
}
