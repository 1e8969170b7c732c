/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestnet.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

static const int socket_family[GUEST_NET_N_FAMILIES] = {
	[GUEST_NET_V4] = AF_INET,
	[GUEST_NET_V6] = AF_INET6,
};

static const unsigned prefix_max[GUEST_NET_N_FAMILIES] = {
	[GUEST_NET_V4] = 32,
	[GUEST_NET_V6] = 128,
};

static void address_clear(GuestNetAddress *address)
{
	g_free(address->mode);
	g_free(address->address);
	g_free(address->gateway);
}

static void guest_net_free(GuestNet *net)
{
	if (!net)
		return;

	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++)
		address_clear(&net->addresses[i]);
	g_free(net->name);
	g_free(net);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestNet, guest_net_free)

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned n_bits)
{
	unsigned n_bytes = n_bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> (n_bits % 8));

	if (memcmp(a, b, n_bytes) != 0)
		return false;
	return n_bits % 8 == 0 || ((a[n_bytes] ^ b[n_bytes]) & mask) == 0;
}

static int parse_gateway(
	GuestNetAddress *address, GuestNetFamily family, const char *gateway, GError **err)
{
	static const uint8_t link_local[16] = {0xfe, 0x80};
	uint8_t own[16], other[16];

	if (inet_pton(socket_family[family], gateway, other) != 1)
		return err_set(err, EINVAL, "'%s' is no gateway address", gateway);

	address->gateway = g_strdup(gateway);
	if (!address->address || inet_pton(socket_family[family], address->address, own) != 1)
		return 0;
	address->gateway_routed = !bits_equal(own, other, address->prefix) &&
				  !(family == GUEST_NET_V6 && bits_equal(other, link_local, 10));
	return 0;
}

static int parse_address(
	GuestNetAddress *address, GuestNetFamily family, const char *value, GError **err)
{
	const char *slash = strchr(value, '/');
	guint64 prefix;
	uint8_t binary[16];

	if (!slash) {
		address->mode = g_strdup(value);
		return 0;
	}

	if (!g_ascii_string_to_unsigned(slash + 1, 10, 0, prefix_max[family], &prefix, NULL))
		return err_set(err, EINVAL, "'%s' has no valid prefix length", value);
	address->mode = g_strdup("static");
	address->address = g_strndup(value, (gsize)(slash - value));
	address->prefix = (unsigned)prefix;
	if (inet_pton(socket_family[family], address->address, binary) != 1)
		return err_set(err, EINVAL, "'%s' is no address", value);
	return 0;
}

/* Required of new interfaces, but files of old may lack it. */
static bool has_name(const char *value)
{
	g_auto(GStrv) parts = g_strsplit(value, ",", -1);

	for (char **part = parts; *part; part++)
		if (g_str_has_prefix(*part, "name=") && (*part)[strlen("name=")])
			return true;

	return false;
}

static int parse_net(const char *value, GuestNet **ret, GError **err)
{
	static const char *const keys[GUEST_NET_N_FAMILIES][2] = {
		[GUEST_NET_V4] = {"ip", "gw"},
		[GUEST_NET_V6] = {"ip6", "gw6"},
	};
	g_autoptr(PropString) props = NULL;
	g_autoptr(GuestNet) net = g_new0(GuestNet, 1);
	int r;

	r = propstring_parse(ct_net_props, SCHEMA_FILE, value, &props, err);
	if (r < 0)
		return r;

	net->name = g_strdup(propstring_get(props, "name"));
	for (unsigned i = 0; i < GUEST_NET_N_FAMILIES; i++) {
		const char *address = propstring_get(props, keys[i][0]);
		const char *gateway = propstring_get(props, keys[i][1]);

		r = address ? parse_address(&net->addresses[i], i, address, err) : 0;
		if (r == 0 && gateway)
			r = parse_gateway(&net->addresses[i], i, gateway, err);
		if (r < 0)
			return r;
	}

	*ret = g_steal_pointer(&net);
	return 0;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	const GuestNet *const *left = a;
	const GuestNet *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

int guest_net_list(const CtSection *section, GPtrArray **ret, GError **err)
{
	g_autoptr(GPtrArray) nets = g_ptr_array_new_with_free_func((GDestroyNotify)guest_net_free);

	assert(section && ret);

	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *key = g_strdup_printf("net%u", i);
		const char *value = ct_section_get(section, key);
		g_autoptr(GuestNet) net = NULL;
		int r;

		if (!value || !has_name(value))
			continue;
		r = parse_net(value, &net, err);
		if (r < 0)
			return err_prefix(err, r, "%s", key);

		net->index = i;
		g_ptr_array_add(nets, g_steal_pointer(&net));
	}

	g_ptr_array_sort(nets, compare_names);
	*ret = g_steal_pointer(&nets);
	return 0;
}

bool guest_net_is_configured(const GuestNet *net)
{
	return net->addresses[GUEST_NET_V4].mode || net->addresses[GUEST_NET_V6].mode;
}

const char *guest_net_primary(const GPtrArray *nets)
{
	for (unsigned i = 0; i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];

		if (net->index == 0)
			return net->addresses[GUEST_NET_V4].address
				       ? net->addresses[GUEST_NET_V4].address
				       : net->addresses[GUEST_NET_V6].address;
	}

	return NULL;
}

char *guest_net_dup_netmask(unsigned prefix)
{
	struct in_addr mask;
	char text[INET_ADDRSTRLEN];

	assert(prefix <= 32);

	mask.s_addr = htonl(prefix ? UINT32_MAX << (32 - prefix) : 0);
	return g_strdup(inet_ntop(AF_INET, &mask, text, sizeof(text)));
}
