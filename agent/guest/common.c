/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/common.h"

#include <string.h>

#include "agent/ct/options.h"
#include "agent/guest/detect.h"
#include "agent/guest/guestnet.h"
#include "agent/guest/ifcfg.h"
#include "agent/guest/inittext.h"
#include "agent/guest/shadow.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

/* systemd from this release on mounts things at its start that only a container with nesting may.
 */
#define SYSTEMD_NEEDS_NESTING 242

#define ZONEINFO "/usr/share/zoneinfo/"

static const char *const systemd_directories[] = {"/lib/systemd", "/usr/lib/systemd"};

int common_set_hosts(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *section = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/hosts", &old, err);
	if (r < 0)
		return r;

	section =
		guest_hosts_dup_section(old, run->section, run->dns, guest_net_primary(run->nets));
	return guest_root_modify(run->root, "/etc/hosts", section, MARKED_APPEND, 0, err);
}

int common_set_hostname(GuestRun *run, GError **err)
{
	g_autofree char *label = guest_name_dup_label(run->section);
	g_autofree char *text = g_strconcat(label, "\n", NULL);

	return guest_root_write(run->root, "/etc/hostname", text, 0, err);
}

int common_set_dns(GuestRun *run, GError **err)
{
	g_autofree char *text = guest_resolv_dup_text(run->dns);

	return guest_root_modify(run->root, "/etc/resolv.conf", text, MARKED_REPLACE_ALL, 0, err);
}

/* Whether systemd is installed, be it as init or not. */
static bool has_systemd(const GuestRoot *root)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(systemd_directories); i++) {
		g_autofree char *path = g_strconcat(systemd_directories[i], "/systemd", NULL);

		if (guest_root_has_executable(root, path))
			return true;
	}

	return false;
}

int common_reset_machine_id(GuestRun *run, GError **err)
{
	static const char dbus_id[] = "/var/lib/dbus/machine-id";
	int r;

	r = guest_root_remove(run->root, "/etc/machine-id", err);
	if (r < 0 || !has_systemd(run->root) || guest_root_is_link(run->root, dbus_id))
		return r;

	return guest_root_remove(run->root, dbus_id, err);
}

int common_reset_machine_id_of_clone(GuestRun *run, GError **err)
{
	g_autofree char *id = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/machine-id", &id, err);
	if (r < 0 || !id || !has_systemd(run->root))
		return r;

	/* An empty file, unlike none, does not make the next boot count as the first one. */
	if (str_equal(g_strchomp(id), "uninitialized"))
		return 0;
	return guest_root_write(run->root, "/etc/machine-id", "\n", 0, err);
}

static int spread_crontab(
	GuestRun *run, const char *path, struct drand48_data *random, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *spread = NULL;
	int r;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0 || !old)
		return r;

	spread = crontab_spread(old, random);
	return guest_root_write(run->root, path, spread, 0, err);
}

/* cron(8) itself looks at no other names in cron.d. */
static bool is_cron_name(const char *name)
{
	for (; *name; name++)
		if (!g_ascii_isalnum(*name) && *name != '-' && *name != '_')
			return false;

	return true;
}

int common_spread_crontabs(GuestRun *run, GError **err)
{
	g_autoptr(GPtrArray) names = NULL;
	struct drand48_data random;
	int r;

	(void)srand48_r(run->setup->random_seed, &random);

	r = spread_crontab(run, "/etc/crontab", &random, err);
	if (r < 0)
		return r;
	r = guest_root_list(run->root, "/etc/cron.d", &names, err);
	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		g_autofree char *path = g_strdup_printf("/etc/cron.d/%s", (char *)names->pdata[i]);

		if (is_cron_name(names->pdata[i]) && guest_root_has_file(run->root, path))
			r = spread_crontab(run, path, &random, err);
	}

	return r;
}

