/* SPDX-License-Identifier: Apache-2.0 */

/* startall: starts the containers of this node that start with it (onboot), in their order: by the
 * number in `startup`, those without one last, by id among equals.  Between two starts it waits for
 * the seconds that `up` of the earlier one says.  One that does not start is a warning. */

#include <poll.h>

#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/joblock.h"
#include "agent/ct/lifecycle.h"
#include "agent/ct/options.h"
#include "agent/ct/state.h"
#include "base/macro.h"
#include "base/propstring.h"

/* Whoever waits longer than an hour means something else. */
#define UP_DELAY_MAX_S 3600

typedef struct BootEntry {
	unsigned vmid;
	int64_t order; /* INT64_MAX: none. */
	int64_t up_delay_s;
} BootEntry;

static int compare_entries(const void *a, const void *b)
{
	const BootEntry *entry_a = a, *entry_b = b;

	if (entry_a->order != entry_b->order)
		return entry_a->order < entry_b->order ? -1 : 1;
	return (entry_a->vmid > entry_b->vmid) - (entry_a->vmid < entry_b->vmid);
}

static void read_startup(const CtSection *section, BootEntry *entry)
{
	const char *text = ct_section_get(section, "startup");
	g_autoptr(PropString) props = NULL;

	if (!text || propstring_parse(ct_startup_props, SCHEMA_FILE, text, &props, NULL) < 0)
		return;
	entry->order = propstring_get_integer(props, "order", INT64_MAX);
	entry->up_delay_s = CLAMP(propstring_get_integer(props, "up", 0), 0, UP_DELAY_MAX_S);
}

/* The containers to start, in order. */
static int collect(Job *job, const CtStore *store, GArray **ret, GError **err)
{
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(BootEntry));
	g_autoptr(GArray) vmids = NULL;
	int r;

	r = ct_file_list(store, NULL, &vmids, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < vmids->len; i++) {
		BootEntry entry = {
			.vmid = g_array_index(vmids, unsigned, i),
			.order = INT64_MAX,
		};
		g_autoptr(CtConfig) config = NULL;
		g_autoptr(GError) reason = NULL;
		CtSection *section;

		if (ct_file_load(store, NULL, entry.vmid, &config, NULL, NULL, &reason) < 0) {
			job_warn(job, "%s", reason->message);
			continue;
		}
		section = ct_config_current(config);
		if (!ct_section_get_boolean(section, "onboot") ||
			ct_section_get_boolean(section, "template"))
			continue;
		read_startup(section, &entry);
		g_array_append_val(entries, entry);
	}

	g_array_sort(entries, compare_entries);
	*ret = g_steal_pointer(&entries);
	return 0;
}

static int start_one(Job *job, const CtStore *store, unsigned vmid, GError **err)
{
	LifecycleStart options = {0};
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, store, vmid, CT_LOCK_TIMEOUT_MS, &lock_fd, err);
	if (r < 0)
		return r;
	return lifecycle_start(job, vmid, &options, err);
}

int job_startall(Job *job, json_t **ret_result, GError **err)
{
	CtStore store = ct_store_local(job->node);
	g_autoptr(GArray) entries = NULL;
	int r;

	r = collect(job, &store, &entries, err);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < entries->len; i++) {
		const BootEntry *entry = &g_array_index(entries, BootEntry, i);
		g_autoptr(GError) reason = NULL;

		if (job_aborted(job))
			return job_abort_error(job, err);
		if (ct_state_running(entry->vmid))
			continue;
		job_log(job, "Starting CT %u", entry->vmid);
		if (start_one(job, &store, entry->vmid, &reason) < 0)
			job_warn(job, "%s", reason->message);
		else if (i + 1 < entries->len)
			(void)poll(NULL, 0, (int)entry->up_delay_s * 1000);
	}
	return 0;
}
