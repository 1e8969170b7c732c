/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/mountpoint.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/storage/mountfd.h"
#include "base/err.h"
#include "base/macro.h"

/* Opens the directory name in parent_fd; *ret_made is set when it had to be made. */
static int step_into(int parent_fd, const char *name, bool make, uid_t uid, gid_t gid, int *ret_fd)
{
	auto_close int fd = -1;
	bool made = false;

	if (str_equal(name, ".."))
		return -EINVAL;
	if (make) {
		made = mkdirat(parent_fd, name, 0755) == 0;
		if (!made && errno != EEXIST)
			return -errno;
	}
	/* O_DIRECTORY makes a link an error (ENOTDIR), as O_PATH would open the link itself. */
	fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* mkdir obeys the umask; our own directory by its descriptor, whatever is called by its
	 * name now. */
	if (made && (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0))
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int mountpoint_open(
	int root_fd, const char *path, bool make, uid_t uid, gid_t gid, int *ret_fd, GError **err)
{
	g_auto(GStrv) parts = NULL;
	auto_close int fd = -1;

	assert(root_fd >= 0);
	assert(path);
	assert(ret_fd);

	fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, -errno, "cannot open the root of '%s'", path);
	parts = g_strsplit(path, "/", -1);
	for (unsigned i = 0; parts[i]; i++) {
		int next_fd = -1, r;

		if (!*parts[i] || str_equal(parts[i], "."))
			continue;
		r = step_into(fd, parts[i], make, uid, gid, &next_fd);
		if (r == -ENOTDIR || r == -ELOOP)
			return err_set(err, -r, "'%s' of '%s' is a link or a file, not a directory",
				parts[i], path);
		if (r < 0)
			return err_set_errno(err, r, "cannot open '%s' of '%s'", parts[i], path);
		fd_clear(&fd);
		fd = next_fd;
	}
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int stat_mount(int fd, struct statx *ret)
{
	return RET_ERRNO(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, ret));
}

/* Whether the path leads to our mount, and that is as read-only as it has to be. */
static int check_mounted(int mount_fd, const MountPlace *place, GError **err)
{
	auto_close int fd = -1;
	struct statx ours, found;
	struct statvfs fs;
	int r;

	r = mountpoint_open(place->root_fd, place->path, false, 0, 0, &fd, err);
	if (r < 0)
		return r;
	if (stat_mount(mount_fd, &ours) < 0 || stat_mount(fd, &found) < 0 || fstatvfs(fd, &fs) < 0)
		return err_set_errno(err, -errno, "cannot check the mount on '%s'", place->path);
	if (ours.stx_mnt_id != found.stx_mnt_id || ours.stx_ino != found.stx_ino ||
		ours.stx_dev_major != found.stx_dev_major ||
		ours.stx_dev_minor != found.stx_dev_minor)
		return err_set(err, ESTALE,
			"'%s' was changed while it was being mounted: what is there is not what was "
			"mounted",
			place->path);
	if (place->read_only && !(fs.f_flag & ST_RDONLY))
		return err_set(err, EIO, "the mount on '%s' is not read-only", place->path);
	return 0;
}

static void call_step(const MountPlace *place, const char *name)
{
	if (place->step)
		place->step(name, place->step_data);
}

static int copy_attributes(int mount_fd, const struct stat *covered)
{
	if (fchownat(mount_fd, "", covered->st_uid, covered->st_gid, AT_EMPTY_PATH) < 0)
		return -errno;
	/* fchmod() does not take O_PATH descriptors. */
	return RET_ERRNO(fchmodat(mount_fd, ".", covered->st_mode & 07777, 0));
}

/* Takes our mount away, and whatever somebody has put in its place meanwhile: only what was there
 * before, target_fd, stays. */
static void undo(int mount_fd, int target_fd, const MountPlace *place)
{
	auto_close int fd = -1;
	struct statx before, found;

	mountfd_detach(mount_fd);
	if (mountpoint_open(place->root_fd, place->path, false, 0, 0, &fd, NULL) >= 0 &&
		stat_mount(target_fd, &before) >= 0 && stat_mount(fd, &found) >= 0 &&
		found.stx_mnt_id != before.stx_mnt_id)
		mountfd_detach(fd);
}

int mountpoint_mount(int mount_fd, const MountPlace *place, GError **err)
{
	auto_close int target_fd = -1;
	struct stat covered;
	int r;

	assert(mount_fd >= 0);
	assert(place);
	assert(place->path);

	call_step(place, "pre-mount");
	r = mountpoint_open(place->root_fd, place->path, true, place->root_uid, place->root_gid,
		&target_fd, err);
	if (r < 0)
		return r;
	if (place->keep_attributes) {
		r = RET_ERRNO(fstat(target_fd, &covered));
		if (r >= 0)
			r = copy_attributes(mount_fd, &covered);
		if (r < 0)
			return err_set_errno(
				err, r, "cannot keep the attributes of '%s'", place->path);
	}
	r = mountfd_attach(mount_fd, target_fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot mount on '%s'", place->path);
	call_step(place, "post-mount");

	r = check_mounted(mount_fd, place, err);
	if (r < 0)
		undo(mount_fd, target_fd, place);
	return r;
}
