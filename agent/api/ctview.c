/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/ctview.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "agent/ct/options.h"
#include "agent/ct/staged.h"
#include "agent/ct/state.h"
#include "base/macro.h"
#include "base/propstring.h"

/* Shown when the configuration does not say how large the root volume is. */
#define ROOT_SIZE_UNKNOWN (4ULL * 1024 * 1024 * 1024)

#define MIB (1024LL * 1024)

/* --- configuration ---------------------------------------------------------------------------- */

static void add_options(json_t *view, const CtSection *section)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(section);

	for (unsigned i = 0; i < keys->len; i++)
		json_object_set_new(
			view, keys->pdata[i], json_string(ct_section_get(section, keys->pdata[i])));
}

static void add_raw(json_t *view, const CtSection *section)
{
	const GPtrArray *raw = ct_section_raw(section);
	json_t *pairs;

	if (raw->len == 0)
		return;
	pairs = json_array();
	for (unsigned i = 0; i < raw->len; i++) {
		const CtRawEntry *entry = raw->pdata[i];

		json_array_append_new(pairs, json_pack("[s, s]", entry->key, entry->value));
	}
	json_object_set_new(view, "lxc", pairs);
}

json_t *ctview_config(
	CtConfig *config, const CtSection *section, bool with_pending, const char *digest)
{
	g_autoptr(CtSection) merged = NULL;
	json_t *view = json_object();

	assert(config);
	assert(section);
	assert(digest);

	if (with_pending)
		merged = ct_staged_dup_merged(config);
	add_options(view, merged ?: section);
	add_raw(view, section);
	json_object_set_new(view, "digest", json_string(digest));
	return view;
}

/* The entry about key, made when there is none yet. */
static json_t *pending_entry(json_t *entries, const char *key)
{
	json_t *entry = json_object_get(entries, key);

	if (!entry) {
		entry = json_pack("{s:s}", "key", key);
		json_object_set_new(entries, key, entry);
	}
	return entry;
}

static void add_pending_values(json_t *entries, const CtSection *section, const char *member)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(section);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = keys->pdata[i];

		if (!str_equal(key, "delete"))
			json_object_set_new(pending_entry(entries, key), member,
				json_string(ct_section_get(section, key)));
	}
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *ctview_pending(CtConfig *config)
{
	const CtSection *pending = ct_config_pending(config);
	g_autoptr(GPtrArray) deletes = ct_staged_deletes(pending);
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	json_auto_t *entries = json_object();
	json_t *view = json_array();
	const char *key;
	json_t *entry;

	add_pending_values(entries, ct_config_current(config), "value");
	add_pending_values(entries, pending, "pending");
	for (unsigned i = 0; i < deletes->len; i++)
		json_object_set_new(pending_entry(entries, deletes->pdata[i]), "delete",
			json_integer(ct_staged_is_forced(pending, deletes->pdata[i]) ? 2 : 1));

	json_object_foreach(entries, key, entry)
		g_ptr_array_add(keys, (void *)key);
	g_ptr_array_sort(keys, compare_keys);
	for (unsigned i = 0; i < keys->len; i++)
		json_array_append(view, json_object_get(entries, keys->pdata[i]));
	return view;
}

/* --- state ------------------------------------------------------------------------------------ */

static const char *status_of(unsigned vmid, const GArray *running)
{
	if (!running)
		return "unknown";
	for (unsigned i = 0; i < running->len; i++) {
		if (g_array_index(running, unsigned, i) == vmid)
			return "running";
	}
	return "stopped";
}

static uint64_t root_size(const CtSection *section)
{
	const char *rootfs = ct_section_get(section, "rootfs");
	g_autoptr(PropString) props = NULL;
	const char *size;
	int64_t bytes;

	if (!rootfs || propstring_parse(ct_rootfs_props, SCHEMA_FILE, rootfs, &props, NULL) < 0)
		return ROOT_SIZE_UNKNOWN;
	size = propstring_get(props, "size");
	if (!size || size_parse(size, &bytes) < 0)
		return ROOT_SIZE_UNKNOWN;
	return (uint64_t)bytes;
}

