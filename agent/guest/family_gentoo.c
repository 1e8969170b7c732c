/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "agent/guest/common.h"
#include "agent/guest/ifcfg.h"
#include "agent/guest/inittext.h"
#include "agent/guest/netfiles.h"

/* Gentoo: OpenRC with sysvinit, netifrc. */

static int fix_template(GuestRun *run, GError **err)
{
	int r = common_fix_hosts(run, err);

	return (r < 0) ? r : common_set_securetty(run, err);
}

static int setup_init(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/inittab", &old, err);
	if (r < 0 || !old)
		return r;

	/* The distribution's own entries are named c1, c2 … */
	text = inittab_set_plain_gettys(old, 0, "c", "");
	g_free(old);
	old = text;
	text = inittab_set_plain_gettys(old, guest_n_ttys(run), "", "/sbin/agetty");
	return guest_root_write(run->root, "/etc/inittab", text, 0, err);
}

static int set_hostname(GuestRun *run, GError **err)
{
	static const char path[] = "/etc/conf.d/hostname";
	g_autofree char *label = guest_name_dup_label(run->section);
	g_autofree char *value = g_strdup_printf("\"%s\"", label);
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0)
		return r;

	text = ifcfg_set_variable(old ? old : "", "hostname", value);
	return guest_root_write(run->root, path, text, 0, err);
}

const GuestFamily guest_family_gentoo = {
	.ostype = "gentoo",
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = netfiles_write_netifrc,
	.set_hostname = set_hostname,
};
