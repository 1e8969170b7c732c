/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-probe guest-setup: a phase of guest set-up on a directory. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ct/config.h"
#include "agent/ct/idmap.h"
#include "agent/guest/guest.h"
#include "agent/guest/osrelease.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "tests/probe/probe.h"

#define TEXT_SIZE_MAX (1024 * 1024)

typedef struct Arguments {
	char *config, *rootfs, *phase, *host_resolv_conf, *host_localtime;
	char *password, *ssh_public_keys, *ostype, *uuid;
	int vmid, random_seed;
	gboolean no_ssh_host_keys, detect_only;
} Arguments;

static void arguments_clear(Arguments *a)
{
	char **texts[] = {&a->config, &a->rootfs, &a->phase, &a->host_resolv_conf,
		&a->host_localtime, &a->password, &a->ssh_public_keys, &a->ostype, &a->uuid};

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(*texts[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

static int parse_arguments(int argc, char **argv, Arguments *a, GError **err)
{
	/* clang-format off */
	const GOptionEntry entries[] = {
		{"config", 0, 0, G_OPTION_ARG_FILENAME, &a->config, "the container configuration", "FILE"},
		{"rootfs", 0, 0, G_OPTION_ARG_FILENAME, &a->rootfs, "the guest's root", "DIR"},
		{"vmid", 0, 0, G_OPTION_ARG_INT, &a->vmid, "the container's id", "N"},
		{"phase", 0, 0, G_OPTION_ARG_STRING, &a->phase,
			"post-create, pre-start, post-clone, template-fixup or network", "P"},
		{"host-resolv-conf", 0, 0, G_OPTION_ARG_FILENAME, &a->host_resolv_conf,
			"stands for the host's /etc/resolv.conf", "FILE"},
		{"host-localtime", 0, 0, G_OPTION_ARG_FILENAME, &a->host_localtime,
			"stands for the host's /etc/localtime", "FILE"},
		{"password", 0, 0, G_OPTION_ARG_STRING, &a->password, "root's password or its hash", "TEXT"},
		{"ssh-public-keys", 0, 0, G_OPTION_ARG_FILENAME, &a->ssh_public_keys,
			"root's authorized keys", "FILE"},
		{"random-seed", 0, 0, G_OPTION_ARG_INT, &a->random_seed, "for the minutes of cron", "N"},
		{"uuid", 0, 0, G_OPTION_ARG_STRING, &a->uuid, "for network files that have one", "UUID"},
		{"ostype", 0, 0, G_OPTION_ARG_STRING, &a->ostype, "taken instead of detection", "TYPE"},
		{"no-ssh-host-keys", 0, 0, G_OPTION_ARG_NONE, &a->no_ssh_host_keys, "make none", NULL},
		{"detect-only", 0, 0, G_OPTION_ARG_NONE, &a->detect_only,
			"print type, version and architecture", NULL},
		{0},
	};
	/* clang-format on */
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return err_take(err, EINVAL, &error);
	if (argc > 1)
		return err_set(err, EINVAL, "unexpected argument '%s'", argv[1]);
	if (!a->rootfs || (!a->config && !a->detect_only))
		return err_set(err, EINVAL, "--rootfs and --config are needed");
	if (a->ostype && !ostype_from_id(a->ostype))
		return err_set(err, EINVAL, "unknown ostype '%s'", a->ostype);
	return 0;
}

static int parse_phase(const char *name, GuestPhase *ret, GError **err)
{
	static const char *const names[GUEST_N_PHASES] = {
		[GUEST_PHASE_POST_CREATE] = "post-create",
		[GUEST_PHASE_PRE_START] = "pre-start",
		[GUEST_PHASE_POST_CLONE] = "post-clone",
		[GUEST_PHASE_TEMPLATE_FIXUP] = "template-fixup",
		[GUEST_PHASE_NETWORK] = "network",
	};

	*ret = GUEST_PHASE_POST_CREATE;
	for (unsigned i = 0; i < GUEST_N_PHASES && name; i++) {
		if (!str_equal(names[i], name))
			continue;
		*ret = i;
		return 0;
	}

	return name ? err_set(err, EINVAL, "unknown phase '%s'", name) : 0;
}

static int read_text(const char *path, char **ret, GError **err)
{
	int r;

	if (!path)
		return 0;

	r = file_read(path, TEXT_SIZE_MAX, ret, NULL);
	return (r < 0) ? err_set_errno(err, r, "cannot read '%s'", path) : 0;
}

static int read_config(const char *path, CtConfig **ret, GPtrArray *warnings, GError **err)
{
	g_autofree char *text = NULL;
	size_t size;
	int r;

	r = file_read(path, CT_CONFIG_SIZE_MAX, &text, &size);
	if (r < 0)
		return err_set_errno(err, r, "cannot read '%s'", path);
	return ct_config_parse(text, size, false, ret, warnings, err);
}

/* A configuration in which nothing changed stays as it was written. */
static int write_config(const char *path, CtConfig *config, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = ct_config_print(config, &text, err);
	if (r < 0)
		return r;
	if (file_read(path, CT_CONFIG_SIZE_MAX, &old, NULL) == 0 && str_equal(old, text))
		return 0;
	r = file_replace(path, text, strlen(text), 0640);
	return (r < 0) ? err_set_errno(err, r, "cannot write '%s'", path) : 0;
}

/* Whether this user namespace knows the id; elsewhere every id of the host is there. */
static bool is_mapped(const char *map_path, unsigned id)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (file_read(map_path, 65536, &text, NULL) < 0)
		return true;

	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		unsigned first, parent, count;

		if (sscanf(*line, "%u %u %u", &first, &parent, &count) == 3 && id >= first &&
			id - first < count)
			return true;
	}
	return false;
}

static int find_root_ids(const CtSection *section, GuestSetup *setup, GError **err)
{
	g_autoptr(IdMap) map = NULL;
	uint32_t uid, gid;
	int r;

	r = id_map_from_section(section, &map, err);
	if (r < 0)
		return r;
	r = id_map_root(map, &uid, &gid, err);
	if (r < 0)
		return r;

	setup->root_uid = is_mapped("/proc/self/uid_map", uid) ? uid : 0;
	setup->root_gid = is_mapped("/proc/self/gid_map", gid) ? gid : 0;
	return 0;
}

static int detect(const Arguments *a, GPtrArray *warnings, GError **err)
{
	const char *ostype, *arch;
	g_autofree char *version = NULL;
	int r;

	r = guest_detect(a->rootfs, &ostype, &version, &arch, warnings, err);
	if (r == 0)
		(void)printf("ostype: %s\nversion: %s\narch: %s\n", ostype, version, arch);
	return r;
}

static int set_up(const Arguments *a, GPtrArray *warnings, GError **err)
{
	g_autofree char *keys = NULL;
	g_autofree char *resolv_conf = NULL;
	g_autofree char *localtime_target = NULL;
	g_autoptr(CtConfig) config = NULL;
	const Clock *now = clock_system();
	GuestSetup setup;
	GuestPhase phase;
	int r;

	r = parse_phase(a->phase, &phase, err);
	if (r == 0)
		r = read_text(a->ssh_public_keys, &keys, err);
	if (r == 0)
		r = read_text(a->host_resolv_conf ? a->host_resolv_conf : "/etc/resolv.conf",
			&resolv_conf, err);
	if (r == 0)
		r = read_config(a->config, &config, warnings, err);
	if (r < 0)
		return r;

	localtime_target =
		g_file_read_link(a->host_localtime ? a->host_localtime : "/etc/localtime", NULL);
	setup = (GuestSetup){
		.vmid = (unsigned)a->vmid,
		.ostype = a->ostype ? ostype_from_id(a->ostype) : NULL,
		.password = a->password,
		.uuid = a->uuid,
		.ssh_public_keys = keys,
		.host_resolv_conf = resolv_conf,
		.host_localtime = localtime_target,
		.ssh_host_keys = !a->no_ssh_host_keys,
		.random_seed = (unsigned)a->random_seed,
		.now_s = now->wall_s(now),
	};
	r = find_root_ids(ct_config_current(config), &setup, err);
	if (r == 0)
		r = guest_setup(phase, &setup, ct_config_current(config), a->rootfs, warnings, err);
	return (r < 0) ? r : write_config(a->config, config, err);
}

int probe_guest_setup(int argc, char **argv)
{
	g_auto(Arguments) a = {.vmid = 100};
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	int r;

	r = parse_arguments(argc, argv, &a, &error);
	if (r == 0)
		r = a.detect_only ? detect(&a, warnings, &error) : set_up(&a, warnings, &error);

	for (unsigned i = 0; i < warnings->len; i++)
		(void)fprintf(stderr, "WARN: %s\n", (const char *)warnings->pdata[i]);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", error->message);
	return (r < 0) ? EXIT_FAILURE : EXIT_SUCCESS;
}
