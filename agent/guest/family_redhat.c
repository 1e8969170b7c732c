/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include <stdlib.h>
#include <string.h>

#include "agent/guest/common.h"
#include "agent/guest/netfiles.h"
#include "base/macro.h"

/* CentOS and what is built from the same sources, Fedora, openEuler: systemd, but for the oldest
 * releases; network scripts, then NetworkManager or networkd. */

#define SYSCONFIG_NETWORK "/etc/sysconfig/network"

#define CENTOS_SYSTEMD        7
#define CENTOS_PRESETS        8
#define CENTOS_NETWORKMANAGER 10

#define FEDORA_NETWORKD         25
#define FEDORA_NETWORKD_CERTAIN 28
#define FEDORA_PRESETS_NETWORKD 37

static unsigned long release_of(const GuestRun *run)
{
	return strtoul(run->version, NULL, 10);
}

static int set_hostname(GuestRun *run, GError **err)
{
	const char *name = ct_section_get(run->section, "hostname");
	g_autofree char *text = NULL;
	int r;

	if (!name)
		name = "localhost";
	text = g_strconcat(name, "\n", NULL);
	r = guest_root_write(run->root, "/etc/hostname", text, 0, err);
	return (r < 0) ? r : common_set_variable(run, SYSCONFIG_NETWORK, "HOSTNAME", name, err);
}

/* Device nodes are the host's business. */
static int disable_udev(GuestRun *run, GError **err)
{
	static const char path[] = "/etc/rc.d/rc.sysinit";
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0 || !old)
		return r;

	lines = g_strsplit(old, "\n", -1);
	for (char **line = lines; *line; line++) {
		char *commented;

		if (!g_str_has_prefix(*line, "/sbin/start_udev"))
			continue;
		commented = g_strconcat("#", *line, NULL);
		g_free(*line);
		*line = commented;
	}
	text = g_strjoinv("\n", lines);
	return guest_root_write(run->root, path, text, 0, err);
}

static int write_upstart_gettys(GuestRun *run, GError **err)
{
	static const char tty_text[] = "# tty - getty\n"
				       "\n"
				       "stop on runlevel [S016]\n"
				       "\n"
				       "respawn\n"
				       "instance $TTY\n"
				       "exec /sbin/mingetty $TTY\n"
				       "usage 'tty TTY=/dev/ttyX  - where X is console id'\n";
	g_autofree char *start_text =
		g_strdup_printf("# Starts a getty on each terminal of the container\n"
				"\n"
				"start on stopped rc RUNLEVEL=[2345]\n"
				"\n"
				"env ACTIVE_CONSOLES=/dev/tty[1-%u]\n"
				"task\n"
				"script\n"
				"\tfor tty in $(echo $ACTIVE_CONSOLES) ; do\n"
				"\t\tinitctl start tty TTY=$tty\n"
				"\tdone\n"
				"end script\n",
			guest_n_ttys(run));
	int r = guest_root_write(run->root, "/etc/init/tty.conf", tty_text, 0, err);

	if (r < 0 || guest_n_ttys(run) == 0)
		return r;
	return guest_root_write(run->root, "/etc/init/start-ttys.conf", start_text, 0, err);
}

static int fix_units(GuestRun *run, GError **err)
{
	static const char *const units[] = {
		"sys-kernel-config.mount", "sys-kernel-debug.mount", "dev-mqueue.mount"};
	unsigned n_units = str_equal(run->ostype, "openeuler") ? 3 : 2;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n_units; i++)
		r = common_mask_unit(run, units[i], err);
	return r;
}

static int fix_template(GuestRun *run, GError **err)
{
	int r = common_fix_hosts(run, err);

	if (r == 0)
		r = common_set_securetty(run, err);
	if (r == 0 && release_of(run) < CENTOS_SYSTEMD) {
		r = write_upstart_gettys(run, err);
		if (r == 0)
			r = disable_udev(run, err);
	}
	if (r == 0 && !guest_root_has_file(run->root, "/etc/locale.conf"))
		r = guest_root_write(run->root, "/etc/locale.conf", "LANG=C.utf8", 0, err);
	return (r < 0) ? r : fix_units(run, err);
}

static int setup_init(GuestRun *run, GError **err)
{
	int r = common_fix_old_getty(run, err);

	if (r == 0)
		r = common_set_container_getty(run, err);
	if (r < 0 || release_of(run) < CENTOS_PRESETS)
		return r;
	return common_write_preset(run, NULL, err);
}

static int setup_network(GuestRun *run, GError **err)
{
	if (release_of(run) >= CENTOS_NETWORKMANAGER)
		return netfiles_write_networkmanager(run, err);
	return netfiles_write_redhat(run, err);
}

static int fix_fedora_template(GuestRun *run, GError **err)
{
	int r = common_fix_hosts(run, err);

	return (r < 0) ? r : common_set_securetty(run, err);
}

static int setup_fedora_init(GuestRun *run, GError **err)
{
	bool enabled = release_of(run) >= FEDORA_PRESETS_NETWORKD;
	int r = common_set_container_getty(run, err);

	return (r < 0) ? r : common_write_preset(run, enabled ? "enable" : NULL, err);
}

static int setup_fedora_network(GuestRun *run, GError **err)
{
	unsigned long release = release_of(run);
	bool scripts = guest_root_has_file(run->root, SYSCONFIG_NETWORK);

	if (release < FEDORA_NETWORKD || (release < FEDORA_NETWORKD_CERTAIN && scripts))
		return netfiles_write_redhat(run, err);
	return netfiles_write_networkd(run, err);
}

const GuestFamily guest_family_centos = {
	.ostype = "centos",
	.tty_directory = true,
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.set_hostname = set_hostname,
};

const GuestFamily guest_family_openeuler = {
	.ostype = "openeuler",
	.tty_directory = true,
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.set_hostname = set_hostname,
};

const GuestFamily guest_family_fedora = {
	.ostype = "fedora",
	.tty_directory = true,
	.fix_template = fix_fedora_template,
	.setup_init = setup_fedora_init,
	.setup_network = setup_fedora_network,
	.set_hostname = set_hostname,
};
