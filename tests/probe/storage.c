/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-probe storage: what the agent does with storages, one step a call.
 *
 *	alloc STORAGE VMID BYTES UID	prints the volume id
 *	free VOLID
 *	list STORAGE			VOLID FORMAT CONTENT SIZE VMID, one a line
 *	path VOLID
 *	status STORAGE			active|inactive TOTAL USED AVAILABLE
 *	mount CONFIG ROOTFS UID		all volumes of a container's configuration
 *	unmount ROOTFS
 *	extract ARCHIVE ROOTFS		--privileged: without id map
 *
 * --cfg FILE is the storage.cfg. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/ct/config.h"
#include "agent/ct/idmap.h"
#include "agent/storage/extract.h"
#include "agent/storage/mount.h"
#include "agent/storage/storage.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "tests/probe/probe.h"

struct options {
	char *cfg;
	gboolean privileged;
	gboolean read_write;
	gboolean ignore_errors;
	gboolean progress;
};

static int do_alloc(const StorageSet *set, const struct options *options, char **args, GError **err)
{
	unsigned owner = (unsigned)atoi(args[3]);
	VolumeSpec spec = {
		.vmid = (unsigned)atoi(args[1]),
		.size_bytes = strtoull(args[2], NULL, 10),
		.root_uid = owner,
		.root_gid = owner,
	};
	g_autofree char *volid = NULL;
	int r;

	r = volume_alloc(set, args[0], &spec, &volid, err);
	if (r >= 0)
		printf("%s\n", volid);
	return r;
}

static int do_free(const StorageSet *set, const struct options *options, char **args, GError **err)
{
	return volume_free(set, args[0], err);
}

static int do_list(const StorageSet *set, const struct options *options, char **args, GError **err)
{
	g_autoptr(GPtrArray) volumes = NULL;
	Storage *storage;
	int r;

	r = storage_find(set, args[0], &storage, err);
	if (r >= 0)
		r = storage_list(storage, 0, 0, &volumes, err);
	for (unsigned i = 0; r >= 0 && i < volumes->len; i++) {
		const VolumeInfo *info = volumes->pdata[i];

		printf("%s %s %s %" PRIu64 " %u\n", info->volid,
			volume_format_to_string(info->format, info->volid),
			storage_content_to_string(info->content), info->size_bytes, info->vmid);
	}
	return r;
}

static int do_path(const StorageSet *set, const struct options *options, char **args, GError **err)
{
	g_autofree char *path = NULL;
	int r = volume_resolve(set, args[0], NULL, &path, err);

	if (r >= 0)
		printf("%s\n", path);
	return r;
}

static int do_status(
	const StorageSet *set, const struct options *options, char **args, GError **err)
{
	StorageStatus status;
	Storage *storage;
	int r;

	r = storage_find(set, args[0], &storage, err);
	if (r >= 0)
		r = storage_status(storage, &status, err);
	if (r >= 0)
		printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			status.active ? "active" : "inactive", status.total_bytes,
			status.used_bytes, status.available_bytes);
	return r;
}

static int do_mount(const StorageSet *set, const struct options *options, char **args, GError **err)
{
	unsigned owner = (unsigned)atoi(args[2]);
	g_autoptr(CtConfig) config = NULL;
	g_autofree char *text = NULL;
	size_t size;
	int r;

	r = file_read(args[0], CT_CONFIG_SIZE_MAX, &text, &size);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", args[0]);
	r = ct_config_parse(text, size, false, &config, NULL, err);
	if (r < 0)
		return r;
	return ct_mount_all(
		set, ct_config_current(config), args[1], options->read_write, owner, owner, err);
}

static int do_unmount(
	const StorageSet *set, const struct options *options, char **args, GError **err)
{
	return ct_unmount_all(args[0], err);
}

static void print_progress(uint64_t done, uint64_t total, void *data)
{
	fprintf(stderr, "progress %" PRIu64 " %" PRIu64 "\n", done, total);
}

static void print_warning(const char *message, void *data)
{
	fprintf(stderr, "warning: %s\n", message);
}

static int do_extract(
	const StorageSet *set, const struct options *options, char **args, GError **err)
{
	g_autoptr(IdMap) map = options->privileged ? id_map_new_host() : id_map_new_default();
	ExtractOptions extract = {
		.idmap = map,
		.ignore_errors = options->ignore_errors,
		.progress = options->progress ? print_progress : NULL,
		.warn = print_warning,
	};

	return extract_template(args[0], args[1], &extract, err);
}

static const struct operation {
	const char *name;
	int n_args;
	int (*run)(const StorageSet *set, const struct options *options, char **args, GError **err);
} operations[] = {
	{"alloc", 4, do_alloc},
	{"extract", 2, do_extract},
	{"free", 1, do_free},
	{"list", 1, do_list},
	{"mount", 3, do_mount},
	{"path", 1, do_path},
	{"status", 1, do_status},
	{"unmount", 1, do_unmount},
};

static int run(const struct options *options, int argc, char **argv, GError **err)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(StorageSet) set = NULL;
	g_autofree char *text = NULL;
	int r;

	if (options->cfg) {
		r = file_read(options->cfg, CT_CONFIG_SIZE_MAX, &text, NULL);
		if (r < 0)
			return err_set_errno(err, r, "cannot read '%s'", options->cfg);
	}
	set = storage_set_parse(text, warnings);
	for (unsigned i = 0; i < warnings->len; i++)
		print_warning(warnings->pdata[i], NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++)
		if (argc > 1 && str_equal(operations[i].name, argv[1]) &&
			argc - 2 == operations[i].n_args)
			return operations[i].run(set, options, argv + 2, err);
	return err_set(err, EINVAL, "wrong operation or number of arguments");
}

int probe_storage(int argc, char **argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new("OPERATION …");
	g_autoptr(GError) error = NULL;
	struct options options = {};
	const GOptionEntry entries[] = {
		{"cfg", 0, 0, G_OPTION_ARG_FILENAME, &options.cfg, "storage.cfg", "FILE"},
		{"privileged", 0, 0, G_OPTION_ARG_NONE, &options.privileged, "No id map", NULL},
		{"read-write", 0, 0, G_OPTION_ARG_NONE, &options.read_write, "Override ro", NULL},
		{"ignore-errors", 0, 0, G_OPTION_ARG_NONE, &options.ignore_errors, "Go on", NULL},
		{"progress", 0, 0, G_OPTION_ARG_NONE, &options.progress, "Show it", NULL},
		{NULL},
	};
	int r;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		r = -EINVAL;
	else
		r = run(&options, argc, argv, &error);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", error->message);
	g_free(options.cfg);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
