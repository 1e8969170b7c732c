/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/setup.h"

#include <string.h>

#include "agent/ct/idmap.h"
#include "base/clock.h"
#include "base/fileutil.h"
#include "base/macro.h"

#define RESOLV_CONF_MAX (64 * 1024)

#define ZONEINFO "/zoneinfo/"

/* "Europe/Vienna" when /etc/localtime leads to …/zoneinfo/Europe/Vienna; NULL otherwise. */
static char *dup_host_zone(void)
{
	g_autofree char *target = g_file_read_link("/etc/localtime", NULL);
	const char *zone = target ? strstr(target, ZONEINFO) : NULL;

	return zone ? g_strdup(zone + strlen(ZONEINFO)) : NULL;
}

int ct_setup(unsigned vmid, GuestPhase phase, const CtSecrets *secrets, const IdMap *idmap,
	CtSection *section, const char *rootfs_path, GPtrArray *warnings, GError **err)
{
	g_autofree char *resolv_conf = NULL;
	g_autofree char *zone = dup_host_zone();
	const Clock *clock = clock_system();
	GuestSetup setup = {
		.vmid = vmid,
		.host_localtime = zone,
		.ssh_host_keys = phase == GUEST_PHASE_POST_CREATE,
		.now_s = clock->wall_s(clock),
	};
	uint32_t uid, gid;
	int r;

	r = id_map_root(idmap, &uid, &gid, err);
	if (r < 0)
		return r;
	setup.root_uid = uid;
	setup.root_gid = gid;
	/* A host without resolver has none to pass on. */
	if (file_read("/etc/resolv.conf", RESOLV_CONF_MAX, &resolv_conf, NULL) >= 0)
		setup.host_resolv_conf = resolv_conf;
	if (secrets) {
		setup.password = secrets->password;
		setup.ssh_public_keys = secrets->ssh_public_keys;
	}
	setup.random_seed = g_random_int();

	return guest_setup(phase, &setup, section, rootfs_path, warnings, err);
}
