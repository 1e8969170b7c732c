/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/mount.h"

#include <fcntl.h>
#include <libmount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/ct/options.h"
#include "agent/storage/fsprobe.h"
#include "agent/storage/loopdev.h"
#include "agent/storage/mountfd.h"
#include "agent/storage/mountpoint.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/propstring.h"
#include "base/safepath.h"

/* A mount point of the configuration, ready to be mounted. */
struct volume_mount {
	const StorageSet *set;
	const PropString *props;
	bool read_only;
	uint64_t attributes;   /* MOUNT_ATTR_…, from mountoptions. */
	GPtrArray *fs_options; /* Of char*. */
};

/* What `mountoptions` may list.  discard and lazytime are the file system's business and mean
 * nothing for a directory. */
static const struct mount_option {
	const char *name;
	uint64_t attribute; /* 0: for the file system. */
} mount_options[] = {
	{"discard", 0},
	{"lazytime", 0},
	{"noatime", MOUNT_ATTR_NOATIME},
	{"nodev", MOUNT_ATTR_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC},
	{"nosuid", MOUNT_ATTR_NOSUID},
};

static void add_fs_option(struct volume_mount *mount, const char *option)
{
	g_ptr_array_add(mount->fs_options, g_strdup(option));
}

static int add_mount_option(struct volume_mount *mount, const char *name, GError **err)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(mount_options); i++) {
		const struct mount_option *option = &mount_options[i];

		if (!str_equal(option->name, name))
			continue;
		mount->attributes |= option->attribute;
		if (!option->attribute)
			add_fs_option(mount, option->name);
		return 0;
	}
	return err_set(err, EINVAL, "unknown mount option '%s'", name);
}

static int add_options(struct volume_mount *mount, GError **err)
{
	const char *list = propstring_get(mount->props, "mountoptions");
	g_auto(GStrv) names = g_strsplit(list ? list : "", ";", -1);
	int r;

	for (unsigned i = 0; names[i]; i++) {
		if (!*names[i])
			continue;
		r = add_mount_option(mount, names[i], err);
		if (r < 0)
			return r;
	}
	if (mount->read_only)
		mount->attributes |= MOUNT_ATTR_RDONLY;
	/* acl=0 is the default of the file system then. */
	if (propstring_get_boolean(mount->props, "acl", false))
		add_fs_option(mount, "acl");
	if (propstring_get_boolean(mount->props, "quota", false)) {
		add_fs_option(mount, "usrjquota=aquota.user");
		add_fs_option(mount, "grpjquota=aquota.group");
		add_fs_option(mount, "jqfmt=vfsv0");
	}
	return 0;
}

static int new_device_mount(
	struct volume_mount *mount, int device_fd, const char *device, int *ret_fd, GError **err)
{
	MountOptions options = {.attributes = mount->attributes};
	const char *type = NULL;
	int r;

	r = fsprobe_type(device_fd, device, &type, err);
	if (r < 0)
		return r;
	g_ptr_array_add(mount->fs_options, NULL);
	options.fs_options = (const char *const *)mount->fs_options->pdata;
	return mountfd_new_fs(device, type, &options, ret_fd, err);
}

static int new_bind_mount(
	const struct volume_mount *mount, int directory_fd, int *ret_fd, GError **err)
{
	MountOptions options = {.attributes = mount->attributes};

	return mountfd_new_bind(directory_fd, &options, ret_fd, err);
}

static int new_image_mount(struct volume_mount *mount, int image_fd, int *ret_fd, GError **err)
{
	auto_close int device_fd = -1;
	g_autofree char *device = NULL;
	int r;

	r = loop_attach(image_fd, mount->attributes & MOUNT_ATTR_RDONLY, &device_fd, &device, err);
	if (r < 0)
		return r;
	return new_device_mount(mount, device_fd, device, ret_fd, err);
}

static int new_storage_mount(
	struct volume_mount *mount, const char *volid, int *ret_fd, GError **err)
{
	g_autoptr(VolumeInfo) info = NULL;
	auto_close int fd = -1;
	int flags, r;

	r = volume_resolve(mount->set, volid, &info, NULL, err);
	if (r < 0)
		return r;
	if (info->content != STORAGE_CONTENT_ROOTDIR)
		return err_set(err, EINVAL, "volume '%s' is not a container's", volid);

