/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/networkd.h"

#include "base/macro.h"

static const char *dhcp_value(const GuestNet *net)
{
	bool v4 = str_equal(net->addresses[GUEST_NET_V4].mode, "dhcp");
	bool v6 = str_equal(net->addresses[GUEST_NET_V6].mode, "dhcp");

	if (v4 && v6)
		return "yes";
	if (v4)
		return "ipv4";
	return v6 ? "ipv6" : "no";
}

/* A gateway that is given by hand makes those of the announcements unwanted. */
static bool accepts_announcements(const GuestNetAddress *v6)
{
	return (str_equal(v6->mode, "dhcp") || str_equal(v6->mode, "auto")) && !v6->gateway;
}

char *networkd_dup_text(const GuestNet *net)
{
	GString *text = g_string_new(NULL);

	assert(net && net->name);

	g_string_append_printf(text,
		"[Match]\n"
		"Name = %s\n"
		"\n"
		"[Network]\n"
		"Description = Interface %s autoconfigured by PVE\n",
		net->name, net->name);
	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++) {
		const GuestNetAddress *address = &net->addresses[i];

		if (address->address)
			g_string_append_printf(
				text, "Address = %s/%u\n", address->address, address->prefix);
		if (address->gateway)
			g_string_append_printf(text, "Gateway = %s\n", address->gateway);
	}
	g_string_append_printf(text, "DHCP = %s\nIPv6AcceptRA = %s\n", dhcp_value(net),
		accepts_announcements(&net->addresses[GUEST_NET_V6]) ? "true" : "false");

	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++)
		if (net->addresses[i].gateway_routed)
			g_string_append_printf(text,
				"\n[Route]\nDestination = %s/%u\nScope = link\n",
				net->addresses[i].gateway, i == GUEST_NET_V4 ? 32U : 128U);

	return g_string_free(text, FALSE);
}
