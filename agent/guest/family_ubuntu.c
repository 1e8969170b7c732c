/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include <stdio.h>
#include <string.h>

#include "agent/guest/common.h"
#include "agent/guest/detect.h"
#include "agent/guest/inittext.h"
#include "agent/guest/netfiles.h"
#include "agent/guest/snakeoil.h"
#include "base/macro.h"

/* Ubuntu: upstart up to 14.04, then systemd; ifupdown up to 17.04, then networkd. */

#define SYSTEM "/etc/systemd/system"

/* Releases as one number: 1710 for 17.10. */
enum {
	RELEASE_12_04 = 1204,
	RELEASE_14_04 = 1404,
	RELEASE_15_04 = 1504,
	RELEASE_16_04 = 1604,
	RELEASE_NETWORKD = 1710,
	RELEASE_PRESETS = 2304,
};

static unsigned release_of(const GuestRun *run)
{
	unsigned year, month;

	/* Detection has let no other form through. */
	return sscanf(run->version, "%2u.%2u", &year, &month) == 2 ? year * 100 + month : 0;
}

/* Up to the releases whose presets do it, networkd is enabled by links, and the network of the
 * template's own configuration is switched off. */
static int enable_networkd(GuestRun *run, GError **err)
{
	static const struct {
		const char *directory, *unit;
	} wants[] = {
		{SYSTEM "/multi-user.target.wants", "systemd-networkd.service"},
		{SYSTEM "/sockets.target.wants", "systemd-networkd.socket"},
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < G_N_ELEMENTS(wants); i++) {
		g_autofree char *path = g_strdup_printf("%s/%s", wants[i].directory, wants[i].unit);
		g_autofree char *target = g_strdup_printf("/lib/systemd/system/%s", wants[i].unit);

		r = guest_root_mkdir(run->root, wants[i].directory, 0755, err);
		if (r == 0)
			r = guest_root_link(run->root, path, target, err);
	}

	return (r < 0) ? r : guest_root_remove(run->root, "/etc/netplan/10-lxc.yaml", err);
}

static int allow_pts(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/securetty", &old, err);
	if (r < 0 || !old)
		return r;

	lines = g_strsplit(old, "\n", -1);
	if (g_strv_contains((const char *const *)lines, "pts/0"))
		return 0;
	text = g_strdup_printf("%s%spts/0\n", old, g_str_has_suffix(old, "\n") ? "" : "\n");
	return guest_root_write(run->root, "/etc/securetty", text, 0, err);
}

static int fix_template(GuestRun *run, GError **err)
{
	unsigned release = release_of(run);
	int r = common_set_securetty(run, err);

	if (r == 0 && release >= RELEASE_15_04 && release <= RELEASE_16_04)
		r = allow_pts(run, err);
	if (r == 0 && release >= RELEASE_NETWORKD && release < RELEASE_PRESETS)
		r = enable_networkd(run, err);
	return r;
}

static int setup_upstart(GuestRun *run, GError **err)
{
	unsigned n_ttys = guest_n_ttys(run);
	int r = 0;

	for (unsigned i = 1; r == 0 && i <= GUEST_TTYS_MAX; i++) {
		g_autofree char *path = g_strdup_printf("/etc/init/tty%u.conf", i);
		g_autofree char *text = upstart_dup_getty(i);

		if (i <= n_ttys)
			r = guest_root_write(run->root, path, text, 0, err);
		else
			r = guest_root_remove(run->root, path, err);
	}

	return r;
}

static int setup_init(GuestRun *run, GError **err)
{
	unsigned release = release_of(run);
	int r;

	if (release == RELEASE_12_04 || release == RELEASE_14_04)
		return setup_upstart(run, err);
	if (!detect_systemd_is_init(run->root))
		return 0;

	r = common_set_container_getty(run, err);
	if (r < 0)
		return r;
	return common_write_preset(run, release >= RELEASE_PRESETS ? "enable" : NULL, err);
}

static int setup_network(GuestRun *run, GError **err)
{
	if (release_of(run) >= RELEASE_NETWORKD)
		return netfiles_write_networkd(run, err);
	return netfiles_write_interfaces(run, 0, err);
}

const GuestFamily guest_family_ubuntu = {
	.ostype = "ubuntu",
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.reset_secrets = snakeoil_reset,
};
