/* SPDX-License-Identifier: Apache-2.0 */

/* vzcreate: makes a container from a template.
 *
 *	check	parameters, id, template, storages, bridges: nothing is changed yet
 *	claim	the configuration is made with `lock: create`.  The store lets one of all nodes win,
 *		and this is what decides to whom the id belongs.
 *	build	volumes are made, mounted where only this process sees them, and filled
 *	finish	the configuration loses its lock
 *
 * The file lock is held all the time, so as long as this worker lives nobody takes the container for
 * an abandoned one.  Any failure after the claim undoes everything (cleanup.h); when the worker is
 * killed, job `recover` does the same. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/ct/change.h"
#include "agent/ct/changeenv.h"
#include "agent/ct/cleanup.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctalloc.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/idmap.h"
#include "agent/ct/joblock.h"
#include "agent/ct/lifecycle.h"
#include "agent/ct/mountns.h"
#include "agent/ct/netdev.h"
#include "agent/ct/options.h"
#include "agent/ct/quorum.h"
#include "agent/ct/setup.h"
#include "agent/ct/volumes.h"
#include "agent/net/link.h"
#include "agent/storage/extract.h"
#include "agent/storage/mount.h"
#include "agent/storage/storage.h"
#include "agent/storage/template.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

/* The root volume when none is asked for. */
#define ROOTFS_DEFAULT_GIB "4"

/* Memory and swap are written down even when they are not asked for, so that later defaults do not
 * change what exists. */
#define MEMORY_DEFAULT_MIB "512"
#define SWAP_DEFAULT_MIB   "512"

#define PASSWORD_LENGTH_MIN 5

typedef struct Create {
	Job *job;
	CtStore store;
	StorageSet *storages;
	CtConfig *config;
	CtSection *section; /* The current one, borrowed. */
	IdMap *idmap;
	char *template_path;
	char *rootfs_path;  /* Where volumes are mounted while they are filled. */
	Undo *undo;         /* NULL until the claim. */
	int host_mounts_fd; /* The way out of our mount name space; -1: not in one. */
} Create;

static void create_clear(Create *create)
{
	storage_set_free(create->storages);
	ct_config_free(create->config);
	id_map_free(create->idmap);
	g_free(create->template_path);
	g_free(create->rootfs_path);
	undo_free(create->undo);
	fd_cleanup(&create->host_mounts_fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Create, create_clear)

/* --- check ------------------------------------------------------------------------------------ */

/* What the API knows but this job cannot do. */
static int check_unsupported(const Job *job, GError **err)
{
	static const char *const flags[] = {"restore", "unique", "ha-managed"};
	static const char *const values[] = {"pool", "bwlimit"};

	for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
		if (job_param_boolean(job, flags[i], false))
			return err_set(
				err, EOPNOTSUPP, "option '%s' is not supported here", flags[i]);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		if (job_param(job, values[i]))
			return err_set(
				err, EOPNOTSUPP, "option '%s' is not supported here", values[i]);
	}
	return 0;
}

static int check_id(const Create *create, GError **err)
{
	g_autofree char *node = NULL;
	g_autoptr(GError) reason = NULL;
	int r;

	r = quorum_require(err);
	if (r < 0)
		return r;

	/* The claim decides; this is only to refuse before any work is done. */
	r = ct_file_find(&create->store, create->job->vmid, &node, &reason);
	if (r == -ENOENT)
		return 0;
	if (r == -EINVAL)
		return err_set(err, EEXIST, "VM %u already exists", create->job->vmid);
	if (r < 0) {
		g_propagate_error(err, g_steal_pointer(&reason));
		return r;
	}
	return err_set(err, EEXIST, "CT %u already exists on node '%s'", create->job->vmid, node);
}

static int check_template(Create *create, GError **err)
{
	const char *name = job_param(create->job, "ostemplate");

	if (!name || !*name)
		return err_set(err, EINVAL, "no template is given");
	if (str_equal(name, "-"))
		return err_set(err, EOPNOTSUPP, "a template on standard input is not supported");

	return template_find(
		create->storages, name, create->job->node, &create->template_path, err);
}

