/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/ctfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

#define CONF_SUFFIX ".conf"

/* The list of all guests; a hundred bytes each would be a million of them. */
#define VMLIST_SIZE_MAX (128 * 1024 * 1024)

CtStore ct_store_local(const char *node)
{
	assert(node);

	return (CtStore){.root = PATH_STORE, .node = node, .lock_directory = PATH_LOCK};
}

/* Every failed change of the store comes through here, so that a missing quorum reads the same
 * everywhere. */
static int store_failed(GError **err, int r, const char *what, unsigned vmid)
{
	if (r == -EROFS)
		return err_set(err, EROFS, "cluster not ready - no quorum");
	if (r == -ENOENT)
		return err_set(err, ENOENT, "configuration file of CT %u does not exist", vmid);

	return err_set_errno(err, r, "cannot %s configuration file of CT %u", what, vmid);
}

static int set_not_mounted(const CtStore *store, GError **err)
{
	return err_set(err, ENOTCONN, "the cluster's store is not mounted on '%s'", store->root);
}

int ct_store_require(const CtStore *store, GError **err)
{
	g_autofree char *path = NULL;

	assert(store && store->root);

	path = g_build_filename(store->root, ".vmlist", NULL);
	return access(path, F_OK) < 0 ? set_not_mounted(store, err) : 0;
}

static char *node_directory(const CtStore *store, const char *node)
{
	assert(store && store->root && store->node);

	return g_build_filename(store->root, "nodes", node ?: store->node, "lxc", NULL);
}

char *ct_file_path(const CtStore *store, const char *node, unsigned vmid)
{
	g_autofree char *directory = node_directory(store, node);

	return g_strdup_printf("%s/%u" CONF_SUFFIX, directory, vmid);
}

int ct_file_load(const CtStore *store, const char *node, unsigned vmid, CtConfig **ret,
	char **ret_digest, GPtrArray *warnings, GError **err)
{
	g_autofree char *path = ct_file_path(store, node, vmid);
	g_autofree char *text = NULL;
	size_t size;
	int r;

	assert(ret);

	r = file_read(path, CT_CONFIG_SIZE_MAX, &text, &size);
	if (r == -ENOENT || r == -ENOTCONN) {
		int mounted = ct_store_require(store, err);

		if (mounted < 0)
			return mounted;
	}
	if (r < 0)
		return store_failed(err, r, "read", vmid);
	r = ct_config_parse(text, size, false, ret, warnings, err);
	if (r < 0)
		return err_prefix(err, r, "configuration of CT %u", vmid);

	if (ret_digest)
		*ret_digest = ct_config_dup_digest(text, size);
	return 0;
}

/* Writes text in one call and closes the file; the store tells at the latest then whether the change
 * was made. */
static int write_once(int fd, const char *text)
{
	auto_close int owned = fd;
	size_t size = strlen(text);
	ssize_t n = size > 0 ? RET_ERRNO(write(fd, text, size)) : 0;

	if (n < 0)
		return (int)n;
	if ((size_t)n != size)
		return -EIO;

	return RET_ERRNO(close(fd_steal(&owned)));
}

/* --- The list of all guests ------------------------------------------------------------------- */

/* The entry of vmid in .vmlist, borrowed from *ret_list; NULL when there is none. */
static int vmlist_find(
	const CtStore *store, unsigned vmid, json_t **ret_list, json_t **ret_entry, GError **err)
{
	g_autofree char *path = g_build_filename(store->root, ".vmlist", NULL);
	g_autofree char *key = g_strdup_printf("%u", vmid);
	g_autofree char *text = NULL;
	json_error_t error;
	size_t size;
	int r;

	r = file_read(path, VMLIST_SIZE_MAX, &text, &size);
	if (r == -ENOENT || r == -ENOTCONN)
		return set_not_mounted(store, err);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", path);

	*ret_list = json_loadb(text, size, 0, &error);
	if (!*ret_list)
		return err_set(err, EBADMSG, "cannot parse '%s': %s", path, error.text);

	*ret_entry = json_object_get(json_object_get(*ret_list, "ids"), key);
	return 0;
}

/* Where guest vmid is: *ret_node (owned by the caller) is NULL when no node has it. */
static int find_guest(
	const CtStore *store, unsigned vmid, char **ret_node, bool *ret_is_ct, GError **err)
{
	json_auto_t *list = NULL;
	json_t *entry = NULL;
	const char *node, *type;
	int r;

	r = vmlist_find(store, vmid, &list, &entry, err);
	if (r < 0)
		return r;
	if (!entry) {
		*ret_node = NULL;
		return 0;
	}
	if (json_unpack(entry, "{s:s, s:s}", "node", &node, "type", &type) < 0)
		return err_set(
			err, EBADMSG, "'%s/.vmlist' has a damaged entry %u", store->root, vmid);

	*ret_node = g_strdup(node);
	*ret_is_ct = str_equal(type, "lxc");
	return 0;
}

int ct_file_find(const CtStore *store, unsigned vmid, char **ret_node, GError **err)
{
	g_autofree char *node = NULL;
	bool is_ct = false;
	int r;

	assert(store && ret_node);

	r = find_guest(store, vmid, &node, &is_ct, err);
	if (r < 0)
		return r;
	if (!node)
		return err_set(err, ENOENT, "configuration file of CT %u does not exist", vmid);
	if (!is_ct)
		return err_set(err, EINVAL, "%u is a virtual machine on node '%s', not a container",
			vmid, node);

	*ret_node = g_steal_pointer(&node);
	return 0;
}

