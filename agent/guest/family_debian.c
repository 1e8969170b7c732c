/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include <stdlib.h>

#include "agent/guest/common.h"
#include "agent/guest/detect.h"
#include "agent/guest/inittext.h"
#include "agent/guest/interfaces.h"
#include "base/macro.h"

/* Debian and Devuan: ifupdown; systemd or sysvinit. */

/* From this release on ifupdown reads "address A/LEN". */
#define DEBIAN_CIDR 10

/* From this release on systemd-networkd would otherwise be enabled at the first boot. */
#define DEBIAN_NETWORKD 12

/* From this release on getty has the option --noclear. */
#define DEBIAN_NOCLEAR 7

#define SNAKEOIL_KEY "/etc/ssl/private/ssl-cert-snakeoil.key"

#define SNAKEOIL_UNIT_NAME "regenerate-snakeoil-certificate.service"
#define SNAKEOIL_UNIT      "/etc/systemd/system/" SNAKEOIL_UNIT_NAME
#define SNAKEOIL_WANT      "/etc/systemd/system/multi-user.target.wants/" SNAKEOIL_UNIT_NAME

static const char snakeoil_unit_text[] =
	"[Unit]\n"
	"Description=Make a self-signed certificate of this container's own\n"
	"ConditionPathExists=!" SNAKEOIL_KEY "\n"
	"DefaultDependencies=no\n"
	"After=local-fs.target\n"
	"Before=network-pre.target multi-user.target\n"
	"Wants=network-pre.target\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"ExecStart=/usr/sbin/make-ssl-cert generate-default-snakeoil --force-overwrite\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static int reset_snakeoil(GuestRun *run, GError **err)
{
	int r;

	if (!guest_root_has_file(run->root, SNAKEOIL_KEY))
		return 0;

	if (detect_systemd_is_init(run->root)) {
		r = guest_root_write(run->root, SNAKEOIL_UNIT, snakeoil_unit_text, 0644, err);
		if (r == 0)
			r = guest_root_mkdir(run->root,
				"/etc/systemd/system/multi-user.target.wants", 0755, err);
		if (r == 0)
			r = guest_root_link(run->root, SNAKEOIL_WANT, SNAKEOIL_UNIT, err);
		if (r < 0)
			return r;
	} else {
		g_ptr_array_add(run->warnings,
			g_strdup("the template's snakeoil key is removed: run `make-ssl-cert "
				 "generate-default-snakeoil` in the container for a new one"));
	}

	return guest_root_remove(run->root, SNAKEOIL_KEY, err);
}

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
	static const char path[] = "/etc/network/interfaces";
	bool cidr = run->family == &guest_family_debian &&
		    strtoul(run->version, NULL, 10) >= DEBIAN_CIDR;
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	if (run->nets->len == 0)
		return 0;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0)
		return r;

	text = interfaces_rewrite(old ? old : "", run->nets, cidr ? INTERFACES_CIDR : 0);
	return guest_root_write(run->root, path, text, 0, err);
}

const GuestFamily guest_family_debian = {
	.ostype = "debian",
	.fix_template = common_set_securetty,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.reset_secrets = reset_snakeoil,
};

const GuestFamily guest_family_devuan = {
	.ostype = "devuan",
	.fix_template = common_set_securetty,
	.setup_init = setup_init,
	.setup_network = setup_network,
	.reset_secrets = reset_snakeoil,
};