	if (info->format == VOLUME_FORMAT_SUBVOL) {
		flags = O_PATH | O_DIRECTORY;
	} else if (mount->attributes & MOUNT_ATTR_RDONLY || info->base) {
		/* noload: a journal cannot be replayed where nothing may be written. */
		mount->attributes |= MOUNT_ATTR_RDONLY;
		if (info->base)
			add_fs_option(mount, "noload");
		flags = O_RDONLY;
	} else {
		flags = O_RDWR;
	}
	r = volume_open(mount->set, volid, flags, &fd, NULL, err);
	if (r < 0)
		return r;
	return info->format == VOLUME_FORMAT_SUBVOL ? new_bind_mount(mount, fd, ret_fd, err)
						    : new_image_mount(mount, fd, ret_fd, err);
}

/* A directory or a block device of the host's, which only root may configure.  Links in its path
 * are refused, as the path may lead through directories that guests write to. */
static int new_host_mount(struct volume_mount *mount, const char *path, int *ret_fd, GError **err)
{
	bool is_device = g_str_has_prefix(path, "/dev/");
	auto_close int root_fd = -1, fd = -1;
	struct stat st;

	root_fd = safepath_open_root("/");
	if (root_fd < 0)
		return err_set_errno(err, root_fd, "cannot open '/'");
	fd = is_device ? safepath_open(root_fd, path,
				 (mount->read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK, 0)
		       : safepath_open_nofollow(root_fd, path, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return err_set_errno(err, fd, "cannot open '%s'", path);
	if (!is_device)
		return new_bind_mount(mount, fd, ret_fd, err);

	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))
		return err_set(err, ENOTBLK, "'%s' is not a block device", path);
	return new_device_mount(mount, fd, path, ret_fd, err);
}

/* The detached mount of what option `key` of a section describes. */
static int new_mount(const StorageSet *set, const PropString *props, bool read_write, int *ret_fd,
	bool *ret_read_only, GError **err)
{
	g_autoptr(GPtrArray) fs_options = g_ptr_array_new_with_free_func(g_free);
	struct volume_mount mount = {.set = set, .props = props, .fs_options = fs_options};
	const char *volume = propstring_get(props, "volume");
	int r;

	if (!volume)
		return err_set(err, EINVAL, "no volume");
	if (propstring_get(props, "idmap"))
		return err_set(err, EOPNOTSUPP, "id maps of mount points cannot be applied");
	mount.read_only = !read_write && propstring_get_boolean(props, "ro", false);
	r = add_options(&mount, err);
	if (r < 0)
		return r;
	r = *volume == '/' ? new_host_mount(&mount, volume, ret_fd, err)
			   : new_storage_mount(&mount, volume, ret_fd, err);
	if (r < 0)
		return r;
	*ret_read_only = mount.attributes & MOUNT_ATTR_RDONLY;
	return 0;
}

