/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include <stdio.h>

#include "agent/guest/common.h"
#include "agent/guest/inittext.h"
#include "agent/guest/interfaces.h"
#include "agent/guest/netfiles.h"
#include "base/macro.h"

/* Alpine: busybox init, OpenRC, ifupdown of its own. */

/* Services that a template for containers may leave out, and the runlevels that need them. */
static const struct {
	const char *service, *runlevel;
} services[] = {
	{"networking", "boot"},
	{"bootmisc", "boot"},
	{"hostname", "boot"},
	{"killprocs", "shutdown"},
	{"savecache", "shutdown"},
};

static int fix_template(GuestRun *run, GError **err)
{
	int r = common_fix_hosts(run, err);

	if (r == 0)
		r = common_set_securetty(run, err);
	for (unsigned i = 0; r == 0 && i < G_N_ELEMENTS(services); i++) {
		g_autofree char *directory =
			g_strdup_printf("/etc/runlevels/%s", services[i].runlevel);
		g_autofree char *path = g_strdup_printf("%s/%s", directory, services[i].service);
		g_autofree char *target = g_strdup_printf("/etc/init.d/%s", services[i].service);

		r = guest_root_mkdir(run->root, directory, 0755, err);
		if (r == 0)
			r = guest_root_link(run->root, path, target, err);
	}

	return r;
}

static int setup_init(GuestRun *run, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/inittab", &old, err);
	if (r < 0 || !old)
		return r;

	text = inittab_set_plain_gettys(old, guest_n_ttys(run), "tty", "/sbin/getty");
	return guest_root_write(run->root, "/etc/inittab", text, 0, err);
}

/* From 3.13 on its ifupdown reads "address A/LEN". */
static bool reads_cidr(const char *version)
{
	unsigned major, minor;

	if (sscanf(version, "%3u.%3u", &major, &minor) != 2)
		return true; /* A development snapshot. */
	return major > 3 || (major == 3 && minor >= 13);
}

static int setup_network(GuestRun *run, GError **err)
{
	unsigned flags = INTERFACES_V6_STATIC;

	if (reads_cidr(run->version))
		flags |= INTERFACES_CIDR;
	return netfiles_write_interfaces(run, flags, err);
}

const GuestFamily guest_family_alpine = {
	.ostype = "alpine",
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = setup_network,
};
