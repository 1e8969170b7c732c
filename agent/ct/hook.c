/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-hook: what the LXC monitor of a container calls on the host.  Which container and which hook
 * it is stands in the environment (lxc.hook.version = 1):
 *
 *	LXC_HOOK_SECTION lxc, LXC_HOOK_TYPE pre-start
 *		before anything of the container exists, in the monitor's own mount name space:
 *		mounts made here are the container's
 *	LXC_HOOK_SECTION lxc, LXC_HOOK_TYPE post-stop
 *		when the container is gone; LXC_TARGET is "reboot" if the guest wants that
 *
 * Nobody reads a hook's output.  What went wrong is therefore left in run-time files, "err" and
 * "warnings", for the worker that waits for the start.  A start takes tens of milliseconds, and this
 * program is part of it: it starts no other program, and links with as little as it can. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/ct/cgroup.h"
#include "agent/ct/config.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/idmap.h"
#include "agent/ct/netdev.h"
#include "agent/ct/options.h"
#include "agent/ct/pending.h"
#include "agent/ct/quorum.h"
#include "agent/ct/reboot.h"
#include "agent/ct/setup.h"
#include "agent/ct/state.h"
#include "agent/net/link.h"
#include "agent/storage/mount.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

static void append_line(unsigned vmid, const char *suffix, const char *line)
{
	g_autofree char *path = ct_state_dup_path(vmid, suffix);
	g_autofree char *text = g_strconcat(line, "\n", NULL);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
		fprintf(stderr, "cannot write '%s'\n", path);
}

/* A container with a lock is in somebody's hands.  `mounted` is no obstacle: those mounts are in
 * another name space. */
static int check_lock(unsigned vmid, const CtSection *section, GError **err)
{
	g_autofree char *skiplock = ct_state_dup_path(vmid, "skiplock");

	return g_file_test(skiplock, G_FILE_TEST_EXISTS) ? 0
							 : ct_lock_check(section, "mounted", err);
}

static int mount_volumes(unsigned vmid, const CtSection *section, const char *rootfs_path,
	const IdMap *idmap, GError **err)
{
	g_autoptr(StorageSet) storages = NULL;
	uint32_t uid, gid;
	int r;

	r = storage_set_load(&storages, err);
	if (r < 0)
		return r;
	r = id_map_root(idmap, &uid, &gid, err);
	if (r < 0)
		return r;

	/* What the host has mounted there is only a copy in this name space. */
	r = ct_unmount_all(rootfs_path, err);
	if (r < 0)
		return r;
	return ct_mount_all(storages, section, rootfs_path, false, uid, gid, err);
}

static int hook_pre_start(const CtStore *store, unsigned vmid, GError **err)
{
	g_autofree char *rootfs_path = g_strdup_printf(PATH_LXC "/%u/rootfs", vmid);
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL;
	g_autoptr(NodeConf) node = NULL;
	g_autoptr(IdMap) idmap = NULL;
	CtSection *section;
	int r;

	/* liblxc runs hooks by a shell that replaces itself with the program: the parent is the
	 * monitor. */
	r = ct_state_set_monitor(vmid, getppid());
	if (r < 0)
		return err_set_errno(err, r, "cannot write to '%s'", PATH_RUN);

	r = quorum_require(err);
	if (r < 0)
		return r;
	r = ct_file_load(store, NULL, vmid, &config, NULL, NULL, err);
	if (r < 0)
		return r;
	section = ct_config_current(config);
	r = check_lock(vmid, section, err);
	if (r < 0)
		return r;
	r = node_conf_load(NULL, &node, err);
	if (r < 0)
		return r;
	r = id_map_from_section(section, &idmap, err);
	if (r < 0)
		return r;

	ct_cgroup_remove_leftovers(node->cgroup_prefix, vmid);
	r = mount_volumes(vmid, section, rootfs_path, idmap, err);
	if (r < 0)
		return r;
	r = ct_setup(vmid, GUEST_PHASE_PRE_START, NULL, idmap, section, rootfs_path, warnings, err);
	for (unsigned i = 0; i < warnings->len; i++)
		append_line(vmid, "warnings", warnings->pdata[i]);
	return r;
}

static int hook_post_stop(const CtStore *store, unsigned vmid, GError **err)
{
	auto_close int lock_fd = -1;
	int r;

	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *link = ct_netdev_dup_link(vmid, i);

		/* liblxc has removed them, unless it was interrupted. */
		r = link_delete(link, err);
		if (r < 0)
			return r;
	}

	/* The agent is asked for a start, and this hook fails: then LXC gives up its own restart, which
	 * would bring the container up with the old configuration. */
	if (str_equal(g_getenv("LXC_TARGET"), "reboot")) {
		r = reboot_request(vmid, err);
		return r < 0 ? r : -ERESTART;
	}

	/* Who holds the lock now waits for this container's end, and goes on to apply what is
	 * pending itself.  Waiting for the lock would be waiting for each other. */
	r = ct_file_lock(store, vmid, 0, &lock_fd, NULL);
	if (r < 0)
		return 0;
	return pending_apply(NULL, store, vmid, err);
}

static int run(const CtStore *store, unsigned vmid, GError **err)
{
	const char *section = g_getenv("LXC_HOOK_SECTION");
	const char *type = g_getenv("LXC_HOOK_TYPE");

	if (str_equal(section, "lxc") && str_equal(type, "pre-start"))
		return hook_pre_start(store, vmid, err);
	if (str_equal(section, "lxc") && str_equal(type, "post-stop"))
		return hook_post_stop(store, vmid, err);
	return err_set(err, EINVAL, "hook '%s %s' is not known", section ?: "", type ?: "");
}

int main(int argc, char **argv)
{
	const char *name = g_getenv("LXC_NAME");
	g_autofree char *node = node_name_dup();
	CtStore store = ct_store_local(node);
	g_autoptr(GError) err = NULL;
	unsigned vmid;

	if (!name) {
		fprintf(stderr, "%s: only the LXC monitor of a container runs this\n", argv[0]);
		return 2;
	}
	/* A container that is not ours, whose administrator has included our configuration. */
	if (ct_id_parse(name, &vmid, NULL) < 0)
		return 0;

	if (run(&store, vmid, &err) >= 0)
		return 0;
	if (err) {
		fprintf(stderr, "%s\n", err->message);
		append_line(vmid, "err", err->message);
	}
	return 1;
}