int common_set_root_password(GuestRun *run, GError **err)
{
	g_autofree char *passwd = NULL;
	g_autofree char *shadow = NULL;
	g_autofree char *hash = NULL;
	g_autofree char *new_passwd = NULL;
	g_autofree char *new_shadow = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/passwd", &passwd, err);
	if (r < 0 || !passwd)
		return r;
	r = guest_root_read(run->root, "/etc/shadow", &shadow, err);
	if (r < 0)
		return r;
	r = shadow_hash_password(run->setup->password, &hash, err);
	if (r < 0)
		return r;

	if (shadow) {
		new_shadow = shadow_set_hash(shadow, "root", hash, run->setup->now_s);
		r = guest_root_edit(run->root, "/etc/shadow", new_shadow, err);
		if (r < 0)
			return r;
	}
	new_passwd = shadow_set_passwd(passwd, "root", shadow ? "x" : hash);
	return guest_root_edit(run->root, "/etc/passwd", new_passwd, err);
}

int common_set_ssh_keys(GuestRun *run, GError **err)
{
	g_autofree char *passwd = NULL;
	g_autofree char *home = NULL;
	g_autofree char *directory = NULL;
	g_autofree char *path = NULL;
	int r;

	if (!run->setup->ssh_public_keys)
		return 0;

	r = guest_root_read(run->root, "/etc/passwd", &passwd, err);
	if (r < 0)
		return r;
	home = passwd ? shadow_dup_home(passwd, "root") : NULL;
	if (!home)
		home = g_strdup("/root");
	if (!guest_root_has_directory(run->root, home))
		return err_set(
			err, ENOENT, "root's home directory %s is missing in the container", home);

	directory = g_strconcat(home, "/.ssh", NULL);
	r = guest_root_mkdir(run->root, directory, 0700, err);
	if (r < 0)
		return r;
	path = g_strconcat(directory, "/authorized_keys", NULL);
	return guest_root_modify(
		run->root, path, run->setup->ssh_public_keys, MARKED_APPEND, 0700, err);
}

int common_set_securetty(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/securetty", &old, err);
	if (r < 0 || !old)
		return r;

	text = securetty_add(old, guest_tty_directory(run));
	return guest_root_write(run->root, "/etc/securetty", text, 0, err);
}

int common_set_timezone(GuestRun *run, GError **err)
{
	const char *zone = ct_section_get(run->section, "timezone");
	g_autofree char *target = NULL;
	g_autofree char *text = NULL;
	const char *below;
	int r;

	if (!zone)
		return 0;

	if (str_equal(zone, "host"))
		zone = run->setup->host_localtime;
	if (!zone) {
		g_ptr_array_add(run->warnings, g_strdup("the host's time zone is not known"));
		return 0;
	}

	/* The host's link may be relative; what counts is behind the data base's directory. */
	below = strstr(zone, "/zoneinfo/");
	if (below)
		zone = below + strlen("/zoneinfo/");
	target = g_strconcat(ZONEINFO, zone, NULL);
	if (!guest_root_has_file(run->root, target)) {
		g_ptr_array_add(run->warnings,
			g_strdup_printf("the container does not know the time zone %s", zone));
		return 0;
	}

	r = guest_root_link(run->root, "/etc/localtime", target, err);
	if (r < 0 || !guest_root_has_file(run->root, "/etc/timezone"))
		return r;
	text = g_strconcat(zone, "\n", NULL);
	return guest_root_write(run->root, "/etc/timezone", text, 0, err);
}

int common_set_variable(
	GuestRun *run, const char *path, const char *name, const char *value, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0 || !old)
		return r;

	text = ifcfg_set_variable(old, name, value);
	return guest_root_write(run->root, path, text, 0, err);
}

int common_fix_hosts(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/hosts", &old, err);
	if (r < 0 || !old)
		return r;

	text = guest_hosts_drop_template_name(old);
	return guest_root_write(run->root, "/etc/hosts", text, 0, err);
}

