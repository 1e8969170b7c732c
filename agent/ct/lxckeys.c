/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxckeys.h"

#include <string.h>

#include "base/macro.h"

static const char *const good_keys[] = {
	"lxc.apparmor.allow_incomplete",
	"lxc.apparmor.allow_nesting",
	"lxc.apparmor.profile",
	"lxc.apparmor.raw",
	"lxc.arch",
	"lxc.autodev",
	"lxc.cap.drop",
	"lxc.cap.keep",
	"lxc.console.buffer.size",
	"lxc.console.logfile",
	"lxc.console.path",
	"lxc.console.rotate",
	"lxc.console.size",
	"lxc.environment",
	"lxc.ephemeral",
	"lxc.group",
	"lxc.hook.autodev",
	"lxc.hook.clone",
	"lxc.hook.destroy",
	"lxc.hook.mount",
	"lxc.hook.post-stop",
	"lxc.hook.pre-mount",
	"lxc.hook.pre-start",
	"lxc.hook.start",
	"lxc.hook.start-host",
	"lxc.hook.stop",
	"lxc.idmap",
	"lxc.include",
	"lxc.init.cmd",
	"lxc.init.cwd",
	"lxc.init.gid",
	"lxc.init.uid",
	"lxc.keyring.session",
	"lxc.log.file",
	"lxc.log.level",
	"lxc.log.syslog",
	"lxc.monitor.unshare",
	"lxc.mount.auto",
	"lxc.mount.entry",
	"lxc.mount.fstab",
	"lxc.namespace.clone",
	"lxc.namespace.keep",
	"lxc.no_new_privs",
	"lxc.pty.max",
	"lxc.rootfs.mount",
	"lxc.seccomp.allow_nesting",
	"lxc.seccomp.notify.cookie",
	"lxc.seccomp.notify.proxy",
	"lxc.seccomp.profile",
	"lxc.selinux.context",
	"lxc.selinux.context.keyring",
	"lxc.signal.halt",
	"lxc.signal.reboot",
	"lxc.signal.stop",
	"lxc.start.auto",
	"lxc.start.delay",
	"lxc.start.order",
	"lxc.sysctl.kernel.msgmax",
	"lxc.sysctl.kernel.msgmnb",
	"lxc.sysctl.kernel.msgmni",
	"lxc.sysctl.kernel.sem",
	"lxc.sysctl.kernel.shm_rmid_forced",
	"lxc.sysctl.kernel.shmall",
	"lxc.sysctl.kernel.shmmax",
	"lxc.sysctl.kernel.shmmni",
	"lxc.tty.dir",
	"lxc.tty.max",
	"lxc.uts.name",
	NULL,
};

/* Everything below these is a matter of the kernel or of LXC, not of a list here. */
static const char *const good_prefixes[] = {
	"lxc.cgroup2.",
	"lxc.namespace.share.",
	"lxc.net.",
	"lxc.prlimit.",
	"lxc.proc.",
	"lxc.sysctl.fs.mqueue.",
	NULL,
};

static const char *const refused_keys[] = {
	"lxc.rootfs",
	"lxc.rootfs.options",
	"lxc.rootfs.path",
	NULL,
};

/* Names of LXC 2 and what they are called today. */
static const struct {
	const char *old;
	const char *current;
} renamed_keys[] = {
	{"lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"},
	{"lxc.aa_profile", "lxc.apparmor.profile"},
	{"lxc.console", "lxc.console.path"},
	{"lxc.devttydir", "lxc.tty.dir"},
	{"lxc.haltsignal", "lxc.signal.halt"},
	{"lxc.id_map", "lxc.idmap"},
	{"lxc.init_cmd", "lxc.init.cmd"},
	{"lxc.init_gid", "lxc.init.gid"},
	{"lxc.init_uid", "lxc.init.uid"},
	{"lxc.logfile", "lxc.log.file"},
	{"lxc.loglevel", "lxc.log.level"},
	{"lxc.mount", "lxc.mount.fstab"},
	{"lxc.pts", "lxc.pty.max"},
	{"lxc.rebootsignal", "lxc.signal.reboot"},
	{"lxc.se_context", "lxc.selinux.context"},
	{"lxc.seccomp", "lxc.seccomp.profile"},
	{"lxc.stopsignal", "lxc.signal.stop"},
	{"lxc.syslog", "lxc.log.syslog"},
	{"lxc.tty", "lxc.tty.max"},
	{"lxc.utsname", "lxc.uts.name"},
};

#define OLD_LIMIT   "lxc.limit."
#define OLD_NETWORK "lxc.network."
#define CGROUP_V1   "lxc.cgroup."

static const char *renamed_key(const char *key)
{
	for (size_t i = 0; i < G_N_ELEMENTS(renamed_keys); i++)
		if (str_equal(renamed_keys[i].old, key))
			return renamed_keys[i].current;

	return NULL;
}

/* Where containers live in the cgroup tree is ours to say. */
static bool is_cgroup_place(const char *key)
{
	return str_equal(key, "lxc.cgroup.relative") || str_equal(key, "lxc.cgroup.dir") ||
	       g_str_has_prefix(key, "lxc.cgroup.dir.");
}

LxcKeyVerdict lxc_key_judge(const char *key)
{
	assert(key);

	if (g_strv_contains(refused_keys, key) || is_cgroup_place(key))
		return LXC_KEY_REFUSED;
	if (g_strv_contains(good_keys, key))
		return LXC_KEY_GOOD;
	for (const char *const *prefix = good_prefixes; *prefix; prefix++)
		if (g_str_has_prefix(key, *prefix) && key[strlen(*prefix)])
			return LXC_KEY_GOOD;
	if (renamed_key(key) || g_str_has_prefix(key, OLD_LIMIT) ||
		g_str_has_prefix(key, OLD_NETWORK) || g_str_has_prefix(key, CGROUP_V1))
		return LXC_KEY_OLD;

	return LXC_KEY_UNKNOWN;
}

char *lxc_key_dup_current(const char *key)
{
	assert(key);

	if (g_str_has_prefix(key, OLD_NETWORK))
		return NULL;
	if (g_str_has_prefix(key, OLD_LIMIT))
		return g_strconcat("lxc.prlimit.", key + strlen(OLD_LIMIT), NULL);

	return g_strdup(renamed_key(key) ?: key);
}

bool lxc_key_is(const char *key, const char *current)
{
	g_autofree char *dup = lxc_key_dup_current(key);

	return str_equal(dup, current);
}
