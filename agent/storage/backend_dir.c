/* SPDX-License-Identifier: Apache-2.0 */

/* Storages of type dir: a directory of the host's.
 *
 *	PATH/images/ID/vm-ID-disk-K.raw		  sparse file with ext4, mounted by a loop device
 *	PATH/images/ID/subvol-ID-disk-K.subvol/	  directory, bind mounted
 *	PATH/template/cache, dump, template/iso, snippets, import
 *
 * `content-dirs` moves the second level.  Down to the directory of a content type the path belongs
 * to the administrator, who may use links there; below it no link is followed, because directories
 * of guests hold what guests have written. */

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/ct/options.h"
#include "agent/storage/backend.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/process.h"
#include "base/safepath.h"
#include "base/schema.h"

/* With less than this the host's file system counts as full. */
#define SPACE_MIN_BYTES (64 * 1024)

/* A directory with more entries is refused. */
#define ENTRIES_MAX 100000

static const char *base_path(const Storage *storage)
{
	const char *path = storage_property(storage, "path");

	assert(path);
	return path;
}

/* The part of a content type below the base path; owned by the caller. */
static char *content_directory(const Storage *storage, StorageContent content)
{
	static const struct {
		StorageContent content;
		const char *directory;
	} defaults[] = {
		{STORAGE_CONTENT_ROOTDIR, "images"},
		{STORAGE_CONTENT_IMAGES, "images"},
		{STORAGE_CONTENT_VZTMPL, "template/cache"},
		{STORAGE_CONTENT_BACKUP, "dump"},
		{STORAGE_CONTENT_ISO, "template/iso"},
		{STORAGE_CONTENT_SNIPPETS, "snippets"},
		{STORAGE_CONTENT_IMPORT, "import"},
	};
	const char *moved = storage_property(storage, "content-dirs");
	g_auto(GStrv) pairs = g_strsplit(moved ? moved : "", ",", -1);
	/* Volumes of containers live in the directory of images. */
	const char *word = storage_content_to_string(
		content == STORAGE_CONTENT_ROOTDIR ? STORAGE_CONTENT_IMAGES : content);

	for (unsigned i = 0; pairs[i]; i++)
		if (g_str_has_prefix(pairs[i], word) && pairs[i][strlen(word)] == '=')
			return g_strdup(pairs[i] + strlen(word) + 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(defaults); i++)
		if (defaults[i].content == content)
			return g_strdup(defaults[i].directory);
	assert(!"every content type has a directory");
	return NULL;
}

static char *content_path(const Storage *storage, StorageContent content)
{
	g_autofree char *directory = content_directory(storage, content);

	return g_build_filename(base_path(storage), directory, NULL);
}

/* The volume below the directory of its content type. */
static char *relative_path(const VolumeName *name)
{
	return name->vmid > 0 ? g_strdup_printf("%u/%s", name->vmid, name->file)
			      : g_strdup(name->file);
}

static char *dir_path_dup(const Storage *storage, const VolumeName *name)
{
	g_autofree char *directory = content_path(storage, name->content);
	g_autofree char *relative = relative_path(name);

	return g_build_filename(directory, relative, NULL);
}

static bool may_create(const Storage *storage, const char *key)
{
	const char *value = storage_property(storage, key);

	if (!value)
		value = storage_property(storage, "mkdir");
	return !value || schema_parse_boolean(value) != 0;
}

/* Whether path is the root of a mount. */
static bool is_mount_root(const char *path)
{
	struct statx stx;

	return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &stx) == 0 &&
	       stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static int dir_check_online(const Storage *storage, GError **err)
{
	const char *mounted = storage_property(storage, "is_mountpoint");
	int wanted = mounted ? schema_parse_boolean(mounted) : 0;
	const char *mountpoint = wanted < 0 ? mounted : base_path(storage);
	struct stat st;

	if (wanted != 0 && !is_mount_root(mountpoint))
		return err_set(err, ENOTCONN, "'%s' is not mounted", mountpoint);
	if (stat(base_path(storage), &st) < 0) {
		/* It is made with the first volume. */
		if (errno == ENOENT && may_create(storage, "create-base-path"))
			return 0;
		return err_set_errno(err, -errno, "directory '%s'", base_path(storage));
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "'%s' is not a directory", base_path(storage));
	return 0;
}

static int dir_space(const Storage *storage, StorageStatus *ret, GError **err)
{
	g_autofree char *path = g_strdup(base_path(storage));
	struct statvfs fs;

	/* A base path that is still to be made will be where its parent is. */
	while (statvfs(path, &fs) < 0) {
		char *parent;

		if (errno != ENOENT || str_equal(path, "/"))
			return err_set_errno(err, -errno, "cannot get the space of '%s'", path);
		parent = g_path_get_dirname(path);
		g_free(path);
		path = parent;
	}

	/* Blocks that are kept for root count as used, so that the sum is what can be filled. */
	ret->available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	ret->used_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	ret->total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	return 0;
}

