/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/netfiles.h"

#include <string.h>

#include "agent/guest/common.h"
#include "agent/guest/guestnet.h"
#include "agent/guest/ifcfg.h"
#include "agent/guest/interfaces.h"
#include "agent/guest/netifrc.h"
#include "agent/guest/networkd.h"
#include "agent/guest/nmkeyfile.h"
#include "base/macro.h"

/* The names of interfaces become names of files: format_interface() lets no slash, "." or ".." pass,
 * and base/safepath.h would not let them lead out. */

#define REDHAT_DIRECTORY "/etc/sysconfig/network-scripts"
#define SUSE_DIRECTORY   "/etc/sysconfig/network"

/* The identity of a connection: the same at each run, another one for each interface. */
static char *uuid_dup(const GuestRun *run, const GuestNet *net)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
	g_autofree char *seed = g_strdup_printf("atoll %u %s", run->setup->vmid, net->name);
	uint8_t b[20];
	gsize size = sizeof(b);

	if (run->setup->uuid)
		return g_strdup(run->setup->uuid);

	/* RFC 4122, version 5: made of a name. */
	g_checksum_update(sum, (const guchar *)seed, (gssize)strlen(seed));
	g_checksum_get_digest(sum, b, &size);
	b[6] = (b[6] & 0x0f) | 0x50;
	b[8] = (b[8] & 0x3f) | 0x80;
	return g_strdup_printf(
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

int netfiles_write_interfaces(GuestRun *run, unsigned flags, GError **err)
{
	static const char path[] = "/etc/network/interfaces";
	g_autofree char *old = NULL;
	g_autofree char *text = NULL;
	int r;

	r = guest_root_read(run->root, path, &old, err);
	if (r < 0)
		return r;

	text = interfaces_rewrite(old ? old : "", run->nets, flags);
	return text ? guest_root_write(run->root, path, text, 0, err) : 0;
}

int netfiles_write_networkd(GuestRun *run, GError **err)
{
	const GPtrArray *nets = run->nets;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];
		g_autofree char *text = networkd_dup_text(net);
		g_autofree char *path =
			g_strdup_printf("/etc/systemd/network/%s.network", net->name);

		r = guest_root_write(run->root, path, text, 0, err);
	}

	return r;
}

/* Files of routes hold a section of ours, and vanish with it when nothing else is in them. */
static int write_routes(GuestRun *run, const char *directory, const char *prefix,
	const GuestNet *net, const char *text, GError **err)
{
	g_autofree char *path = g_strdup_printf("%s/%s-%s", directory, prefix, net->name);

	return guest_root_modify_or_remove(run->root, path, text, MARKED_PREPEND, err);
}

static int write_redhat_net(GuestRun *run, const GuestNet *net, GError **err)
{
	g_autofree char *uuid = uuid_dup(run, net);
	g_autofree char *text = ifcfg_dup_redhat(net, run->dns, uuid);
	g_autofree char *path = g_strdup_printf(REDHAT_DIRECTORY "/ifcfg-%s", net->name);
	g_autofree char *routes = ifcfg_dup_redhat_routes(net, GUEST_NET_V4);
	g_autofree char *routes6 = ifcfg_dup_redhat_routes(net, GUEST_NET_V6);
	int r;

	r = guest_root_write(run->root, path, text, 0, err);
	if (r == 0)
		r = write_routes(run, REDHAT_DIRECTORY, "route", net, routes, err);
	if (r == 0)
		r = write_routes(run, REDHAT_DIRECTORY, "route6", net, routes6, err);
	return r;
}

static bool is_used(const GuestRun *run, GuestNetFamily family)
{
	for (unsigned i = 0; i < run->nets->len; i++) {
		const GuestNet *net = run->nets->pdata[i];

		if (net->addresses[family].mode)
			return true;
	}

	return false;
}

/* The switches for all interfaces, in a file that only old releases have. */
static int write_redhat_switches(GuestRun *run, GError **err)
{
	static const char path[] = "/etc/sysconfig/network";
	int r = 0;

	if (is_used(run, GUEST_NET_V4))
		r = common_set_variable(run, path, "NETWORKING", "yes", err);
	if (r == 0 && is_used(run, GUEST_NET_V6))
		r = common_set_variable(run, path, "NETWORKING_IPV6", "yes", err);
	return r;
}

int netfiles_write_redhat(GuestRun *run, GError **err)
{
	const GPtrArray *nets = run->nets;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < nets->len; i++)
		r = write_redhat_net(run, nets->pdata[i], err);

	return (r < 0) ? r : write_redhat_switches(run, err);
}

int netfiles_write_networkmanager(GuestRun *run, GError **err)
{
	const GPtrArray *nets = run->nets;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];
		g_autofree char *uuid = uuid_dup(run, net);
		g_autofree char *text = nmkeyfile_dup_text(net, run->dns, uuid);
		g_autofree char *path = g_strdup_printf(
			"/etc/NetworkManager/system-connections/%s.nmconnection", net->name);

		/* NetworkManager ignores files that others may read. */
		r = guest_root_write(run->root, path, text, 0600, err);
	}

	return r;
}

int netfiles_write_suse(GuestRun *run, GError **err)
{
	const GPtrArray *nets = run->nets;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];
		g_autofree char *text = ifcfg_dup_suse(net);
		g_autofree char *routes = ifcfg_dup_suse_routes(net);
		g_autofree char *path = g_strdup_printf(SUSE_DIRECTORY "/ifcfg-%s", net->name);

		r = guest_root_write(run->root, path, text, 0, err);
		if (r == 0)
			r = write_routes(run, SUSE_DIRECTORY, "ifroute", net, routes, err);
	}

	return r;
}

int netfiles_write_netifrc(GuestRun *run, GError **err)
{
	const GPtrArray *nets = run->nets;
	g_autofree char *text = NULL;
	int r;

	if (nets->len == 0)
		return 0;

	text = netifrc_dup_text(nets);
	r = guest_root_modify(run->root, "/etc/conf.d/net", text, MARKED_REPLACE_ALL, 0, err);
	if (r == 0)
		r = guest_root_mkdir(run->root, "/etc/init.d", 0755, err);
	for (unsigned i = 0; r == 0 && i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];
		g_autofree char *path = g_strdup_printf("/etc/init.d/net.%s", net->name);

		r = guest_root_link(run->root, path, "net.lo", err);
	}

	return r;
}