static int check_password(const Job *job, GError **err)
{
	const char *password = job_param(job, "password");

	if (password && strlen(password) < PASSWORD_LENGTH_MIN)
		return err_set(err, EINVAL, "password: must have at least %d characters",
			PASSWORD_LENGTH_MIN);
	return 0;
}

static void set_default(CtSection *section, const char *key, const char *value)
{
	if (!ct_section_get(section, key))
		ct_section_set(section, key, value);
}

/* The options that were given. */
static int take_options(Create *create, GError **err)
{
	g_auto(CtHostEnv) host = {0};
	const char *key;
	json_t *value;

	ct_host_env_init(&host, create->job, create->storages);
	json_object_foreach(create->job->params, key, value) {
		const SchemaOption *option = schema_find(ct_options, key, NULL);
		g_autofree char *text = NULL;
		int r;

		if (!option)
			continue;
		if ((option->flags & SCHEMA_HIDDEN) || str_equal(key, "lock") ||
			str_equal(key, "template"))
			return err_set(err, EINVAL, "%s: cannot be set by hand", key);
		if (str_equal(option->name, "unused")) {
			job_warn(create->job, "Option '%s' is ignored", key);
			continue;
		}
		r = ct_change_check(key, json_string_value(value), &host.env, &text, err);
		if (r < 0)
			return err_prefix(err, r, "%s", key);
		ct_section_set(create->section, key, text);
	}
	return 0;
}

/* The configuration as it was asked for, with defaults. */
static int build_section(Create *create, GError **err)
{
	g_autofree char *hostname = g_strdup_printf("CT%u", create->job->vmid);
	int r;

	create->config = ct_config_new();
	create->section = ct_config_current(create->config);
	r = take_options(create, err);
	if (r < 0)
		return r;

	if (!ct_section_get(create->section, "rootfs")) {
		g_autoptr(GPtrArray) keys = ct_volume_keys(create->section);

		if (keys->len > 0)
			return err_set(err, EINVAL, "%s is given without rootfs",
				(const char *)keys->pdata[0]);
		ct_section_set(create->section, "rootfs", ROOTFS_DEFAULT_GIB);
	}
	set_default(create->section, "unprivileged", "1");
	set_default(create->section, "hostname", hostname);
	set_default(create->section, "memory", MEMORY_DEFAULT_MIB);
	set_default(create->section, "swap", SWAP_DEFAULT_MIB);
	ct_section_set(create->section, "lock", "create");
	return id_map_from_section(create->section, &create->idmap, err);
}

/* What the volume of option key is to be; a request when it must be made. */
static int get_request(const Create *create, const char *key, PropString **ret_props,
	bool *ret_is_request, VolumeRequest *ret, GError **err)
{
	const char *storage = job_param(create->job, "storage");
	int r;

	r = ct_volume_parse(create->section, key, ret_props, err);
	if (r < 0)
		return r;
	r = volume_request_parse(propstring_get(*ret_props, "volume"), storage ? storage : "local",
		ret_is_request, ret, err);
	return r < 0 ? err_prefix(err, r, "%s", key) : 0;
}

/* A directory of the host can be a root, but what is in it must not be unpacked over: it may be the
 * wrong one. */
static int check_root_directory(const char *path, GError **err)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (!dir)
		return 0;
	while ((name = g_dir_read_name(dir)))
		if (!str_equal(name, "lost+found"))
			return err_set(err, ENOTEMPTY, "directory '%s' is not empty", path);
	return 0;
}

/* Every storage must be good for containers, before the first volume is made on any of them.  Their
 * names are appended to names. */
