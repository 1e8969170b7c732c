/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lifecycle.h"

#include <poll.h>
#include <string.h>

#include "agent/ct/cgroup.h"
#include "agent/ct/config.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/lxc.h"
#include "agent/ct/lxcconf.h"
#include "agent/ct/netdev.h"
#include "agent/ct/options.h"
#include "agent/ct/pending.h"
#include "agent/ct/quorum.h"
#include "agent/ct/state.h"
#include "agent/net/link.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

/* How long the monitor of an earlier run may still clean up before a new start fails. */
#define OLD_MONITOR_TIMEOUT_S 10

/* What hooks leave in run-time files is some lines. */
#define HOOK_TEXT_MAX (64 * 1024)

int lifecycle_require_running(unsigned vmid, GError **err)
{
	if (!ct_state_running(vmid))
		return err_set(err, ESRCH, "CT %u not running", vmid);
	return 0;
}

int lifecycle_require_stopped(unsigned vmid, GError **err)
{
	if (ct_state_running(vmid))
		return err_set(err, EALREADY, "CT %u already running", vmid);
	return 0;
}

/* Waits for the end of the monitor.  0 when it has ended, -ETIMEDOUT, or -ECANCELED when the job is
 * to be aborted (job NULL: it cannot be). */
static int wait_for_monitor(const Job *job, int monitor_fd, unsigned timeout_s)
{
	const Clock *clock = clock_system();
	int64_t until_ms = clock->monotonic_ms(clock) + (int64_t)timeout_s * 1000;

	for (;;) {
		int64_t left_ms = until_ms - clock->monotonic_ms(clock);
		struct pollfd fd = {.fd = monitor_fd, .events = POLLIN};
		int r;

		if (job && job_aborted(job))
			return -ECANCELED;
		if (left_ms < 0)
			left_ms = 0;
		r = RET_ERRNO(poll(&fd, 1, (int)MIN(left_ms, G_MAXINT)));
		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (r != -EINTR)
			return r;
	}
}

/* Nothing may be left of a container whose monitor has ended or was killed. */
static void clean_up(unsigned vmid)
{
	g_autoptr(NodeConf) node = NULL;

	if (node_conf_load(NULL, &node, NULL) >= 0)
		ct_cgroup_remove_leftovers(node->cgroup_prefix, vmid);
	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *link = ct_netdev_dup_link(vmid, i);

		(void)link_delete(link, NULL);
	}
}

/* Waits until an earlier run is completely gone: the monitor closes its socket before it runs the
 * post-stop hook, and that hook must not hit the new run's network. */
static int wait_for_old_monitor(Job *job, unsigned vmid, GError **err)
{
	auto_close int fd = -1;
	int r;

	r = ct_state_open_monitor(vmid, &fd);
	if (r == -ESRCH)
		return 0;
	if (r >= 0)
		r = wait_for_monitor(job, fd, OLD_MONITOR_TIMEOUT_S);
	if (r == -ECANCELED)
		return job_abort_error(job, err);
	if (r < 0)
		return err_set_errno(err, r, "CT %u is still being stopped", vmid);
	return 0;
}