static int mount_root(const StorageSet *set, const PropString *props, const char *rootfs_path,
	bool read_write, int *ret_fd, GError **err)
{
	auto_close int mount_fd = -1, target_fd = -1;
	bool read_only;
	int r;

	r = new_mount(set, props, read_write, &mount_fd, &read_only, err);
	if (r < 0)
		return r;
	r = file_mkdir_all(rootfs_path, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make directory '%s'", rootfs_path);
	/* The path is the host's, nothing of a guest is in it yet. */
	target_fd = safepath_open_root(rootfs_path);
	if (target_fd < 0)
		return err_set_errno(err, target_fd, "cannot open '%s'", rootfs_path);
	r = mountfd_attach(mount_fd, target_fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot mount on '%s'", rootfs_path);
	*ret_fd = fd_steal(&mount_fd);
	return 0;
}

static int mount_below(const StorageSet *set, const PropString *props, bool read_write,
	MountPlace *place, int *ret_fd, GError **err)
{
	auto_close int mount_fd = -1;
	int r;

	place->path = propstring_get(props, "mp");
	if (!place->path)
		return err_set(err, EINVAL, "no path to mount on");
	place->keep_attributes = propstring_get_boolean(props, "keepattrs", false);
	r = new_mount(set, props, read_write, &mount_fd, &place->read_only, err);
	if (r < 0)
		return r;
	r = mountpoint_mount(mount_fd, place, err);
	if (r < 0)
		return r;
	*ret_fd = fd_steal(&mount_fd);
	return 0;
}

/* Numbers of the section's mpN options, ascending: nested paths rely on that order. */
static GArray *mount_numbers(const CtSection *section)
{
	GArray *numbers = g_array_new(FALSE, FALSE, sizeof(unsigned));

	for (unsigned i = 0; i < CT_MP_MAX; i++) {
		g_autofree char *key = g_strdup_printf("mp%u", i);

		if (ct_section_get(section, key))
			g_array_append_val(numbers, i);
	}
	return numbers;
}

struct mounting {
	const StorageSet *set;
	const CtSection *section;
	bool read_write;
	MountPlace place;
	GArray *mount_fds; /* int, in the order of mounting. */
};

/* Mounts what option key describes: the root while place.root_fd is none, else below it. */
static int mount_option(
	struct mounting *mounting, const char *key, const char *rootfs_path, GError **err)
{
	const char *value = ct_section_get(mounting->section, key);
	bool is_root = mounting->place.root_fd < 0;
	g_autoptr(PropString) props = NULL;
	int fd, r;

	if (!value)
		return err_set(err, EINVAL, "the container has no %s", key);
	r = propstring_parse(
		is_root ? ct_rootfs_props : ct_mp_props, SCHEMA_FILE, value, &props, err);
	if (r >= 0 && is_root)
		r = mount_root(mounting->set, props, rootfs_path, mounting->read_write, &fd, err);
	else if (r >= 0)
		r = mount_below(
			mounting->set, props, mounting->read_write, &mounting->place, &fd, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	g_array_append_val(mounting->mount_fds, fd);
	return 0;
}

static int mount_each(struct mounting *mounting, const char *rootfs_path, GError **err)
{
	g_autoptr(GArray) numbers = mount_numbers(mounting->section);
	int r;

	r = mount_option(mounting, "rootfs", rootfs_path, err);
	if (r < 0)
		return r;
	mounting->place.root_fd = safepath_open_root(rootfs_path);
	if (mounting->place.root_fd < 0)
		return err_set_errno(err, mounting->place.root_fd, "cannot open '%s'", rootfs_path);
	for (unsigned i = 0; i < numbers->len; i++) {
		g_autofree char *key = g_strdup_printf("mp%u", g_array_index(numbers, unsigned, i));

		r = mount_option(mounting, key, rootfs_path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int ct_mount_all(const StorageSet *set, const CtSection *section, const char *rootfs_path,
	bool read_write, unsigned root_uid, unsigned root_gid, GError **err)
{
	g_autoptr(GArray) mount_fds = g_array_new(FALSE, FALSE, sizeof(int));
	struct mounting mounting = {
		.set = set,
		.section = section,
		.read_write = read_write,
		.place = {.root_fd = -1, .root_uid = root_uid, .root_gid = root_gid},
		.mount_fds = mount_fds,
	};
	int r;

	assert(set);
	assert(section);
	assert(rootfs_path);

	r = mount_each(&mounting, rootfs_path, err);
	for (unsigned i = mount_fds->len; i > 0; i--) {
		int fd = g_array_index(mount_fds, int, i - 1);

		if (r < 0)
			mountfd_detach(fd);
		(void)close(fd);
	}
	fd_clear(&mounting.place.root_fd);
	return r;
}

static bool is_at_or_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 &&
	       (path[length] == '\0' || path[length] == '/');
}

/* Unmounts one mount at or below directory, one that none is below.  -ENOENT when there is none. */
static int unmount_deepest(const char *directory, GError **err)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	g_autofree char *deepest = NULL;
	struct libmnt_fs *fs;
	int r = -ENOENT;

	if (!table)
		r = err_set(err, EIO, "cannot read the list of mounts");
	while (table && mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);

		if (is_at_or_below(target, directory) &&
			(!deepest || strlen(target) > strlen(deepest))) {
			g_free(deepest);
			deepest = g_strdup(target);
		}
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);

	if (deepest)
		r = RET_ERRNO(umount2(deepest, UMOUNT_NOFOLLOW));
	if (deepest && r < 0)
		return err_set_errno(err, r, "cannot unmount '%s'", deepest);
	return r;
}

int ct_unmount_all(const char *rootfs_path, GError **err)
{
	g_autofree char *resolved = NULL;
	char *path;
	int r;

	assert(rootfs_path);

	/* The list of mounts has paths without links. */
	path = realpath(rootfs_path, NULL);
	if (!path)
		return errno == ENOENT ? 0 : err_set_errno(err, -errno, "'%s'", rootfs_path);
	resolved = g_strdup(path);
	free(path);

	do
		r = unmount_deepest(resolved, err);
	while (r == 0);
	return r == -ENOENT ? 0 : r;
}