static int check_volumes(const Create *create, GPtrArray *names, GError **err)
{
	g_autoptr(GPtrArray) keys = ct_volume_keys(create->section);

	for (unsigned i = 0; i < keys->len; i++) {
		g_autoptr(PropString) props = NULL;
		g_auto(VolumeRequest) request = {0};
		g_autofree char *name = NULL;
		g_autofree char *rest = NULL;
		const char *volume;
		Storage *storage;
		bool is_request;
		int r;

		r = get_request(create, keys->pdata[i], &props, &is_request, &request, err);
		if (r < 0)
			return r;
		volume = propstring_get(props, "volume");
		if (is_request)
			name = g_strdup(request.storage);
		else if (volume[0] == '/')
			r = str_equal(keys->pdata[i], "rootfs") ? check_root_directory(volume, err)
								: 0;
		else
			r = volume_id_parse(volume, &name, &rest, err);
		if (r >= 0 && name)
			r = storage_require(create->storages, name, create->job->node,
				STORAGE_CONTENT_ROOTDIR, &storage, err);
		if (r < 0)
			return err_prefix(err, r, "%s", (const char *)keys->pdata[i]);
		if (is_request)
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
	return 0;
}

static int check_nets(const Create *create, GError **err)
{
	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *bridge = NULL;
		g_autoptr(GError) reason = NULL;
		int r;

		r = ct_netdev_dup_bridge(create->section, i, &bridge, &reason);
		if (r == -ENOENT)
			continue;
		if (r < 0) {
			g_propagate_error(err, g_steal_pointer(&reason));
			return r;
		}
		r = ct_netdev_check_name(create->section, i, err);
		if (r >= 0)
			r = link_require_bridge(bridge, err);
		if (r < 0)
			return err_prefix(err, r, "net%u", i);
	}
	return 0;
}

static int create_check(Create *create, GPtrArray *storage_names, GError **err)
{
	int r;

	r = check_unsupported(create->job, err);
	if (r >= 0)
		r = check_password(create->job, err);
	if (r >= 0)
		r = check_id(create, err);
	if (r >= 0)
		r = storage_set_load(&create->storages, err);
	if (r >= 0)
		r = check_template(create, err);
	if (r >= 0)
		r = build_section(create, err);
	if (r >= 0)
		r = check_volumes(create, storage_names, err);
	if (r >= 0)
		r = check_nets(create, err);
	return r;
}

/* --- build ------------------------------------------------------------------------------------ */

static int make_volume(Create *create, const char *key, GError **err)
{
	g_autoptr(PropString) props = NULL;
	g_auto(VolumeRequest) request = {0};
	g_autofree char *volid = NULL;
	g_autofree char *size = NULL;
	g_autofree char *text = NULL;
	bool is_request;
	int r;

	r = get_request(create, key, &props, &is_request, &request, err);
	if (r < 0 || !is_request)
		return r;
	r = ct_alloc(create->job, create->storages, create->job->vmid, create->idmap, &request,
		&volid, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);

	size = size_to_string((int64_t)request.size_bytes);
	propstring_set(props, "volume", volid);
	propstring_set(props, "size", size);
	text = propstring_to_string(props);
	ct_section_set(create->section, key, text);
	return 0;
}

