/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-probe bindmount: a directory of the host's on a place in a guest's tree, with a program
 * that interferes at the worst moments. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "agent/storage/mountfd.h"
#include "agent/storage/mountpoint.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/process.h"
#include "base/safepath.h"
#include "tests/probe/probe.h"

struct bind {
	char *host_root;
	char *source;
	char *rootfs;
	char *target;
	char *hook;
	gboolean read_only;
};

static void run_hook(const char *step, void *data)
{
	const struct bind *bind = data;
	const char *const argv[] = {bind->hook, step, NULL};

	/* What it has done is judged by what is mounted, not by how it ended. */
	if (bind->hook)
		(void)process_run(argv, NULL, NULL);
}

static int bind_source(struct bind *bind, int source_fd, GError **err)
{
	MountOptions options = {.attributes = bind->read_only ? MOUNT_ATTR_RDONLY : 0};
	auto_close int mount_fd = -1, rootfs_fd = -1;
	MountPlace place = {
		.path = bind->target,
		.read_only = bind->read_only,
		.step = run_hook,
		.step_data = bind,
	};
	int r;

	rootfs_fd = safepath_open_root(bind->rootfs);
	if (rootfs_fd < 0)
		return err_set_errno(err, rootfs_fd, "cannot open '%s'", bind->rootfs);
	place.root_fd = rootfs_fd;
	r = mountfd_new_bind(source_fd, &options, &mount_fd, err);
	if (r < 0)
		return r;
	return mountpoint_mount(mount_fd, &place, err);
}

static int run(struct bind *bind, const char *action, GError **err)
{
	auto_close int host_fd = -1, source_fd = -1;

	if (!bind->host_root || !bind->source)
		return err_set(err, EINVAL, "--host-root or --source is missing");
	host_fd = safepath_open_root(bind->host_root);
	if (host_fd < 0)
		return err_set_errno(err, host_fd, "cannot open '%s'", bind->host_root);
	source_fd = safepath_open_nofollow(host_fd, bind->source, O_PATH | O_DIRECTORY, 0);
	if (source_fd < 0)
		return err_set_errno(err, source_fd, "cannot open '%s'", bind->source);

	if (str_equal(action, "walk"))
		return 0;
	if (!bind->rootfs || !bind->target)
		return err_set(err, EINVAL, "--rootfs or --target is missing");
	if (str_equal(action, "bind"))
		return bind_source(bind, source_fd, err);
	return err_set(err, EINVAL, "'%s' is neither walk nor bind", action);
}

int probe_bindmount(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new("walk|bind");
	g_autoptr(GError) error = NULL;
	struct bind bind = {};
	const GOptionEntry entries[] = {
		{"host-root", 0, 0, G_OPTION_ARG_FILENAME, &bind.host_root, "Root of the source",
			"DIR"},
		{"source", 0, 0, G_OPTION_ARG_FILENAME, &bind.source, "Path below it", "PATH"},
		{"rootfs", 0, 0, G_OPTION_ARG_FILENAME, &bind.rootfs, "Root of the guest", "DIR"},
		{"target", 0, 0, G_OPTION_ARG_FILENAME, &bind.target, "Path below it", "PATH"},
		{"hook", 0, 0, G_OPTION_ARG_FILENAME, &bind.hook,
			"Called with pre-mount and "
			"post-mount",
			"PROGRAM"},
		{"read-only", 0, 0, G_OPTION_ARG_NONE, &bind.read_only, "Mount it so", NULL},
		{NULL},
	};
	int r;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		r = -EINVAL;
	else
		r = run(&bind, argc == 2 ? argv[1] : "", &error);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", error->message);

	g_free(bind.host_root);
	g_free(bind.source);
	g_free(bind.rootfs);
	g_free(bind.target);
	g_free(bind.hook);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