/* -EEXIST with the place of the guest that has vmid. */
static int set_already_exists(const CtStore *store, unsigned vmid, GError **err)
{
	g_autofree char *node = NULL;
	bool is_ct = true;

	if (find_guest(store, vmid, &node, &is_ct, NULL) < 0 || !node)
		return err_set(err, EEXIST, "CT %u already exists", vmid);

	return err_set(
		err, EEXIST, "%s %u already exists on node '%s'", is_ct ? "CT" : "VM", vmid, node);
}

/* --- Changes ---------------------------------------------------------------------------------- */

int ct_file_create(const CtStore *store, unsigned vmid, const CtConfig *config, GError **err)
{
	g_autofree char *path = ct_file_path(store, NULL, vmid);
	g_autofree char *directory = node_directory(store, NULL);
	g_autofree char *node = NULL;
	g_autofree char *text = NULL;
	bool is_ct;
	int fd, r;

	assert(config);
	assert(vmid >= CT_ID_MIN && vmid <= CT_ID_MAX);

	r = find_guest(store, vmid, &node, &is_ct, err);
	if (r < 0)
		return r;
	if (node)
		return set_already_exists(store, vmid, err);
	r = ct_config_print(config, &text, err);
	if (r < 0)
		return r;
	r = file_mkdir_all(directory, 0755);
	if (r < 0)
		return store_failed(err, r, "create directory of", vmid);

	/* The list may be older than a file that another node is just making; the store is not. */
	fd = RET_ERRNO(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
	if (fd == -EEXIST)
		return set_already_exists(store, vmid, err);
	if (fd < 0)
		return store_failed(err, fd, "create", vmid);

	r = write_once(fd, text);
	if (r < 0) {
		/* The file is ours.  Where even this fails, nothing can be done here. */
		(void)unlink(path);
		return store_failed(err, r, "create", vmid);
	}
	return 0;
}

int ct_file_replace(const CtStore *store, unsigned vmid, const CtConfig *config, GError **err)
{
	g_autofree char *path = ct_file_path(store, NULL, vmid);
	g_autofree char *text = NULL;
	int fd, r;

	assert(config);

	r = ct_config_print(config, &text, err);
	if (r < 0)
		return r;

	/* Without O_CREAT: a container that was moved away meanwhile must not come back. */
	fd = RET_ERRNO(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
	if (fd < 0)
		return store_failed(err, fd, "write", vmid);
	r = write_once(fd, text);
	if (r < 0)
		return store_failed(err, r, "write", vmid);
	return 0;
}

int ct_file_remove(const CtStore *store, unsigned vmid, GError **err)
{
	g_autofree char *path = ct_file_path(store, NULL, vmid);
	int r;

	r = RET_ERRNO(unlink(path));
	if (r < 0)
		return store_failed(err, r, "remove", vmid);
	return 0;
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

int ct_file_list(const CtStore *store, const char *node, GArray **ret, GError **err)
{
	g_autofree char *path = node_directory(store, node);
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autoptr(GDir) directory = NULL;
	const char *name;
	int r;

	assert(ret);

	r = ct_store_require(store, err);
	if (r < 0)
		return r;
	/* A node that never had a container has no directory. */
	directory = g_dir_open(path, 0, NULL);
	while (directory && (name = g_dir_read_name(directory))) {
		g_autofree char *id_text = NULL;
		unsigned id;

		if (!g_str_has_suffix(name, CONF_SUFFIX))
			continue;
		id_text = g_strndup(name, strlen(name) - strlen(CONF_SUFFIX));
		if (ct_id_parse(id_text, &id, NULL) == 0)
			g_array_append_val(ids, id);
	}

	g_array_sort(ids, compare_ids);
	*ret = g_steal_pointer(&ids);
	return 0;
}

/* --- Locks ------------------------------------------------------------------------------------ */

int ct_file_lock(
	const CtStore *store, unsigned vmid, unsigned timeout_ms, int *ret_fd, GError **err)
{
	g_autofree char *path = NULL;
	int r;

	assert(store && store->lock_directory && ret_fd);

	r = file_mkdir_all(store->lock_directory, 0755);
	if (r < 0)
		return err_set_errno(
			err, r, "cannot make directory '%s' of locks", store->lock_directory);

	path = g_strdup_printf("%s/pve-config-%u.lock", store->lock_directory, vmid);
	return file_lock(path, timeout_ms, ret_fd, err);
}

int ct_lock_check(const CtSection *current, const char *allowed, GError **err)
{
	const char *lock = ct_section_get(current, "lock");

	if (lock && !str_equal(lock, allowed))
		return err_set(err, EBUSY, "CT is locked (%s)", lock);
	return 0;
}

int ct_lock_remove(CtSection *current, unsigned vmid, const char *name, GError **err)
{
	const char *lock = ct_section_get(current, "lock");

	if (!lock)
		return err_set(err, EINVAL, "CT %u is not locked", vmid);
	if (name && !str_equal(lock, name))
		return err_set(err, EINVAL, "CT %u is locked (%s), not (%s)", vmid, lock, name);

	ct_section_unset(current, "lock");
	return 0;
}

int ct_protection_check(const CtSection *current, unsigned vmid, const char *action, GError **err)
{
	if (ct_section_get_boolean(current, "protection"))
		return err_set(
			err, EPERM, "can't %s CT %u - protection mode enabled", action, vmid);
	return 0;
}

int ct_digest_check(const char *digest, const char *expected, GError **err)
{
	assert(digest);

	if (expected && g_ascii_strcasecmp(digest, expected) != 0)
		return err_set(err, ESTALE,
			"detected modified configuration: it was changed by another user, try "
			"again");
	return 0;
}