static int make_volumes(Create *create, GError **err)
{
	g_autoptr(GPtrArray) keys = ct_volume_keys(create->section);

	for (unsigned i = 0; i < keys->len; i++) {
		int r;

		r = make_volume(create, keys->pdata[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int mount_volumes(Create *create, GError **err)
{
	uint32_t uid, gid;
	int r;

	r = id_map_root(create->idmap, &uid, &gid, err);
	if (r < 0)
		return r;
	r = file_mkdir_all(create->rootfs_path, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make '%s'", create->rootfs_path);
	r = mountns_enter(&create->host_mounts_fd, err);
	if (r < 0)
		return r;
	return ct_mount_all(
		create->storages, create->section, create->rootfs_path, true, uid, gid, err);
}

static int fill_root(Create *create, GError **err)
{
	ExtractOptions options = {
		.idmap = create->idmap,
		.ignore_errors = job_param_boolean(create->job, "ignore-unpack-errors", false),
	};
	CtSecrets secrets = {
		.password = job_param(create->job, "password"),
		.ssh_public_keys = job_param(create->job, "ssh-public-keys"),
	};
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	int r;

	job_log(create->job, "Unpacking '%s'", create->template_path);
	r = extract_template(create->template_path, create->rootfs_path, &options, err);
	if (r < 0)
		return r;
	if (job_aborted(create->job))
		return job_abort_error(create->job, err);

	r = ct_setup(create->job->vmid, GUEST_PHASE_POST_CREATE, &secrets, create->idmap,
		create->section, create->rootfs_path, warnings, err);
	job_warn_all(create->job, warnings);
	return r;
}

/* Writes out what the root file system holds.  On an image, a disk below that is full shows only here:
 * the file system took the data for the size it was made with, and unmounting tells of no error. */
static int sync_root(const Create *create, GError **err)
{
	auto_close int fd =
		RET_ERRNO(open(create->rootfs_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int r = fd;

	if (r >= 0)
		r = RET_ERRNO(syncfs(fd));
	if (r < 0)
		return err_set_errno(
			err, r, "cannot write the root file system out, the storage may be full");
	return 0;
}

static int create_build(Create *create, GError **err)
{
	int r;

	r = make_volumes(create, err);
	if (r >= 0)
		r = mount_volumes(create, err);
	if (r >= 0)
		r = fill_root(create, err);
	if (r >= 0)
		r = sync_root(create, err);
	if (r >= 0)
		r = ct_unmount_all(create->rootfs_path, err);
	return r;
}

/* --- claim and finish ------------------------------------------------------------------------- */

static int create_claim(Create *create, const GPtrArray *storage_names, GError **err)
{
	int r;

	/* The note first: when there is a configuration under construction, there is a note. */
	r = cleanup_prepare(
		create->job, create->job->vmid, UNDO_CREATE, storage_names, &create->undo, err);
	if (r < 0)
		return r;
	r = ct_file_create(&create->store, create->job->vmid, create->config, err);
	if (r < 0) {
		(void)undo_remove(create->job->vmid, NULL);
		g_clear_pointer(&create->undo, undo_free);
	}
	return r;
}

static int create_finish(Create *create, GError **err)
{
	int r;

	r = mountns_leave(&create->host_mounts_fd, err);
	if (r < 0)
		return r;
	ct_section_unset(create->section, "lock");
	return ct_file_replace(&create->store, create->job->vmid, create->config, err);
}

/* Undoes everything; the reason why is already known and stays the reason. */
static void create_undo(Create *create)
{
	g_autoptr(GError) err = NULL;
	int r;

	r = mountns_leave(&create->host_mounts_fd, &err);
	if (r >= 0)
		r = cleanup_create(create->job, create->job->vmid, create->undo, &err);
	if (r < 0)
		job_warn(create->job, "Cannot undo it all: %s", err->message);
}

int job_vzcreate(Job *job, json_t **ret_result, GError **err)
{
	g_autoptr(GPtrArray) storage_names = g_ptr_array_new_with_free_func(g_free);
	g_auto(Create) create = {
		.job = job,
		.store = ct_store_local(job->node),
		.rootfs_path = g_strdup_printf(PATH_LXC "/%u/rootfs", job->vmid),
		.host_mounts_fd = -1,
	};
	LifecycleStart start = {0};
	auto_close int lock_fd = -1;
	int r;

	r = ct_job_lock(job, &create.store, job->vmid, CT_LOCK_CREATE_TIMEOUT_MS, &lock_fd, err);
	if (r >= 0)
		r = cleanup_dead(job, job->vmid, NULL, err);
	if (r >= 0)
		r = create_check(&create, storage_names, err);
	if (r >= 0)
		r = create_claim(&create, storage_names, err);
	if (r < 0)
		return r;

	r = create_build(&create, err);
	if (r >= 0)
		r = create_finish(&create, err);
	if (r < 0) {
		create_undo(&create);
		return r;
	}
	r = undo_remove(job->vmid, err);
	if (r < 0)
		return r;

	return job_param_boolean(job, "start", false) ? lifecycle_start(job, job->vmid, &start, err)
						      : 0;
}
