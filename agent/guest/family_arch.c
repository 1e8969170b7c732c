/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "agent/guest/common.h"
#include "agent/guest/netfiles.h"

/* Arch Linux and NixOS: systemd with its networkd. */

static int fix_template(GuestRun *run, GError **err)
{
	int r = common_fix_hosts(run, err);

	return (r < 0) ? r : common_set_securetty(run, err);
}

static int setup_init(GuestRun *run, GError **err)
{
	int r = common_set_container_getty(run, err);

	return (r < 0) ? r : common_write_preset(run, "enable", err);
}

const GuestFamily guest_family_archlinux = {
	.ostype = "archlinux",
	.tty_directory = true,
	.fix_template = fix_template,
	.setup_init = setup_init,
	.setup_network = netfiles_write_networkd,
};

/* Units and their presets come from its own configuration. */
const GuestFamily guest_family_nixos = {
	.ostype = "nixos",
	.tty_directory = true,
	.setup_network = netfiles_write_networkd,
};
