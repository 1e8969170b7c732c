/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/netifrc.h"

#include "base/macro.h"

/* PREFIX_NAME="VALUES", one value a line; nothing when there is none. */
static void print_variable(
	GString *text, const char *prefix, const char *name, const GString *values)
{
	g_autofree char *suffix = g_strdup(name);

	/* Shell variables: characters that are none of a name's become underscores. */
	for (char *c = suffix; *c; c++)
		if (!g_ascii_isalnum(*c))
			*c = '_';
	if (values->len > 0)
		g_string_append_printf(text, "%s_%s=\"%s\"\n", prefix, suffix, values->str);
}

static void add_value(GString *values, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add_value(GString *values, const char *format, ...)
{
	va_list arguments;

	if (values->len > 0)
		g_string_append_c(values, '\n');
	va_start(arguments, format);
	g_string_append_vprintf(values, format, arguments);
	va_end(arguments);
}

static void print_net(GString *text, const GuestNet *net)
{
	static const char *const dhcp[] = {[GUEST_NET_V4] = "dhcp", [GUEST_NET_V6] = "dhcpv6"};
	static const unsigned host_prefix[] = {[GUEST_NET_V4] = 32, [GUEST_NET_V6] = 128};
	g_autoptr(GString) config = g_string_new(NULL);
	g_autoptr(GString) routes = g_string_new(NULL);

	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++) {
		const GuestNetAddress *address = &net->addresses[i];

		if (address->address)
			add_value(config, "%s/%u", address->address, address->prefix);
		else if (str_equal(address->mode, "dhcp"))
			add_value(config, "%s", dhcp[i]);
		if (address->gateway_routed)
			add_value(routes, "%s/%u", address->gateway, host_prefix[i]);
		if (address->address && address->gateway)
			add_value(routes, "default via %s", address->gateway);
	}
	/* Up, but without address: announcements give one. */
	if (config->len == 0 && str_equal(net->addresses[GUEST_NET_V6].mode, "auto"))
		add_value(config, "null");

	print_variable(text, "config", net->name, config);
	print_variable(text, "routes", net->name, routes);
}

char *netifrc_dup_text(const GPtrArray *nets)
{
	GString *text = g_string_new("modules=\"iproute2\"\n");

	assert(nets);

	for (unsigned i = 0; i < nets->len; i++)
		print_net(text, nets->pdata[i]);
	return g_string_free(text, FALSE);
}
