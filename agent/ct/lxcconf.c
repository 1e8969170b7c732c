/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxcconf.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "agent/ct/cpuset.h"
#include "agent/ct/lxcgen.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"

#define CGROUP_ROOT       "/sys/fs/cgroup"
#define INCLUDE_DIRECTORY "/usr/share/lxc/config"
#define COMMON_SECCOMP    INCLUDE_DIRECTORY "/common.seccomp"
#define SECCOMP_PROXY     "/run/pve-lxc-syscalld/socket"
#define HOOK              ATOLL_LIBEXECDIR "/atoll-hook"

/* Files of the kernel and of LXC that are read here are some lines. */
#define FACT_SIZE_MAX (64 * 1024)

static char *read_fact(const char *path)
{
	char *text = NULL;

	(void)file_read(path, FACT_SIZE_MAX, &text, NULL); /* NULL: not on this host. */
	return text;
}

static bool file_exists(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static bool has_include(const LxcHost *host, const char *name)
{
	g_autofree char *path = g_build_filename(host->include_directory, name, NULL);

	return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static unsigned bridge_mtu(const LxcHost *host, const char *bridge)
{
	g_autofree char *kind = g_strdup_printf("/sys/class/net/%s/bridge", bridge);
	g_autofree char *path = g_strdup_printf("/sys/class/net/%s/mtu", bridge);
	g_autofree char *text = read_fact(path);

	if (!text || !g_file_test(kind, G_FILE_TEST_IS_DIR))
		return 0;
	return (unsigned)g_ascii_strtoull(text, NULL, 10);
}

static int device(const LxcHost *host, const char *path, LxcDevice *ret)
{
	struct stat st;
	int r;

	r = RET_ERRNO(stat(path, &st));
	if (r < 0)
		return r;
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENODEV;

	*ret = (LxcDevice){.block = S_ISBLK(st.st_mode),
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev)};
	return 0;
}

static unsigned random_below(const LxcHost *host, unsigned n)
{
	return (unsigned)g_random_int_range(0, (gint32)n);
}

static bool is_cgroup_v2(void)
{
	struct statfs fs;

	return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* The CPUs that containers may use.  Where there is no cpuset controller, those that are online. */
static GArray *effective_cpus(bool cgroup_v2)
{
	static const char *const sources[] = {CGROUP_ROOT "/cpuset.cpus.effective",
		CGROUP_ROOT "/cpuset/cpuset.effective_cpus", "/sys/devices/system/cpu/online"};
	GArray *cpus = NULL;

	for (size_t i = cgroup_v2 ? 0 : 1; i < G_N_ELEMENTS(sources); i++) {
		g_autofree char *text = read_fact(sources[i]);

		if (text && cpuset_parse(text, &cpus) == 0 && cpus->len > 0)
			return cpus;
		g_clear_pointer(&cpus, g_array_unref);
	}

	cpus = g_array_new(FALSE, TRUE, sizeof(unsigned));
	return g_array_set_size(cpus, 1); /* There is always CPU 0. */
}

static bool is_apparmor_enabled(void)
{
	g_autofree char *enabled = read_fact("/sys/module/apparmor/parameters/enabled");

	return enabled && enabled[0] == 'Y' && file_exists("/sys/kernel/security/apparmor");
}

/* Writes text to path unless it is there already: a start must not wait for the disk when nothing
 * has changed. */
static int write_changed(const char *path, const char *text, mode_t mode)
{
	g_autofree char *old = NULL;
	size_t size = strlen(text);

	if (file_read(path, size, &old, NULL) == 0 && str_equal(old, text))
		return 0;
	return file_replace(path, text, size, mode);
}

static int remove_file(const char *path)
{
	int r = RET_ERRNO(unlink(path));

	return r == -ENOENT ? 0 : r;
}

static char *conf_directory(const char *directory, unsigned vmid)
{
	return g_strdup_printf("%s/%u", directory, vmid);
}

static int write_files(const char *directory, const LxcGenerated *generated, GError **err)
{
	g_autofree char *config = g_build_filename(directory, "config", NULL);
	g_autofree char *seccomp = g_build_filename(directory, "rules.seccomp", NULL);
	int r;

	r = file_mkdir_all(directory, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make directory '%s'", directory);
	r = generated->seccomp ? write_changed(seccomp, generated->seccomp, 0644)
			       : remove_file(seccomp);
	if (r < 0)
		return err_set_errno(err, r, "cannot write '%s'", seccomp);
	/* As private as what it is made from: variables of the environment may be passwords. */
	r = write_changed(config, generated->config, 0600);
	if (r < 0)
		return err_set_errno(err, r, "cannot write '%s'", config);
	return 0;
}

int lxc_conf_write_below(const char *directory, unsigned vmid, const CtSection *section,
	const NodeConf *node, GPtrArray *warnings, GError **err)
{
	g_autofree char *conf = conf_directory(directory, vmid);
	g_autoptr(LxcGenerated) generated = NULL;
	g_autoptr(GArray) cpus = NULL;
	g_autofree char *common_seccomp = read_fact(COMMON_SECCOMP);
	bool cgroup_v2 = is_cgroup_v2();
	LxcHost host;
	int r;

	assert(node && node->cgroup_prefix);

	if (!common_seccomp)
		return err_set(err, ENOENT, "cannot read '%s', is LXC installed?", COMMON_SECCOMP);

	cpus = effective_cpus(cgroup_v2);
	host = (LxcHost){
		.cgroup_v2 = cgroup_v2,
		.swap_accounting = file_exists(CGROUP_ROOT "/memory/memory.memsw.limit_in_bytes"),
		.cpus = (const unsigned *)cpus->data,
		.n_cpus = cpus->len,
		.cgroup_prefix = node->cgroup_prefix,
		.lxc_directory = directory,
		.hook = HOOK,
		.include_directory = INCLUDE_DIRECTORY,
		.common_seccomp = common_seccomp,
		.seccomp_proxy = file_exists(SECCOMP_PROXY) ? "unix:" SECCOMP_PROXY : NULL,
		.apparmor = is_apparmor_enabled(),
		.apparmor_abi4 = file_exists("/etc/apparmor.d/abi/4.0"),
		.has_include = has_include,
		.bridge_mtu = bridge_mtu,
		.device = device,
		.random_below = random_below,
	};
	r = lxc_generate(vmid, section, &host, &generated, err);
	if (r < 0)
		return r;
	r = write_files(conf, generated, err);
	if (r < 0)
		return r;

	if (warnings)
		g_ptr_array_extend_and_steal(warnings, g_steal_pointer(&generated->warnings));
	return 0;
}

int lxc_conf_write(unsigned vmid, const CtSection *section, const NodeConf *node,
	GPtrArray *warnings, GError **err)
{
	return lxc_conf_write_below(PATH_LXC, vmid, section, node, warnings, err);
}

int lxc_conf_remove_below(const char *directory, unsigned vmid, GError **err)
{
	static const char *const names[] = {"config", "rules.seccomp"};
	g_autofree char *conf = conf_directory(directory, vmid);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(conf, names[i], NULL);
		int r = remove_file(path);

		if (r < 0)
			return err_set_errno(err, r, "cannot remove '%s'", path);
	}
	return 0;
}

int lxc_conf_remove(unsigned vmid, GError **err)
{
	return lxc_conf_remove_below(PATH_LXC, vmid, err);
}
