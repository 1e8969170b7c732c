/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "agent/guest/common.h"
#include "agent/guest/netfiles.h"
#include "base/macro.h"

/* openSUSE and SLES: systemd with wicked, or networkd where that is installed. */

static int fix_template(GuestRun *run, GError **err)
{
	static const char *const units[] = {"sys-kernel-config.mount", "sys-kernel-debug.mount"};
	int r = common_fix_hosts(run, err);

	if (r == 0)
		r = common_set_securetty(run, err);
	if (r == 0 && !guest_root_has_file(run->root, "/etc/locale.conf"))
		r = guest_root_write(run->root, "/etc/locale.conf", "LANG=C.utf8", 0, err);
	for (unsigned i = 0; r == 0 && i < G_N_ELEMENTS(units); i++)
		r = common_mask_unit(run, units[i], err);

	/* Without it systemd's first boot waits for somebody to answer which zone we are in. */
	if (r == 0 && !guest_root_is_link(run->root, "/etc/localtime") &&
		!guest_root_has_file(run->root, "/etc/localtime"))
		r = guest_root_link(run->root, "/etc/localtime", "/usr/share/zoneinfo/UTC", err);
	return r;
}

static int setup_init(GuestRun *run, GError **err)
{
	int r = common_fix_old_getty(run, err);

	return (r < 0) ? r : common_set_container_getty(run, err);
}

static int setup_network(GuestRun *run, GError **err)
{
	if (guest_root_has_file(run->root, "/usr/lib/systemd/system/systemd-networkd.service"))
		return netfiles_write_networkd(run, err);
	return netfiles_write_suse(run, err);
}

const GuestFamily guest_family_opensuse = {
	.ostype = "opensuse",
	.tty_directory = true,
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = setup_network,
};
