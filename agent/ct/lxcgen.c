/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxcgen.h"

#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#include "agent/ct/cpuset.h"
#include "agent/ct/idmap.h"
#include "agent/ct/lxckeys.h"
#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

#define MIB ((uint64_t)1024 * 1024)

/* The scheduler's period to which a CPU limit is a quota, and the least quota that it takes. */
#define CPU_PERIOD_US    100000
#define CPU_QUOTA_US_MIN 1000

/* Weights that the kernel takes. */
#define CPU_WEIGHT_MIN 1
#define CPU_WEIGHT_MAX 10000
#define CPU_SHARES_MIN 2

/* What one run works with. */
typedef struct Generator {
	unsigned vmid;
	const CtSection *section;
	const LxcHost *host;
	GString *text;
	LxcGenerated *result;
	IdMap *idmap;         /* In effect. */
	PropString *features; /* NULL: none are set. */
	GError **err;
} Generator;

static void put(Generator *g, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void put(Generator *g, const char *key, const char *format, ...)
{
	va_list ap;

	g_string_append_printf(g->text, "%s = ", key);
	va_start(ap, format);
	g_string_append_vprintf(g->text, format, ap);
	va_end(ap);
	g_string_append_c(g->text, '\n');
}

static void warn(Generator *g, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(Generator *g, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	g_ptr_array_add(g->result->warnings, g_strdup_vprintf(format, ap));
	va_end(ap);
}

/* A cgroup entry, under the name that this host's version has for it. */
static void put_cgroup(Generator *g, const char *v2_file, const char *v1_file, const char *value)
{
	const char *file = g->host->cgroup_v2 ? v2_file : v1_file;
	g_autofree char *key =
		g_strconcat(g->host->cgroup_v2 ? "lxc.cgroup2." : "lxc.cgroup.", file, NULL);

	put(g, key, "%s", value);
}

/* Parses the property string of key; *ret is NULL when it is not set or cannot be understood, which
 * was reported when the file was read. */
static PropString *get_props(const CtSection *section, const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);
	const char *value = ct_section_get(section, key);
	PropString *ps = NULL;

	assert(option && option->props);

	if (value)
		(void)propstring_parse(option->props, SCHEMA_FILE, value, &ps, NULL);
	return ps;
}

static bool has_feature(const Generator *g, const char *name)
{
	return g->features && propstring_get_boolean(g->features, name, false);
}

static bool is_unprivileged(const Generator *g)
{
	return !id_map_is_host(g->idmap);
}

static bool has_raw(const Generator *g, const char *key)
{
	const GPtrArray *raw = ct_section_raw(g->section);

	for (unsigned i = 0; i < raw->len; i++)
		if (lxc_key_is(((const CtRawEntry *)g_ptr_array_index(raw, i))->key, key))
			return true;
	return false;
}

/* --- The host's side: cgroups, includes, hooks ------------------------------------------------ */

static void put_cgroup_places(Generator *g)
{
	const char *prefix = g->host->cgroup_prefix;
	const char *slash = *prefix ? "/" : "";

	put(g, "lxc.cgroup.relative", "0");
	put(g, "lxc.cgroup.dir.monitor", "%s%slxc.monitor/%u", prefix, slash, g->vmid);
	/* Below this, LXC makes the cgroup that the monitor moves to in the end, so that its own can
	 * be removed; otherwise it would be outside of the prefix. */
	if (*prefix)
		put(g, "lxc.cgroup.dir.monitor.pivot", "%s", prefix);
	put(g, "lxc.cgroup.dir.container", "%s%slxc/%u", prefix, slash, g->vmid);
	put(g, "lxc.cgroup.dir.container.inner", "ns");
}

static void put_include(Generator *g, const char *kind)
{
	const char *ostype = ct_section_get(g->section, "ostype") ?: "unmanaged";
	g_autofree char *own = g_strdup_printf("%s.%s.conf", ostype, kind);
	g_autofree char *any = g_strdup_printf("%s.conf", kind);
	const char *name = g->host->has_include(g->host, own) ? own : any;

	put(g, "lxc.include", "%s/%s", g->host->include_directory, name);
}

static void put_includes(Generator *g)
{
	put_include(g, "common");
	if (!is_unprivileged(g))
		return;

	put_include(g, "userns");
	/* The include empties the lists.  An empty list with one entry more would be a list of that
	 * entry alone, so say what is meant; in v1 the kernel's default says it. */
	if (g->host->cgroup_v2)
		put(g, "lxc.cgroup2.devices.allow", "a");
}

static bool has_devices(const Generator *g)
{
	for (unsigned i = 0; i < CT_DEV_MAX; i++) {
		g_autofree char *key = g_strdup_printf("dev%u", i);

		if (ct_section_get(g->section, key))
			return true;
	}
	return false;
}

static void put_hooks(Generator *g)
{
	put(g, "lxc.hook.version", "1");
	put(g, "lxc.hook.pre-start", "%s", g->host->hook);
	if (has_devices(g))
		put(g, "lxc.hook.autodev", "%s", g->host->hook);
	put(g, "lxc.hook.post-stop", "%s", g->host->hook);
}

/* --- Confinement: seccomp, AppArmor, features ------------------------------------------------- */

/* Adds our rules to LXC's common ones, which end in a section for all architectures. */
static void make_seccomp_rules(Generator *g)
{
	GString *rules = g_string_new(g->host->common_seccomp);

	if (rules->len > 0 && rules->str[rules->len - 1] != '\n')
		g_string_append_c(rules, '\n');

	/* ENOSYS, so that programs go on without keys, which are not per container. */
	if (!has_feature(g, "keyctl"))
		g_string_append(rules, "keyctl errno 38\n");
	/* All of btrfs's own requests: some reach the whole file system, not only the container. */
	g_string_append(rules, "ioctl errno 1 [1,0x9400,SCMP_CMP_MASKED_EQ,0xff00]\n");
	/* AF_ALG, the kernel's cryptography: as if it were not built in. */
	g_string_append(rules, "socket errno 97 [0,38,SCMP_CMP_EQ]\n");

	if (has_feature(g, "mknod") && g->host->seccomp_proxy) {
		/* Character and block devices; the type is in the mode's upper bits. */
		g_string_append(rules, "mknod notify [1,8192,SCMP_CMP_MASKED_EQ,61440]\n"
				       "mknod notify [1,24576,SCMP_CMP_MASKED_EQ,61440]\n"
				       "mknodat notify [2,8192,SCMP_CMP_MASKED_EQ,61440]\n"
				       "mknodat notify [2,24576,SCMP_CMP_MASKED_EQ,61440]\n");
	}
	g->result->seccomp = g_string_free(rules, FALSE);
}

static void put_seccomp(Generator *g)
{
	if (!is_unprivileged(g) || has_raw(g, "lxc.seccomp.profile"))
		return;

	make_seccomp_rules(g);
	put(g, "lxc.seccomp.profile", "%s/%u/rules.seccomp", g->host->lxc_directory, g->vmid);
	if (!has_feature(g, "mknod"))
		return;
	if (!g->host->seccomp_proxy) {
		warn(g, "feature 'mknod' needs a proxy for system calls, which this host does not "
			"have");
		return;
	}
	put(g, "lxc.seccomp.notify.proxy", "%s", g->host->seccomp_proxy);
	put(g, "lxc.seccomp.notify.cookie", "%u", g->vmid);
}

static const char *mount_types(const Generator *g)
{
	return g->features ? propstring_get(g->features, "mount") : NULL;
}

static void warn_of_own_profile(Generator *g)
{
	static const char *const names[] = {"fuse", "nesting"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (has_feature(g, names[i]))
			warn(g, "feature '%s' has no effect with an own AppArmor profile",
				names[i]);
	if (mount_types(g))
		warn(g, "feature 'mount' has no effect with an own AppArmor profile");
}

static void put_apparmor(Generator *g)
{
	const char *types = mount_types(g);
	g_auto(GStrv) type = types ? g_strsplit(types, ";", -1) : NULL;

	if (!g->host->apparmor)
		return;
	if (has_raw(g, "lxc.apparmor.profile")) {
		warn_of_own_profile(g);
		return;
	}

	put(g, "lxc.apparmor.profile", "generated");
	if (g->host->apparmor_abi4)
		put(g, "lxc.apparmor.raw", "allow mqueue,");
	if (has_feature(g, "nesting")) {
		put(g, "lxc.apparmor.allow_nesting", "1");
		if (g->host->apparmor_abi4)
			put(g, "lxc.apparmor.raw", "allow userns,");
	} else {
		put(g, "lxc.apparmor.raw", "deny mount -> /proc/,");
		put(g, "lxc.apparmor.raw", "deny mount -> /sys/,");
	}
	for (unsigned i = 0; type && type[i]; i++)
		put(g, "lxc.apparmor.raw", "mount fstype=%s,", type[i]);
	if (has_feature(g, "fuse"))
		put(g, "lxc.apparmor.raw", "mount fstype=fuse,");
}

static void put_mounts(Generator *g)
{
	const char *entrypoint = ct_section_get(g->section, "entrypoint");

	/* The kernel lets a nested container mount proc and sysfs only where the outer one has
	 * both without anything mounted over parts of them.  With AppArmor, LXC does this itself. */
	if (has_feature(g, "nesting") && !g->host->apparmor) {
		put(g, "lxc.mount.entry", "proc dev/.lxc/proc proc create=dir,optional 0 0");
		put(g, "lxc.mount.entry", "sys dev/.lxc/sys sysfs create=dir,optional 0 0");
	}
	if (has_feature(g, "fuse"))
		put(g, "lxc.mount.entry", "/dev/fuse dev/fuse none bind,create=file 0 0");
	if (is_unprivileged(g) && !has_feature(g, "force_rw_sys"))
		put(g, "lxc.mount.auto", "sys:mixed");
	/* An init system mounts it; other programs expect it to be there. */
	if (entrypoint && !str_equal(entrypoint, "/sbin/init"))
		put(g, "lxc.mount.entry", "tmpfs dev/shm tmpfs nosuid,nodev,create=dir 0 0");
}

static int put_device(Generator *g, const char *key)
{
	g_autoptr(PropString) ps = get_props(g->section, key);
	const char *path = ps ? propstring_get(ps, "path") : NULL;
	g_autofree char *number = NULL;
	g_autofree char *rule = NULL;
	LxcDevice device;
	bool deny_write;
	int r;

	if (!path)
		return 0;
	r = g->host->device(g->host, path, &device);
	if (r < 0)
		return err_set_errno(g->err, r, "%s: cannot use device '%s'", key, path);

	number = g_strdup_printf("%c %u:%u", device.block ? 'b' : 'c', device.major, device.minor);
	deny_write = propstring_get_boolean(ps, "deny-write", false);
	rule = g_strconcat(number, deny_write ? " r" : " rw", NULL);
	put_cgroup(g, "devices.allow", "devices.allow", rule);
	if (deny_write) {
		g_autofree char *deny = g_strconcat(number, " w", NULL);

		put_cgroup(g, "devices.deny", "devices.deny", deny);
	}
	return 0;
}

static int put_devices(Generator *g)
{
	for (unsigned i = 0; i < CT_DEV_MAX; i++) {
		g_autofree char *key = g_strdup_printf("dev%u", i);
		int r = put_device(g, key);

		if (r < 0)
			return r;
	}
	return 0;
}

static void put_idmap(Generator *g)
{
	for (unsigned kind = 0; kind < ID_N_KINDS; kind++) {
		unsigned n;
		const IdRange *ranges = id_map_ranges(g->idmap, kind, &n);

		for (unsigned i = 0; i < n; i++)
			put(g, "lxc.idmap", "%c %" PRIu32 " %" PRIu32 " %" PRIu32,
				kind == ID_KIND_USER ? 'u' : 'g', ranges[i].container,
				ranges[i].host, ranges[i].count);
	}
}

/* --- The container's side: console, limits, network ------------------------------------------- */

static void put_console(Generator *g)
{
	const char *hostname = ct_section_get(g->section, "hostname");

	if (!ct_section_get_boolean(g->section, "console")) {
		put(g, "lxc.console.path", "none");
		put_cgroup(g, "devices.deny", "devices.deny", "c 5:1 rwm");
	}
	put(g, "lxc.tty.max", "%lld", ct_section_get_integer(g->section, "tty"));
	put(g, "lxc.environment", "TERM=linux");
	if (hostname)
		put(g, "lxc.uts.name", "%s", hostname);
	else
		put(g, "lxc.uts.name", "CT%u", g->vmid);
}

/* An amount in MiB of an option as bytes, kept inside what the kernel takes. */
static uint64_t get_bytes(const Generator *g, const char *key)
{
	long long mib = ct_section_get_integer(g->section, key);

	return (uint64_t)CLAMP(mib, 0, (long long)(INT64_MAX / MIB)) * MIB;
}

/* Where the kernel starts to reclaim in v2, a little before the limit that kills. */
static uint64_t high_mark(uint64_t memory)
{
	if (memory >= 16 * 1024 * MIB)
		return memory - 128 * MIB;
	return memory / 1024 * 1016;
}

static void put_unsigned(Generator *g, const char *v2_file, const char *v1_file, uint64_t number)
{
	g_autofree char *value = g_strdup_printf("%" PRIu64, number);

	put_cgroup(g, v2_file, v1_file, value);
}

static void put_memory(Generator *g)
{
	uint64_t memory = get_bytes(g, "memory");
	uint64_t swap = get_bytes(g, "swap");

	put_unsigned(g, "memory.max", "memory.limit_in_bytes", memory);
	if (g->host->cgroup_v2) {
		put_unsigned(g, "memory.high", NULL, high_mark(memory));
		put_unsigned(g, "memory.swap.max", NULL, swap);
	} else if (g->host->swap_accounting) {
		put_unsigned(g, NULL, "memory.memsw.limit_in_bytes",
			MIN(memory + swap, (uint64_t)INT64_MAX));
	} else {
		warn(g, "this host does not count swap, option 'swap' has no effect");
	}
}

static void put_cpu(Generator *g)
{
	double limit = ct_section_get_number(g->section, "cpulimit");

	if (limit > 0) {
		uint64_t quota = (uint64_t)MAX(limit * CPU_PERIOD_US, CPU_QUOTA_US_MIN);
		g_autofree char *v1 = g_strdup_printf("%" PRIu64, quota);
		g_autofree char *v2 = g_strdup_printf("%" PRIu64 " %d", quota, CPU_PERIOD_US);

		if (!g->host->cgroup_v2)
			put_unsigned(g, NULL, "cpu.cfs_period_us", CPU_PERIOD_US);
		put_cgroup(g, "cpu.max", "cpu.cfs_quota_us", g->host->cgroup_v2 ? v2 : v1);
	}
	if (ct_section_get(g->section, "cpuunits")) {
		long long units = ct_section_get_integer(g->section, "cpuunits");

		units = g->host->cgroup_v2 ? CLAMP(units, CPU_WEIGHT_MIN, CPU_WEIGHT_MAX)
					   : MAX(units, CPU_SHARES_MIN);
		put_unsigned(g, "cpu.weight", "cpu.shares", (uint64_t)units);
	}
}

static void put_root(Generator *g)
{
	const char *entrypoint = ct_section_get(g->section, "entrypoint");

	put(g, "lxc.rootfs.path", "%s/%u/rootfs", g->host->lxc_directory, g->vmid);
	if (entrypoint)
		put(g, "lxc.init.cmd", "%s", entrypoint);
}

static void put_net_key(Generator *g, unsigned index, const char *key, const char *value)
{
	if (value)
		g_string_append_printf(g->text, "lxc.net.%u.%s = %s\n", index, key, value);
}

/* The MTU of an interface as text, owned by the caller; *ret is NULL when nobody says one. */
static int get_mtu(Generator *g, unsigned index, const PropString *ps, char **ret)
{
	const char *bridge = propstring_get(ps, "bridge");
	int64_t own = propstring_get_integer(ps, "mtu", 0);
	int64_t most = bridge ? g->host->bridge_mtu(g->host, bridge) : 0;
	int64_t mtu = own > 0 ? own : most;

	if (own > 0 && most > 0 && own > most)
		return err_set(g->err, EINVAL,
			"net%u: mtu %" PRId64 " is larger than the %" PRId64 " of bridge '%s'",
			index, own, most, bridge);

	*ret = mtu > 0 ? g_strdup_printf("%" PRId64, mtu) : NULL;
	return 0;
}

/* Addresses are the guest's business, unless the host is to set them. */
static void put_addresses(Generator *g, unsigned index, const PropString *ps)
{
	const char *ip = propstring_get(ps, "ip");
	const char *ip6 = propstring_get(ps, "ip6");

	if (!propstring_get_boolean(ps, "host-managed", false) ||
		propstring_get_boolean(ps, "link_down", false))
		return;

	if (ip && strchr(ip, '/')) {
		put_net_key(g, index, "ipv4.address", ip);
		put_net_key(g, index, "ipv4.gateway", propstring_get(ps, "gw"));
	}
	if (ip6 && strchr(ip6, '/')) {
		put_net_key(g, index, "ipv6.address", ip6);
		put_net_key(g, index, "ipv6.gateway", propstring_get(ps, "gw6"));
	}
	put_net_key(g, index, "flags", "up");
}

/* What a plain bridge does not give.  Without its VLAN a card would be in another network than was asked
 * for; without the others it just does more than it should. */
static int check_unsupported_net(Generator *g, const char *key, const PropString *ps)
{
	if (propstring_get(ps, "tag") || propstring_get(ps, "trunks"))
		return err_set(
			g->err, EOPNOTSUPP, "%s: VLANs (tag, trunks) are not supported", key);
	if (propstring_get(ps, "rate"))
		warn(g, "%s: a limit of bandwidth (rate) is not supported and has no effect", key);
	if (propstring_get_boolean(ps, "firewall", false))
		warn(g, "%s: the firewall is not supported and has no effect", key);
	return 0;
}

static int put_net(Generator *g, const char *key)
{
	g_autoptr(PropString) ps = get_props(g->section, key);
	g_autofree char *pair = NULL;
	g_autofree char *mtu = NULL;
	unsigned index = 0;
	int r;

	if (!ps)
		return 0;

	(void)schema_find(ct_options, key, &index);
	pair = g_strdup_printf("veth%ui%u", g->vmid, index);
	if (strlen(pair) >= IFNAMSIZ)
		return err_set(g->err, EINVAL,
			"%s: name '%s' of the host's side would be longer than %d characters", key,
			pair, IFNAMSIZ - 1);
	r = check_unsupported_net(g, key, ps);
	if (r >= 0)
		r = get_mtu(g, index, ps, &mtu);
	if (r < 0)
		return r;

	put_net_key(g, index, "type", "veth");
	put_net_key(g, index, "veth.pair", pair);
	put_net_key(g, index, "hwaddr", propstring_get(ps, "hwaddr"));
	put_net_key(g, index, "name", propstring_get(ps, "name"));
	put_net_key(g, index, "mtu", mtu);
	/* liblxc plugs the host's side in and brings it up; one that is down is left alone. */
	if (!propstring_get_boolean(ps, "link_down", false))
		put_net_key(g, index, "link", propstring_get(ps, "bridge"));
	put_addresses(g, index, ps);
	return 0;
}

static int put_nets(Generator *g)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(g->section);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);
		const SchemaOption *option = schema_find(ct_options, key, NULL);
		int r = (option && option->props == ct_net_props) ? put_net(g, key) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* LXC before 6 has no variables for the container's run time alone. */
static void put_environment(Generator *g)
{
	const char *env = ct_section_get(g->section, "env");
	g_auto(GStrv) variables = env ? g_strsplit(env, "\n", -1) : NULL;

	for (char **variable = variables; variable && *variable; variable++)
		put(g, "lxc.environment", "%s", *variable);
}

static void put_raw(Generator *g)
{
	const GPtrArray *raw = ct_section_raw(g->section);

	for (unsigned i = 0; i < raw->len; i++) {
		const CtRawEntry *entry = g_ptr_array_index(raw, i);
		g_autofree char *key = lxc_key_dup_current(entry->key);

		if (!key)
			warn(g, "'%s' is an entry for LXC 2 and is left out", entry->key);
		else if (!str_equal(key, "lxc.idmap")) /* Part of the map above. */
			put(g, key, "%s", entry->value);
	}
}

static int compare_cpus(gconstpointer a, gconstpointer b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

/* A fixed number of CPUs, drawn at random so that containers spread before any balancing. */
static void put_cpuset(Generator *g)
{
	long long cores = ct_section_get_integer(g->section, "cores");
	g_autoptr(GArray) cpus = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autofree char *list = NULL;

	if (cores < 1 || has_raw(g, "lxc.cgroup2.cpuset.cpus") ||
		has_raw(g, "lxc.cgroup.cpuset.cpus"))
		return;

	g_array_append_vals(cpus, g->host->cpus, g->host->n_cpus);
	while (cpus->len > cores)
		g_array_remove_index_fast(cpus, g->host->random_below(g->host, cpus->len));
	g_array_sort(cpus, compare_cpus);

	list = cpuset_to_string(cpus);
	put_cgroup(g, "cpuset.cpus", "cpuset.cpus", list);
}

/* To liblxc, a line ends at a carriage return as well: what follows in a value would be an entry of its
 * own.  Files may hold values that no check has let in. */
static int check_lines(const Generator *g)
{
	const char *text = g->text->str;

	for (const char *c = text; *c; c++) {
		const char *line;

		if (!g_ascii_iscntrl(*c) || *c == '\n' || *c == '\t')
			continue;
		line = g_strrstr_len(text, c - text, "\n");
		line = line ? line + 1 : text;
		return err_set(g->err, EINVAL, "the value for '%.*s' has a control character",
			(int)strcspn(line, " "), line);
	}
	return 0;
}

static int generate(Generator *g)
{
	int r;

	put_cgroup_places(g);
	put(g, "lxc.arch", "%s", ct_section_get(g->section, "arch") ?: "amd64");
	put_includes(g);
	put_hooks(g);
	put_seccomp(g);
	put_apparmor(g);
	put_mounts(g);
	r = put_devices(g);
	if (r < 0)
		return r;
	put(g, "lxc.monitor.unshare", "1");
	put_idmap(g);
	put_console(g);
	put_memory(g);
	put_cpu(g);
	put_root(g);
	r = put_nets(g);
	if (r < 0)
		return r;
	put_environment(g);
	put_raw(g);
	put_cpuset(g);
	return check_lines(g);
}

int lxc_generate(unsigned vmid, const CtSection *section, const LxcHost *host, LxcGenerated **ret,
	GError **err)
{
	g_autoptr(LxcGenerated) result = g_new0(LxcGenerated, 1);
	g_autoptr(PropString) features = NULL;
	g_autoptr(GString) text = NULL;
	g_autoptr(IdMap) idmap = NULL;
	Generator g;
	int r;

	assert(section && host && ret);
	assert(vmid >= CT_ID_MIN && vmid <= CT_ID_MAX);
	assert(host->n_cpus > 0);

	r = id_map_from_section(section, &idmap, err);
	if (r < 0)
		return r;

	features = get_props(section, "features");
	text = g_string_new(NULL);
	result->warnings = g_ptr_array_new_with_free_func(g_free);
	g = (Generator){.vmid = vmid,
		.section = section,
		.host = host,
		.text = text,
		.result = result,
		.idmap = idmap,
		.features = features,
		.err = err};
	r = generate(&g);
	if (r < 0)
		return r;

	result->config = g_string_free(g_steal_pointer(&text), FALSE);
	*ret = g_steal_pointer(&result);
	return 0;
}

LxcGenerated *lxc_generated_free(LxcGenerated *generated)
{
	if (!generated)
		return NULL;

	g_clear_pointer(&generated->config, g_free);
	g_clear_pointer(&generated->seccomp, g_free);
	g_clear_pointer(&generated->warnings, g_ptr_array_unref);
	g_free(generated);
	return NULL;
}
