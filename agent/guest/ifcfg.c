/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/ifcfg.h"

#include <string.h>

#include "base/macro.h"

static void print_redhat_v4(GString *text, const GuestNetAddress *v4)
{
	g_string_append_printf(
		text, "BOOTPROTO=%s\n", str_equal(v4->mode, "dhcp") ? "dhcp" : "none");
	if (v4->address) {
		g_autofree char *netmask = guest_net_dup_netmask(v4->prefix);

		g_string_append_printf(text, "IPADDR=%s\nNETMASK=%s\n", v4->address, netmask);
		if (v4->gateway && !v4->gateway_routed)
			g_string_append_printf(text, "GATEWAY=%s\n", v4->gateway);
	}
}

static void print_redhat_v6(GString *text, const GuestNetAddress *v6)
{
	if (!v6->mode || str_equal(v6->mode, "manual"))
		return;

	g_string_append(text, "IPV6INIT=yes\n");
	if (str_equal(v6->mode, "auto")) {
		g_string_append(text, "IPV6_AUTOCONF=yes\n");
	} else if (str_equal(v6->mode, "dhcp")) {
		g_string_append(text, "DHCPV6C=yes\n");
	} else {
		g_string_append_printf(
			text, "IPV6ADDR=%s/%u\nIPV6_AUTOCONF=no\n", v6->address, v6->prefix);
		if (v6->gateway && !v6->gateway_routed)
			g_string_append_printf(text, "IPV6_DEFAULTGW=%s\n", v6->gateway);
	}
}

char *ifcfg_dup_redhat(const GuestNet *net, const GuestDns *dns, const char *uuid)
{
	GString *text = g_string_new(NULL);

	assert(net && net->name && dns && uuid);

	g_string_append_printf(text, "DEVICE=%s\nONBOOT=yes\nUUID=%s\n", net->name, uuid);
	print_redhat_v4(text, &net->addresses[GUEST_NET_V4]);
	print_redhat_v6(text, &net->addresses[GUEST_NET_V6]);
	for (unsigned i = 0; dns->servers[i]; i++)
		g_string_append_printf(text, "DNS%u=%s\n", i + 1, dns->servers[i]);
	if (dns->search[0]) {
		g_autofree char *domains = g_strjoinv(" ", dns->search);

		g_string_append_printf(text, "DOMAIN=\"%s\"\n", domains);
	}

	return g_string_free(text, FALSE);
}

char *ifcfg_dup_redhat_routes(const GuestNet *net, GuestNetFamily family)
{
	const char *gateway = net->addresses[family].gateway;

	if (!net->addresses[family].gateway_routed)
		return g_strdup("");
	return g_strdup_printf(
		"%s dev %s\ndefault via %s dev %s\n", gateway, net->name, gateway, net->name);
}

static const char *suse_protocol(const GuestNet *net)
{
	bool v4 = str_equal(net->addresses[GUEST_NET_V4].mode, "dhcp");
	bool v6 = str_equal(net->addresses[GUEST_NET_V6].mode, "dhcp");

	if (v4 && v6)
		return "dhcp";
	if (v4)
		return "dhcp4";
	return v6 ? "dhcp6" : "static";
}

/* Whether the guest is to bring the interface up by itself. */
static bool is_automatic(const GuestNet *net)
{
	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++)
		if (net->addresses[i].mode && !str_equal(net->addresses[i].mode, "manual"))
			return true;

	return false;
}

char *ifcfg_dup_suse(const GuestNet *net)
{
	/* Two addresses need names of their own. */
	static const char *const suffixes[] = {[GUEST_NET_V4] = "_1", [GUEST_NET_V6] = "_2"};
	bool both = net->addresses[GUEST_NET_V4].address && net->addresses[GUEST_NET_V6].address;
	GString *text = g_string_new(NULL);

	assert(net->name);

	g_string_append_printf(text, "STARTMODE=%s\nBOOTPROTO=%s\n",
		is_automatic(net) ? "onboot" : "manual", suse_protocol(net));
	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++)
		if (net->addresses[i].address)
			g_string_append_printf(text, "IPADDR%s=%s/%u\n", both ? suffixes[i] : "",
				net->addresses[i].address, net->addresses[i].prefix);

	return g_string_free(text, FALSE);
}

char *ifcfg_dup_suse_routes(const GuestNet *net)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++) {
		const GuestNetAddress *address = &net->addresses[i];

		if (!address->address || !address->gateway)
			continue;
		if (address->gateway_routed)
			g_string_append_printf(text, "%s/%u - - %s\n", address->gateway,
				i == GUEST_NET_V4 ? 32U : 128U, net->name);
		g_string_append_printf(text, "default %s - %s\n", address->gateway, net->name);
	}

	return g_string_free(text, FALSE);
}

char *ifcfg_set_variable(const char *text, const char *name, const char *value)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *result = g_string_new(NULL);
	size_t length = strlen(name);
	bool set = false;

	assert(value);

	for (char **line = lines; *line; line++) {
		bool ours = g_str_has_prefix(*line, name) && (*line)[length] == '=';

		if (ours && !set)
			g_string_append_printf(result, "%s=%s\n", name, value);
		else if (!ours && (line[1] || **line))
			g_string_append_printf(result, "%s\n", *line);
		set = set || ours;
	}
	if (!set)
		g_string_append_printf(result, "%s=%s\n", name, value);

	return g_string_free(result, FALSE);
}
