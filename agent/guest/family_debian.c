/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include <stdlib.h>

#include "agent/guest/common.h"
#include "agent/guest/detect.h"
#include "agent/guest/inittext.h"
#include "agent/guest/interfaces.h"
#include "agent/guest/netfiles.h"
#include "agent/guest/snakeoil.h"
#include "base/macro.h"

/* Debian and Devuan: ifupdown; systemd or sysvinit. */

/* From this release on ifupdown reads "address A/LEN". */
#define DEBIAN_CIDR 10

/* From this release on systemd-networkd would otherwise be enabled at the first boot. */
#define DEBIAN_NETWORKD 12

/* From this release on getty has the option --noclear. */
#define DEBIAN_NOCLEAR 7

static int setup_inittab(GuestRun *run, unsigned long release, GError **err)
{
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, "/etc/inittab", &old, err);
	if (r < 0 || !old)
		return r;

	text = inittab_set_gettys(
		old, guest_n_ttys(run), release >= DEBIAN_NOCLEAR ? "--noclear" : "-L");
	return guest_root_write(run->root, "/etc/inittab", text, 0, err);
}

static int setup_init(GuestRun *run, GError **err)
{
	unsigned long release = strtoul(run->version, NULL, 10);
	int r;

	r = setup_inittab(run, release, err);
	if (r < 0 || !detect_systemd_is_init(run->root))
		return r;

	r = common_set_container_getty(run, err);
	if (r < 0)
		return r;
	return common_write_preset(run, release >= DEBIAN_NETWORKD ? "disable" : NULL, err);
}

static int setup_network(GuestRun *run, GError **err)
{
	bool cidr = run->family == &guest_family_debian &&
		    strtoul(run->version, NULL, 10) >= DEBIAN_CIDR;

	return netfiles_write_interfaces(run, cidr ? INTERFACES_CIDR : 0, err);
}

const GuestFamily guest_family_debian = {
	.ostype = "debian",
	.fix_template = common_set_securetty,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.reset_secrets = snakeoil_reset,
};

const GuestFamily guest_family_devuan = {
	.ostype = "devuan",
	.fix_template = common_set_securetty,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.reset_secrets = snakeoil_reset,
};