/* Opens the directory of a content type; make: after making it. */
static int content_open(
	const Storage *storage, StorageContent content, bool make, int *ret_fd, GError **err)
{
	g_autofree char *path = content_path(storage, content);
	int fd, r;

	if (make) {
		struct stat st;

		if (stat(base_path(storage), &st) < 0 && errno == ENOENT &&
			!may_create(storage, "create-base-path"))
			return err_set(
				err, ENOENT, "directory '%s' does not exist", base_path(storage));
		if (may_create(storage, "create-subdirs")) {
			r = file_mkdir_all(path, 0755);
			if (r < 0)
				return err_set_errno(err, r, "cannot make directory '%s'", path);
		}
	}
	fd = safepath_open_root(path);
	if (fd < 0)
		return err_set_errno(err, fd, "cannot open directory '%s'", path);
	*ret_fd = fd;
	return 0;
}

static int dir_open(
	const Storage *storage, const VolumeName *name, int flags, int *ret_fd, GError **err)
{
	g_autofree char *path = dir_path_dup(storage, name);
	auto_close int directory_fd = -1, fd = -1;
	g_autofree char *relative = relative_path(name);
	struct stat st;
	int r;

	r = content_open(storage, name->content, false, &directory_fd, err);
	if (r < 0)
		return r;
	/* If there is a FIFO where a file should be, opening it must not hang.  O_PATH goes with few
	 * other flags, and opens nothing. */
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK;
	fd = safepath_open_nofollow(directory_fd, relative, flags, 0);
	if (fd == -ENOENT)
		return err_set(err, ENOENT, "volume '%s' does not exist", path);
	if (fd < 0)
		return err_set_errno(err, fd, "cannot open volume '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_set_errno(err, -errno, "cannot open volume '%s'", path);
	if (name->format == VOLUME_FORMAT_SUBVOL && !S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "volume '%s' is not a directory", path);
	if (name->format != VOLUME_FORMAT_SUBVOL && !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "volume '%s' is not a regular file", path);

	*ret_fd = fd_steal(&fd);
	return 0;
}

/* Calls visit for each entry of directory_fd/path whose name can be a volume's.  0 when the
 * directory does not exist. */
static int each_entry(
	int directory_fd, const char *path, int (*visit)(const char *file, void *data), void *data)
{
	DIR *directory;
	const struct dirent *entry;
	int fd, r = 0;

	fd = safepath_open_nofollow(directory_fd, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		(void)close(fd);
		return r;
	}

	for (unsigned n = 0; r == 0 && (errno = 0, entry = readdir(directory)); n++) {
		if (n >= ENTRIES_MAX)
			r = -E2BIG;
		else if (entry->d_name[0] != '.')
			r = visit(entry->d_name, data);
	}
	if (r == 0 && errno)
		r = -errno;
	(void)closedir(directory);
	return r;
}

struct used_disks {
	unsigned vmid;
	bool used[VOLUME_DISK_MAX];
};

static int mark_used(const char *file, void *data)
{
	struct used_disks *disks = data;
	g_autofree char *text = volume_name_dup_file(STORAGE_CONTENT_ROOTDIR, disks->vmid, file);
	g_autoptr(VolumeName) name = NULL;

	if (text && volume_name_parse(text, &name) >= 0 && name->disk >= 0)
		disks->used[name->disk] = true;
	return 0;
}

/* Sets *ret to the name that a new volume gets. */
static int choose_name(int images_fd, const VolumeSpec *spec, VolumeName **ret, GError **err)
{
	VolumeFormat format = spec->size_bytes > 0 ? VOLUME_FORMAT_RAW : VOLUME_FORMAT_SUBVOL;
	g_autofree struct used_disks *disks = NULL;
	g_autofree char *directory = NULL;
	g_autofree char *text = NULL;
	g_autoptr(VolumeName) name = NULL;
	unsigned disk = 0;
	int r;

	if (spec->name) {
		text = volume_name_dup_file(STORAGE_CONTENT_ROOTDIR, spec->vmid, spec->name);
		if (!text || volume_name_parse(text, &name) < 0)
			return err_set(err, EINVAL, "'%s' is not a volume name of guest %u",
				spec->name, spec->vmid);
		if (name->format != format)
			return err_set(err, EINVAL, "'%s' does not name a volume of format '%s'",
				spec->name, volume_format_to_string(format, ""));
		*ret = g_steal_pointer(&name);
		return 0;
	}

	disks = g_new0(struct used_disks, 1);
	disks->vmid = spec->vmid;
	directory = g_strdup_printf("%u", spec->vmid);
	r = each_entry(images_fd, directory, mark_used, disks);
	if (r < 0)
		return err_set_errno(err, r, "cannot read directory '%s' of images", directory);
	while (disk < VOLUME_DISK_MAX && disks->used[disk])
		disk++;
	if (disk == VOLUME_DISK_MAX)
		return err_set(err, ENOSPC, "guest %u has %u volumes, the most there can be",
			spec->vmid, VOLUME_DISK_MAX);

	text = volume_name_dup_disk(spec->vmid, disk, format);
	r = volume_name_parse(text, ret);
	assert(r >= 0); /* Our own names are valid. */
	return 0;
}

/* An image's file system.  Inode tables and journal are not written now: the kernel treats them as
 * zero, and in a new sparse file they are.
 *
 * Multi-mount protection keeps two nodes from mounting one image of a shared storage.  Where no
 * other node can see the image it would guard nothing, but write a block every 5 seconds for as
 * long as the image is mounted, and make the first mount after a power cut wait for 44 seconds. */
static int make_ext4(const Storage *storage, const char *path, const VolumeSpec *spec, GError **err)
{
	g_autofree char *extended =
		g_strdup_printf("root_owner=%u:%u,lazy_itable_init=1,lazy_journal_init=1,nodiscard",
			spec->root_uid, spec->root_gid);
	const char *const argv[] = {"mkfs.ext4", "-q", "-F", "-O",
		storage_shared(storage) ? "mmp" : "^mmp", "-E", extended, path, NULL};

	return process_run(argv, NULL, err);
}

static bool is_full(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_MIN_BYTES;
}

static int make_image(const Storage *storage, int guest_fd, const VolumeName *name,
	const VolumeSpec *spec, GError **err)
{
	g_autofree char *path = dir_path_dup(storage, name);
	auto_close int fd = -1;
	int r = 0;

	fd = openat(guest_fd, name->file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_set_errno(err, -errno, "cannot make '%s'", path);
	if (ftruncate(fd, (off_t)spec->size_bytes) < 0)
		r = err_set_errno(err, -errno, "cannot make '%s' %" G_GUINT64_FORMAT " bytes long",
			path, spec->size_bytes);
	if (r >= 0)
		r = make_ext4(storage, path, spec, err);
	if (r >= 0)
		return 0;

	if (is_full(fd)) {
		g_clear_error(err);
		r = err_set(err, ENOSPC, "no space left for '%s'", path);
	}
	(void)unlinkat(guest_fd, name->file, 0);
	return r;
}

static int make_directory(const Storage *storage, int guest_fd, const VolumeName *name,
	const VolumeSpec *spec, GError **err)
{
	g_autofree char *path = dir_path_dup(storage, name);

	if (mkdirat(guest_fd, name->file, 0755) < 0)
		return err_set_errno(err, -errno, "cannot make directory '%s'", path);
	if (fchownat(guest_fd, name->file, spec->root_uid, spec->root_gid, AT_SYMLINK_NOFOLLOW) <
		0) {
		int r = err_set_errno(err, -errno, "cannot change the owner of '%s'", path);

		(void)unlinkat(guest_fd, name->file, AT_REMOVEDIR);
		return r;
	}
	return 0;
}

static int dir_alloc(const Storage *storage, const VolumeSpec *spec, char **ret_name, GError **err)
{
	g_autoptr(VolumeName) name = NULL;
	auto_close int images_fd = -1, guest_fd = -1;
	g_autofree char *directory = g_strdup_printf("%u", spec->vmid);
	g_autofree char *path = NULL;
	int r;

	r = content_open(storage, STORAGE_CONTENT_ROOTDIR, true, &images_fd, err);
	if (r < 0)
		return r;
	r = choose_name(images_fd, spec, &name, err);
	if (r < 0)
		return r;
	path = dir_path_dup(storage, name);

	/* 0700: programs with set-id bits in a guest's directory are no business of the host's
	 * users. */
	if (mkdirat(images_fd, directory, 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, -errno, "cannot make the directory of '%s'", path);
	guest_fd = safepath_open_nofollow(images_fd, directory, O_RDONLY | O_DIRECTORY, 0);
	if (guest_fd < 0)
		r = err_set_errno(err, guest_fd, "cannot open the directory of '%s'", path);
	else if (name->format == VOLUME_FORMAT_RAW)
		r = make_image(storage, guest_fd, name, spec, err);
	else
		r = make_directory(storage, guest_fd, name, spec, err);
	if (r < 0) {
		/* Stays when it holds other volumes. */
		(void)unlinkat(images_fd, directory, AT_REMOVEDIR);
		return r;
	}

	*ret_name = relative_path(name);
	return 0;
}

/* vzdump marks a backup that must stay by an empty file beside it. */
static bool is_protected(int directory_fd, const VolumeName *name)
{
	g_autofree char *mark = g_strconcat(name->file, ".protected", NULL);

	return name->content == STORAGE_CONTENT_BACKUP &&
	       faccessat(directory_fd, mark, F_OK, 0) == 0;
}

static int dir_free(const Storage *storage, const VolumeName *name, GError **err)
{
	g_autofree char *path = dir_path_dup(storage, name);
	g_autofree char *directory = g_strdup_printf("%u", name->vmid);
	auto_close int content_fd = -1, directory_fd = -1, fd = -1;
	int r;

	/* Says what is wrong with it, be it only that it is not there. */
	r = dir_open(storage, name, O_PATH, &fd, err);
	if (r < 0)
		return r;
	r = content_open(storage, name->content, false, &content_fd, err);
	if (r < 0)
		return r;
	directory_fd = safepath_open_nofollow(
		content_fd, name->vmid > 0 ? directory : "", O_RDONLY | O_DIRECTORY, 0);
	if (directory_fd < 0)
		return err_set_errno(err, directory_fd, "cannot open the directory of '%s'", path);
	if (is_protected(directory_fd, name))
		return err_set(err, EPERM, "backup '%s' is protected", path);

	if (name->format == VOLUME_FORMAT_SUBVOL)
		r = file_remove_tree(path);
	else
		r = RET_ERRNO(unlinkat(directory_fd, name->file, 0));
	if (r < 0)
		return err_set_errno(err, r, "cannot remove volume '%s'", path);
	if (name->vmid > 0)
		(void)unlinkat(content_fd, directory, AT_REMOVEDIR); /* Stays unless empty. */
	return 0;
}

struct listing {
	const Storage *storage;
	int content_fd;
	StorageContent content;
	unsigned vmid; /* Of the directory being read; 0: not a guest's. */
	unsigned wanted_vmid;
	GPtrArray *volumes;
};

static int list_file(const char *file, void *data)
{
	struct listing *listing = data;
	g_autofree char *text = volume_name_dup_file(listing->content, listing->vmid, file);
	g_autofree char *relative = NULL;
	g_autoptr(VolumeName) name = NULL;
	VolumeInfo *info;
	struct stat st;

	/* Strange files are not volumes; neither are those that went away meanwhile. */
	if (!text || volume_name_parse(text, &name) < 0)
		return 0;
	relative = relative_path(name);
	if (fstatat(listing->content_fd, relative, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (name->format == VOLUME_FORMAT_SUBVOL ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return 0;

	info = volume_info_new(listing->storage, name);
	info->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	info->ctime_s = st.st_ctime;
	g_ptr_array_add(listing->volumes, info);
	return 0;
}

static int list_guest(const char *directory, void *data)
{
	struct listing *listing = data;
	int r;

	if (ct_id_parse(directory, &listing->vmid, NULL) < 0)
		return 0;
	if (listing->wanted_vmid > 0 && listing->wanted_vmid != listing->vmid)
		return 0;
	r = each_entry(listing->content_fd, directory, list_file, listing);
	/* A file or a link with the name of a guest is not a guest's directory. */
	return r == -ENOTDIR || r == -ELOOP ? 0 : r;
}

static int dir_list(
	const Storage *storage, unsigned content, unsigned vmid, GPtrArray *volumes, GError **err)
{
	for (unsigned bit = 1; bit <= content; bit <<= 1) {
		g_autofree char *path = NULL;
		auto_close int fd = -1;
		struct listing listing;
		int r;

		/* All guests here are containers, so no image has content type images. */
		if (!(content & bit) || bit == STORAGE_CONTENT_IMAGES)
			continue;
		path = content_path(storage, bit);
		fd = safepath_open_root(path);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return err_set_errno(err, fd, "cannot open directory '%s'", path);

		listing = (struct listing){storage, fd, bit, 0, vmid, volumes};
		if (bit == STORAGE_CONTENT_ROOTDIR)
			r = each_entry(fd, "", list_guest, &listing);
		else if (vmid == 0)
			r = each_entry(fd, "", list_file, &listing);
		else
			r = 0;
		if (r < 0)
			return err_set_errno(err, r, "cannot read directory '%s'", path);
	}
	return 0;
}

const StorageBackend backend_dir = {
	.type = "dir",
	.check_online = dir_check_online,
	.space = dir_space,
	.path_dup = dir_path_dup,
	.open = dir_open,
	.alloc = dir_alloc,
	.free = dir_free,
	.list = dir_list,
};