static int check_bridges(const CtSection *section, GError **err)
{
	/* LXC would find out too, but late and in the middle of a start. */
	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *bridge = NULL;
		int r;

		r = ct_netdev_dup_bridge(section, i, &bridge, err);
		if (r == -ENOENT) {
			g_clear_error(err);
			continue;
		}
		if (r >= 0)
			r = link_require_bridge(bridge, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_start(unsigned vmid, const CtSection *section, bool skiplock, GError **err)
{
	int r;

	if (ct_section_get_boolean(section, "template"))
		return err_set(err, EINVAL, "CT %u is a template", vmid);
	for (unsigned i = 0; i < CT_DEV_MAX; i++) {
		g_autofree char *key = g_strdup_printf("dev%u", i);

		if (ct_section_get(section, key))
			return err_set(err, EOPNOTSUPP,
				"%s: handing devices of the host to a container is not supported",
				key);
	}
	r = skiplock ? 0 : ct_lock_check(section, "mounted", err);
	return r < 0 ? r : check_bridges(section, err);
}

/* The lines that the hook has left for us; NULL when there are none. */
static char **read_hook_lines(unsigned vmid, const char *suffix)
{
	g_autofree char *path = ct_state_dup_path(vmid, suffix);
	g_autofree char *text = NULL;

	if (file_read(path, HOOK_TEXT_MAX, &text, NULL) < 0)
		return NULL;
	return g_strsplit(g_strchomp(text), "\n", -1);
}

/* What the configuration for LXC and the hook have found odd. */
static void report_warnings(Job *job, unsigned vmid, const GPtrArray *warnings)
{
	g_auto(GStrv) lines = read_hook_lines(vmid, "warnings");

	for (unsigned i = 0; i < warnings->len; i++)
		job_warn(job, "%s", (const char *)warnings->pdata[i]);
	for (unsigned i = 0; lines && lines[i]; i++)
		job_warn(job, "%s", lines[i]);
}

static int write_skiplock(unsigned vmid, GError **err)
{
	g_autofree char *path = ct_state_dup_path(vmid, "skiplock");
	int r;

	r = file_replace(path, "", 0, 0600);
	if (r < 0)
		return err_set_errno(err, r, "cannot write '%s'", path);
	return 0;
}

/* A start that has failed: waits for the end of what was there, and says why.  The hook knows better
 * than LXC, which only saw it fail. */
static int fail_start(unsigned vmid, int r, GError **err)
{
	g_auto(GStrv) lines = read_hook_lines(vmid, "err");
	auto_close int fd = -1;

	if (ct_state_open_monitor(vmid, &fd) >= 0)
		(void)wait_for_monitor(NULL, fd, LIFECYCLE_KILL_TIMEOUT_S);
	clean_up(vmid);

	if (lines && lines[0]) {
		g_clear_error(err);
		r = err_set(err, -r, "%s", lines[0]);
	}
	return err_prefix(err, r, "cannot start CT %u", vmid);
}

/* Everything before LXC is asked: nothing runs yet, the configuration for LXC is written. */
static int prepare_start(Job *job, unsigned vmid, const LifecycleStart *options,
	GPtrArray *warnings, bool *ret_debug, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(CtConfig) config = NULL;
	g_autoptr(NodeConf) node = NULL;
	CtSection *section;
	int r;

	r = lifecycle_require_stopped(vmid, err);
	if (r >= 0)
		r = quorum_require(err);
	if (r >= 0)
		r = node_conf_load(NULL, &node, err);
	if (r >= 0)
		r = pending_apply(job, &store, vmid, err);
	if (r >= 0)
		r = ct_file_load(&store, NULL, vmid, &config, NULL, NULL, err);
	if (r < 0)
		return r;

	section = ct_config_current(config);
	r = check_start(vmid, section, options->skiplock, err);
	if (r >= 0)
		r = wait_for_old_monitor(job, vmid, err);
	if (r < 0)
		return r;

	ct_state_forget(vmid);
	r = lxc_conf_write(vmid, section, node, warnings, err);
	if (r >= 0 && options->skiplock)
		r = write_skiplock(vmid, err);
	if (r < 0)
		return r;

	*ret_debug = options->debug || ct_section_get_boolean(section, "debug");
	return 0;
}

int lifecycle_start(Job *job, unsigned vmid, const LifecycleStart *options, GError **err)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	bool debug = false;
	int r;

	r = prepare_start(job, vmid, options, warnings, &debug, err);
	if (r < 0)
		return r;

	r = ct_lxc_start(vmid, debug, err);
	if (r < 0)
		return fail_start(vmid, r, err);
	report_warnings(job, vmid, warnings);
	return 0;
}

int lifecycle_kill(Job *job, unsigned vmid, GError **err)
{
	CtStore store = ct_store_local(job->node);
	auto_close int fd = -1;
	int r;

	/* Before the kill: afterwards the monitor may be gone at once. */
	r = ct_state_open_monitor(vmid, &fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot find the monitor of CT %u", vmid);
	r = ct_lxc_kill(vmid, err);
	if (r < 0)
		return r;
	r = wait_for_monitor(NULL, fd, LIFECYCLE_KILL_TIMEOUT_S);
	if (r < 0)
		return err_set(err, -r, "CT %u did not stop", vmid);

	clean_up(vmid);
	return pending_apply(job, &store, vmid, err);
}

int lifecycle_shutdown(Job *job, unsigned vmid, unsigned timeout_s, bool force, GError **err)
{
	CtStore store = ct_store_local(job->node);
	auto_close int fd = -1;
	int r;

	r = ct_state_open_monitor(vmid, &fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot find the monitor of CT %u", vmid);
	r = ct_lxc_shutdown(vmid, err);
	if (r < 0)
		return r;
	r = wait_for_monitor(job, fd, timeout_s);
	if (r == -ECANCELED)
		return job_abort_error(job, err);
	if (r < 0 && force) {
		job_log(job, "CT %u did not stop within %u seconds, killing it", vmid, timeout_s);
		return lifecycle_kill(job, vmid, err);
	}
	if (r < 0)
		return err_set(err, -r, "CT %u did not stop", vmid);

	clean_up(vmid);
	return pending_apply(job, &store, vmid, err);
}
