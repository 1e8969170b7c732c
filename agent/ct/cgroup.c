/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/cgroup.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fileutil.h"
#include "base/macro.h"

/* Files of /proc and of the cgroup tree are small; more is not read. */
#define CGROUP_TEXT_MAX (256 * 1024)

/* Where systemd keeps itself; liblxc takes the cgroup above as the place for containers. */
#define INIT_SCOPE "/init.scope"

/* A controller named `list` (comma-separated) holds name. */
static bool list_has(const char *list, const char *name)
{
	g_auto(GStrv) parts = g_strsplit(list, ",", -1);

	return g_strv_contains((const char *const *)parts, name);
}

char *cgroup_text_find(const char *text, const char *controller, unsigned *ret_version)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	const char *unified = NULL;

	assert(controller && *controller);

	for (unsigned i = 0; lines[i]; i++) {
		/* "4:memory:/path", or "0::/path" for v2. */
		g_auto(GStrv) fields = g_strsplit(lines[i], ":", 3);

		if (g_strv_length(fields) != 3)
			continue;
		if (list_has(fields[1], controller)) {
			*ret_version = 1;
			return g_strdup(fields[2]);
		}
		if (str_equal(fields[0], "0"))
			unified = strchr(strchr(lines[i], ':') + 1, ':') + 1;
	}

	if (!unified)
		return NULL;
	*ret_version = 2;
	return g_strdup(unified);
}

/* Where the hierarchy of controller (v1) or the v2 tree is mounted; NULL: nowhere. */
static char *find_mount(unsigned version, const char *controller)
{
	char buffer[4096];
	struct mntent entry;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char *found = NULL;

	if (!mounts)
		return NULL;

	while (!found && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
		if (version == 2 ? str_equal(entry.mnt_type, "cgroup2")
				 : str_equal(entry.mnt_type, "cgroup") &&
					   list_has(entry.mnt_opts, controller))
			found = g_strdup(entry.mnt_dir);
	}

	(void)endmntent(mounts);
	return found;
}

int ct_cgroup_of(pid_t pid, const char *controller, char **ret, unsigned *ret_version)
{
	g_autofree char *file = g_strdup_printf("/proc/%d/cgroup", (int)pid);
	g_autofree char *text = NULL;
	g_autofree char *path = NULL;
	g_autofree char *mount = NULL;
	unsigned version = 0;
	int r;

	assert(pid > 0);

	r = file_read(file, CGROUP_TEXT_MAX, &text, NULL);
	if (r == -ENOENT)
		return -ESRCH;
	if (r < 0)
		return r;

	path = cgroup_text_find(text, controller, &version);
	if (!path)
		return -ENOENT;
	if (g_str_has_suffix(path, "/ns"))
		path[strlen(path) - strlen("/ns")] = '\0';

	mount = find_mount(version, controller);
	if (!mount)
		return -ENOENT;

	*ret = g_strconcat(mount, path, NULL);
	*ret_version = version;
	return 0;
}

/* Removes directory and the empty cgroups in it, deepest first.  The files in a cgroup are not
 * files to be removed, and one that is in use refuses: EBUSY is an answer, not an error. */
static void remove_cgroup(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (!dir)
		return;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (g_file_test(child, G_FILE_TEST_IS_DIR) &&
			!g_file_test(child, G_FILE_TEST_IS_SYMLINK))
			remove_cgroup(child);
	}

	g_dir_close(dir);
	(void)rmdir(path);
}

/* The directories that containers share stay: to make three of them anew in each hierarchy is a third
 * of the time that a start takes. */
static void remove_below(const char *base, const char *prefix, unsigned vmid)
{
	static const char *const kinds[] = {"lxc", "lxc.monitor", "lxc.pivot"};
	g_autofree char *id = g_strdup_printf("%u", vmid);

	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *path = g_build_filename(base, prefix, kinds[i], id, NULL);

		remove_cgroup(path);
	}
}

char *ct_cgroup_dup_own(void)
{
	char *text = NULL;

	(void)file_read("/proc/self/cgroup", CGROUP_TEXT_MAX, &text, NULL);
	return text;
}

void ct_cgroup_go_back(const char *own)
{
	g_auto(GStrv) lines = g_strsplit(own ?: "", "\n", -1);

	for (unsigned i = 0; lines[i]; i++) {
		g_auto(GStrv) fields = g_strsplit(lines[i], ":", 3);
		g_auto(GStrv) controllers = NULL;
		g_autofree char *mount = NULL;
		g_autofree char *path = NULL;
		auto_close int fd = -1;

		if (g_strv_length(fields) != 3)
			continue;
		controllers = g_strsplit(fields[1], ",", 2);
		mount = find_mount(*fields[1] ? 1 : 2, *fields[1] ? controllers[0] : "");
		if (!mount)
			continue;
		path = g_build_filename(mount, fields[2], "cgroup.procs", NULL);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		/* A hierarchy of which we see no part keeps us where we are. */
		if (fd >= 0)
			(void)!write(fd, "0", 1);
	}
}

void ct_cgroup_remove_leftovers(const char *prefix, unsigned vmid)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	assert(prefix);

	/* New cgroups are placed below those of the host's init (lxc.cgroup.relative = 0). */
	if (file_read("/proc/1/cgroup", CGROUP_TEXT_MAX, &text, NULL) < 0)
		return;

	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		g_auto(GStrv) fields = g_strsplit(lines[i], ":", 3);
		g_auto(GStrv) controllers = NULL;
		g_autofree char *mount = NULL;
		g_autofree char *base = NULL;

		if (g_strv_length(fields) != 3)
			continue;
		if (g_str_has_suffix(fields[2], INIT_SCOPE))
			fields[2][strlen(fields[2]) - strlen(INIT_SCOPE)] = '\0';

		controllers = g_strsplit(fields[1], ",", 2);
		mount = find_mount(*fields[1] ? 1 : 2, *fields[1] ? controllers[0] : "");
		if (!mount)
			continue;
		base = g_build_filename(mount, fields[2], NULL);
		remove_below(base, prefix, vmid);
	}
}

uint64_t cgroup_read_number(const char *directory, const char *file, uint64_t fallback)
{
	g_autofree char *path = g_build_filename(directory, file, NULL);
	g_autofree char *text = NULL;
	char *end;
	uint64_t value;

	if (file_read(path, CGROUP_TEXT_MAX, &text, NULL) < 0)
		return fallback;
	value = g_ascii_strtoull(text, &end, 10);
	return end == text ? fallback : value;
}

uint64_t cgroup_read_key(
	const char *directory, const char *file, const char *key, uint64_t fallback)
{
	g_autofree char *path = g_build_filename(directory, file, NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	size_t length = strlen(key);

	if (file_read(path, CGROUP_TEXT_MAX, &text, NULL) < 0)
		return fallback;

	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], key) && lines[i][length] == ' ')
			return g_ascii_strtoull(lines[i] + length + 1, NULL, 10);
	}
	return fallback;
}
