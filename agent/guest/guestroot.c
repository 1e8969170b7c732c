/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestroot.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/safepath.h"

/* Entries of one directory that are looked at. */
#define LIST_MAX 10000

static const uid_t keep_uid = (uid_t)-1;
static const gid_t keep_gid = (gid_t)-1;

int guest_root_read(const GuestRoot *root, const char *path, char **ret, GError **err)
{
	g_autofree char *text = NULL;
	size_t size;
	int r;

	r = safepath_read(root->fd, path, GUEST_FILE_SIZE_MAX, &text, &size);
	if (r == -ENOENT || r == -ENOTDIR) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		return err_set_errno(err, r, "cannot read the guest's %s", path);
	/* Written back it would lose all behind its first zero byte. */
	if (strlen(text) != size)
		return err_set(err, EILSEQ, "the guest's %s is no text", path);

	*ret = g_steal_pointer(&text);
	return 0;
}

static bool is_ignored(const GuestRoot *root, const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	g_autofree char *mark = g_strdup_printf("%s/.pve-ignore.%s", directory, name);

	return safepath_exists(root->fd, mark);
}

static bool has_text(const GuestRoot *root, const char *path, const char *text)
{
	g_autofree char *present = NULL;

	return safepath_read(root->fd, path, GUEST_FILE_SIZE_MAX, &present, NULL) == 0 &&
	       str_equal(present, text);
}

static int write_file(const GuestRoot *root, const char *path, const char *text, mode_t mode,
	uid_t uid, gid_t gid, GError **err)
{
	g_autofree char *directory = g_path_get_dirname(path);
	int r;

	if (is_ignored(root, path) || has_text(root, path, text))
		return 0;

	r = safepath_mkdir_all(root->fd, directory, 0755, root->uid, root->gid);
	if (r == 0)
		r = safepath_replace(root->fd, path, text, strlen(text), mode, uid, gid);
	return (r < 0) ? err_set_errno(err, r, "cannot write the guest's %s", path) : 0;
}

int guest_root_write(
	const GuestRoot *root, const char *path, const char *text, mode_t mode, GError **err)
{
	return write_file(root, path, text, mode, root->uid, root->gid, err);
}

int guest_root_edit(const GuestRoot *root, const char *path, const char *text, GError **err)
{
	return write_file(root, path, text, 0, keep_uid, keep_gid, err);
}

static int modify(const GuestRoot *root, const char *path, const char *text, MarkedPlace place,
	mode_t mode, bool remove_empty, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *changed = NULL;
	int r;

	r = guest_root_read(root, path, &old, err);
	if (r < 0)
		return r;

	changed = marked_apply(old, text, place);
	if (!changed)
		return 0;
	if (!*changed && remove_empty)
		return guest_root_remove(root, path, err);
	return guest_root_write(root, path, changed, old ? 0 : mode, err);
}

int guest_root_modify(const GuestRoot *root, const char *path, const char *text, MarkedPlace place,
	mode_t mode, GError **err)
{
	return modify(root, path, text, place, mode, false, err);
}

int guest_root_modify_or_remove(
	const GuestRoot *root, const char *path, const char *text, MarkedPlace place, GError **err)
{
	return modify(root, path, text, place, 0, true, err);
}

int guest_root_remove(const GuestRoot *root, const char *path, GError **err)
{
	int r;

	if (is_ignored(root, path))
		return 0;

	r = safepath_unlink(root->fd, path);
	return (r < 0) ? err_set_errno(err, r, "cannot remove the guest's %s", path) : 0;
}

int guest_root_link(const GuestRoot *root, const char *path, const char *target, GError **err)
{
	g_autofree char *present = guest_root_dup_link(root, path);
	int r;

	if (is_ignored(root, path) || (present && str_equal(present, target)))
		return 0;

	r = safepath_symlink(root->fd, target, path, root->uid, root->gid);
	return (r < 0) ? err_set_errno(err, r, "cannot make the guest's link %s", path) : 0;
}

int guest_root_mkdir(const GuestRoot *root, const char *path, mode_t mode, GError **err)
{
	int r = safepath_mkdir_all(root->fd, path, mode, root->uid, root->gid);

	return (r < 0) ? err_set_errno(err, r, "cannot make the guest's directory %s", path) : 0;
}

bool guest_root_has_file(const GuestRoot *root, const char *path)
{
	struct stat st;

	return safepath_stat(root->fd, path, &st) == 0 && S_ISREG(st.st_mode);
}

bool guest_root_has_directory(const GuestRoot *root, const char *path)
{
	struct stat st;

	return safepath_stat(root->fd, path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool guest_root_has_executable(const GuestRoot *root, const char *path)
{
	struct stat st;

	return safepath_stat(root->fd, path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & S_IXUSR);
}

char *guest_root_dup_link(const GuestRoot *root, const char *path)
{
	char target[PATH_MAX];
	auto_close int fd = safepath_open(root->fd, path, O_PATH | O_NOFOLLOW, 0);
	ssize_t n;

	if (fd < 0)
		return NULL;

	n = readlinkat(fd, "", target, sizeof(target) - 1);
	return (n > 0) ? g_strndup(target, (gsize)n) : NULL;
}

bool guest_root_is_link(const GuestRoot *root, const char *path)
{
	g_autofree char *target = guest_root_dup_link(root, path);

	return target != NULL;
}

bool guest_root_is_same(const GuestRoot *root, const char *a, const char *b)
{
	struct stat st_a, st_b;

	return safepath_stat(root->fd, a, &st_a) == 0 && safepath_stat(root->fd, b, &st_b) == 0 &&
	       st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	const char *const *left = a;
	const char *const *right = b;

	return strcmp(*left, *right);
}

int guest_root_list(const GuestRoot *root, const char *path, GPtrArray **ret, GError **err)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	int fd = safepath_open(root->fd, path, O_RDONLY | O_DIRECTORY, 0);
	const struct dirent *entry;
	DIR *dir;

	if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
		return err_set_errno(err, fd, "cannot read the guest's directory %s", path);

	dir = (fd >= 0) ? fdopendir(fd) : NULL;
	while (dir && names->len < LIST_MAX && (entry = readdir(dir)))
		g_ptr_array_add(names, g_strdup(entry->d_name));
	if (dir)
		(void)closedir(dir);
	else if (fd >= 0)
		(void)close(fd);

	g_ptr_array_sort(names, compare_names);
	*ret = g_steal_pointer(&names);
	return 0;
}
