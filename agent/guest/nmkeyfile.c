/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/nmkeyfile.h"

#include <string.h>

#include "base/macro.h"

static const char *method_of(const GuestNetAddress *address, GuestNetFamily family)
{
	if (!address->mode || str_equal(address->mode, "manual"))
		return "disabled";
	if (address->address)
		return "manual";
	/* Leases are "auto" in IPv4; in IPv6 that is what announcements give. */
	if (family == GUEST_NET_V4)
		return "auto";
	return str_equal(address->mode, "dhcp") ? "dhcp" : "auto";
}

static void print_address(GString *text, const GuestNetAddress *address, GuestNetFamily family)
{
	g_string_append_printf(text, "%s=%s/%u\n", family == GUEST_NET_V4 ? "addresses" : "address",
		address->address, address->prefix);
	if (!address->gateway)
		return;

	/* In IPv6 a route to an unreachable gateway stands instead of it. */
	if (family == GUEST_NET_V4 || !address->gateway_routed)
		g_string_append_printf(text, "gateway=%s\n", address->gateway);
	if (address->gateway_routed)
		g_string_append_printf(text, "routes=%s\n", address->gateway);
}

static void print_dns(GString *text, const GuestDns *dns, GuestNetFamily family)
{
	g_autoptr(GString) servers = g_string_new(NULL);

	for (char **server = dns->servers; *server; server++)
		if ((strchr(*server, ':') != NULL) == (family == GUEST_NET_V6))
			g_string_append_printf(servers, "%s;", *server);
	if (servers->len == 0)
		return;

	g_string_append_printf(text, "dns=%s\n", servers->str);
	if (dns->search[0]) {
		g_autofree char *domains = g_strjoinv(";", dns->search);

		g_string_append_printf(text, "dns-search=%s;\n", domains);
	}
}

char *nmkeyfile_dup_text(const GuestNet *net, const GuestDns *dns, const char *uuid)
{
	GString *text = g_string_new(NULL);

	assert(net && net->name && dns && uuid);

	g_string_append_printf(text,
		"[connection]\n"
		"id=%s\n"
		"uuid=%s\n"
		"type=ethernet\n"
		"interface-name=%s\n",
		net->name, uuid, net->name);
	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++) {
		const GuestNetAddress *address = &net->addresses[i];
		const char *method = method_of(address, i);

		g_string_append_printf(
			text, "\n[%s]\nmethod=%s\n", i == GUEST_NET_V4 ? "ipv4" : "ipv6", method);
		if (address->address)
			print_address(text, address, i);
		if (!str_equal(method, "disabled"))
			print_dns(text, dns, i);
	}

	return g_string_free(text, FALSE);
}
