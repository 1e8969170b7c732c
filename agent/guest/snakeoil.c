/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/snakeoil.h"

#include "agent/guest/detect.h"

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

int snakeoil_reset(GuestRun *run, GError **err)
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