int common_mask_unit(GuestRun *run, const char *unit, GError **err)
{
	g_autofree char *path = g_strconcat("/etc/systemd/system/", unit, NULL);
	int r;

	r = guest_root_mkdir(run->root, "/etc/systemd/system", 0755, err);
	return (r < 0) ? r : guest_root_link(run->root, path, "/dev/null", err);
}

int common_write_fastboot(GuestRun *run, GError **err)
{
	return guest_root_write(run->root, "/fastboot", "", 0, err);
}

/* The path of a unit as the distribution ships it; NULL: it does not. */
static char *find_unit(const GuestRoot *root, const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(systemd_directories); i++) {
		g_autofree char *path =
			g_strdup_printf("%s/system/%s", systemd_directories[i], name);

		if (guest_root_has_file(root, path))
			return g_steal_pointer(&path);
	}

	return NULL;
}

static int link_gettys(GuestRun *run, const char *unit_path, GError **err)
{
	static const char wants[] = "/etc/systemd/system/getty.target.wants";
	unsigned n_ttys = guest_n_ttys(run);
	int r;

	r = guest_root_mkdir(run->root, wants, 0755, err);
	for (unsigned i = 1; r == 0 && i <= GUEST_TTYS_MAX; i++) {
		g_autofree char *plain = g_strdup_printf("%s/getty@tty%u.service", wants, i);
		g_autofree char *ours = g_strdup_printf("%s/container-getty@%u.service", wants, i);

		r = guest_root_remove(run->root, plain, err);
		if (r < 0)
			break;
		if (i <= n_ttys)
			r = guest_root_link(run->root, ours, unit_path, err);
		else
			r = guest_root_remove(run->root, ours, err);
	}

	return r;
}

int common_fix_old_getty(GuestRun *run, GError **err)
{
	g_autofree char *container_unit = find_unit(run->root, "container-getty@.service");
	g_autofree char *unit_path = find_unit(run->root, "getty@.service");
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	if (!unit_path)
		return 0;
	r = guest_root_read(run->root, unit_path, &old, err);
	if (r < 0 || !old)
		return r;

	text = getty_unit_set_condition(old, !container_unit);
	return guest_root_write(run->root, unit_path, text, 0, err);
}

int common_set_container_getty(GuestRun *run, GError **err)
{
	static const char getty_target[] = "/etc/systemd/system/getty.target";
	g_autofree char *unit_path = find_unit(run->root, "container-getty@.service");
	g_autofree char *mask = guest_root_dup_link(run->root, getty_target);
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	if (!unit_path)
		return 0;

	r = guest_root_read(run->root, unit_path, &old, err);
	if (r < 0 || !old)
		return r;
	text = getty_unit_set_tty(old, guest_tty_directory(run));
	r = guest_root_write(run->root, unit_path, text, 0, err);
	if (r < 0)
		return r;
	r = link_gettys(run, unit_path, err);
	if (r < 0)
		return r;

	if (mask && str_equal(mask, "/dev/null"))
		return guest_root_remove(run->root, getty_target, err);
	return 0;
}

int common_write_preset(GuestRun *run, const char *networkd, GError **err)
{
	g_autofree char *text = preset_dup_text(networkd);

	return guest_root_write(
		run->root, "/etc/systemd/system-preset/00-pve.preset", text, 0, err);
}

int common_check_nesting(GuestRun *run, GError **err)
{
	const char *features = ct_section_get(run->section, "features");
	g_autoptr(PropString) props = NULL;
	unsigned release;
	int r;

	if (features) {
		r = propstring_parse(ct_features_props, SCHEMA_FILE, features, &props, err);
		if (r < 0)
			return err_prefix(err, r, "features");
		if (propstring_get_boolean(props, "nesting", false))
			return 0;
	}

	release = detect_systemd_release(run->root);
	if (release >= SYSTEMD_NEEDS_NESTING)
		g_ptr_array_add(run->warnings,
			g_strdup_printf("systemd %u in the container may need the feature nesting",
				release));
	return 0;
}