/* How many CPUs it may use: its share, its number, or all that there are. */
static json_t *cpus_of(const CtSection *section)
{
	double limit = ct_section_get_number(section, "cpulimit");
	long long cores = ct_section_get_integer(section, "cores");

	if (limit > 0)
		return json_real(limit);
	return json_integer(cores > 0 ? cores : get_nprocs());
}

static void add_text(json_t *view, const char *name, const char *text)
{
	if (text)
		json_object_set_new(view, name, json_string(text));
}

static json_t *summary_of(const CtSection *section, unsigned vmid, GArray *running)
{
	g_autofree char *default_name = g_strdup_printf("CT%u", vmid);
	/* Without the key there is no swap, whatever is the default when a container is made. */
	long long swap =
		ct_section_get(section, "swap") ? ct_section_get_integer(section, "swap") : 0;
	json_t *view = json_pack("{s:i, s:s, s:s, s:s, s:o, s:I, s:I, s:I}", "vmid", (int)vmid,
		"type", "lxc", "status", status_of(vmid, running), "name",
		ct_section_get(section, "hostname") ?: default_name, "cpus", cpus_of(section),
		"maxmem", (json_int_t)ct_section_get_integer(section, "memory") * MIB, "maxswap",
		(json_int_t)swap * MIB, "maxdisk", (json_int_t)root_size(section));

	assert(view);
	add_text(view, "lock", ct_section_get(section, "lock"));
	add_text(view, "tags", ct_section_get(section, "tags"));
	if (ct_section_get_boolean(section, "template"))
		json_object_set_new(view, "template", json_integer(1));
	return view;
}

json_t *ctview_summary(const CtStore *store, const char *node, unsigned vmid, GArray *running)
{
	g_autoptr(CtConfig) config = NULL;

	assert(store);

	if (ct_file_load(store, node, vmid, &config, NULL, NULL, NULL) < 0)
		return NULL;
	return summary_of(ct_config_current(config), vmid, running);
}

static void add_number(json_t *view, const char *name, uint64_t value)
{
	json_object_set_new(view, name, json_integer((json_int_t)value));
}

/* Space of the root file system, seen through the container's init. */
static void add_disk(json_t *view, pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/root", (int)pid);
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return;
	add_number(view, "maxdisk", (uint64_t)st.f_blocks * st.f_frsize);
	add_number(view, "disk", (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize);
}

static void add_usage(json_t *view, unsigned vmid)
{
	CtUsage usage = {0};
	int r = ct_state_usage(vmid, &usage);

	add_number(view, "disk", 0);
	if (r >= 0) {
		add_number(view, "pid", (uint64_t)usage.pid);
		add_disk(view, usage.pid);
	}
	add_number(view, "uptime", usage.uptime_s);
	add_number(view, "mem", usage.mem_bytes);
	add_number(view, "swap", usage.swap_bytes);
	add_number(view, "cputime", usage.cpu_us / 1000000);
	add_number(view, "diskread", usage.disk_read_bytes);
	add_number(view, "diskwrite", usage.disk_write_bytes);
	add_number(view, "netin", usage.net_in_bytes);
	add_number(view, "netout", usage.net_out_bytes);
}

int ctview_status(const CtStore *store, unsigned vmid, json_t **ret, GError **err)
{
	g_autoptr(GArray) running = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autoptr(CtConfig) config = NULL;
	int r;

	assert(store);
	assert(ret);

	r = ct_file_load(store, NULL, vmid, &config, NULL, NULL, err);
	if (r < 0)
		return r;
	if (ct_state_running(vmid))
		g_array_append_val(running, vmid);
	*ret = summary_of(ct_config_current(config), vmid, running);
	add_usage(*ret, vmid);
	return 0;
}
