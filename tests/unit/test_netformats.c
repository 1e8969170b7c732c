/* SPDX-License-Identifier: Apache-2.0 */

/* The pure texts of all network configurations but that of ifupdown (test_interfaces.c), each for
 * the same three containers. */

#include "agent/guest/guestnames.h"
#include "agent/guest/guestnet.h"
#include "agent/guest/ifcfg.h"
#include "agent/guest/netifrc.h"
#include "agent/guest/networkd.h"
#include "agent/guest/nmkeyfile.h"
#include "base/macro.h"
#include "tests/unit/test.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

#define PLAIN  "name=eth0,ip=10.0.0.9/24,gw=10.0.0.1,ip6=auto"
#define ROUTED "name=eth0,ip=10.0.0.9/32,gw=192.0.2.1,ip6=2001:db8::9/128,gw6=2001:db8:1::1"
#define LEASED "name=eth0,ip=dhcp,ip6=dhcp"

typedef struct Guest {
	CtConfig *config;
	GPtrArray *nets;
	GuestDns *dns;
} Guest;

static void guest_clear(Guest *guest)
{
	guest_dns_free(guest->dns);
	g_ptr_array_unref(guest->nets);
	ct_config_free(guest->config);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Guest, guest_clear)

static Guest guest_of(const char *net0)
{
	Guest guest = {.config = ct_config_new()};
	CtSection *section = ct_config_current(guest.config);

	ct_section_set(section, "net0", net0);
	ct_section_set(section, "nameserver", "192.0.2.53 2001:db8::53");
	ct_section_set(section, "searchdomain", "a.example b.example");
	assert_int_equal(guest_net_list(section, &guest.nets, NULL), 0);
	guest.dns = guest_dns_new(section, NULL);
	return guest;
}

static void networkd_texts(void **state)
{
	static const char *const cases[][2] = {
		{PLAIN, "Address = 10.0.0.9/24\nGateway = 10.0.0.1\n"
			"DHCP = no\nIPv6AcceptRA = true\n"},
		{ROUTED, "Address = 10.0.0.9/32\nGateway = 192.0.2.1\n"
			 "Address = 2001:db8::9/128\nGateway = 2001:db8:1::1\n"
			 "DHCP = no\nIPv6AcceptRA = false\n"
			 "\n[Route]\nDestination = 192.0.2.1/32\nScope = link\n"
			 "\n[Route]\nDestination = 2001:db8:1::1/128\nScope = link\n"},
		{LEASED, "DHCP = yes\nIPv6AcceptRA = true\n"},
		{"name=eth0,ip=dhcp", "DHCP = ipv4\nIPv6AcceptRA = false\n"},
		{"name=eth0,ip6=dhcp", "DHCP = ipv6\nIPv6AcceptRA = true\n"},
		{"name=eth0", "DHCP = no\nIPv6AcceptRA = false\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Guest) guest = guest_of(cases[i][0]);
		g_autofree char *text = networkd_dup_text(guest.nets->pdata[0]);
		g_autofree char *expected =
			g_strconcat("[Match]\nName = eth0\n\n[Network]\n"
				    "Description = Interface eth0 autoconfigured by PVE\n",
				cases[i][1], NULL);

		assert_string_equal(text, expected);
	}
}

static void redhat_texts(void **state)
{
	/* Configuration, ifcfg, route, route6. */
	static const char *const cases[][4] = {
		{PLAIN,
			"BOOTPROTO=none\nIPADDR=10.0.0.9\nNETMASK=255.255.255.0\nGATEWAY=10.0.0.1\n"
			"IPV6INIT=yes\nIPV6_AUTOCONF=yes\n",
			"", ""},
		{ROUTED,
			"BOOTPROTO=none\nIPADDR=10.0.0.9\nNETMASK=255.255.255.255\n"
			"IPV6INIT=yes\nIPV6ADDR=2001:db8::9/128\nIPV6_AUTOCONF=no\n",
			"192.0.2.1 dev eth0\ndefault via 192.0.2.1 dev eth0\n",
			"2001:db8:1::1 dev eth0\ndefault via 2001:db8:1::1 dev eth0\n"},
		{LEASED, "BOOTPROTO=dhcp\nIPV6INIT=yes\nDHCPV6C=yes\n", "", ""},
		{"name=eth0,ip6=manual", "BOOTPROTO=none\n", "", ""},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Guest) guest = guest_of(cases[i][0]);
		const GuestNet *net = guest.nets->pdata[0];
		g_autofree char *text = ifcfg_dup_redhat(net, guest.dns, UUID);
		g_autofree char *routes = ifcfg_dup_redhat_routes(net, GUEST_NET_V4);
		g_autofree char *routes6 = ifcfg_dup_redhat_routes(net, GUEST_NET_V6);
		g_autofree char *expected =
			g_strconcat("DEVICE=eth0\nONBOOT=yes\nUUID=" UUID "\n", cases[i][1],
				"DNS1=192.0.2.53\nDNS2=2001:db8::53\n"
				"DOMAIN=\"a.example b.example\"\n",
				NULL);

		assert_string_equal(text, expected);
		assert_string_equal(routes, cases[i][2]);
		assert_string_equal(routes6, cases[i][3]);
	}
}

static void suse_texts(void **state)
{
	/* Configuration, ifcfg, ifroute. */
	static const char *const cases[][3] = {
		{PLAIN, "STARTMODE=onboot\nBOOTPROTO=static\nIPADDR=10.0.0.9/24\n",
			"default 10.0.0.1 - eth0\n"},
		{ROUTED,
			"STARTMODE=onboot\nBOOTPROTO=static\n"
			"IPADDR_1=10.0.0.9/32\nIPADDR_2=2001:db8::9/128\n",
			"192.0.2.1/32 - - eth0\ndefault 192.0.2.1 - eth0\n"
			"2001:db8:1::1/128 - - eth0\ndefault 2001:db8:1::1 - eth0\n"},
		{LEASED, "STARTMODE=onboot\nBOOTPROTO=dhcp\n", ""},
		{"name=eth0,ip=dhcp", "STARTMODE=onboot\nBOOTPROTO=dhcp4\n", ""},
		{"name=eth0,ip=manual", "STARTMODE=manual\nBOOTPROTO=static\n", ""},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Guest) guest = guest_of(cases[i][0]);
		g_autofree char *text = ifcfg_dup_suse(guest.nets->pdata[0]);
		g_autofree char *routes = ifcfg_dup_suse_routes(guest.nets->pdata[0]);

		assert_string_equal(text, cases[i][1]);
		assert_string_equal(routes, cases[i][2]);
	}
}

static void networkmanager_texts(void **state)
{
	static const char dns4[] = "dns=192.0.2.53;\ndns-search=a.example;b.example;\n";
	static const char dns6[] = "dns=2001:db8::53;\ndns-search=a.example;b.example;\n";
	/* Configuration, [ipv4] and [ipv6] without name servers, and whether these have them. */
	static const struct {
		const char *net, *v4, *v6;
		bool has_dns4, has_dns6;
	} cases[] = {
		{PLAIN, "method=manual\naddresses=10.0.0.9/24\ngateway=10.0.0.1\n", "method=auto\n",
			true, true},
		{ROUTED,
			"method=manual\naddresses=10.0.0.9/32\ngateway=192.0.2.1\n"
			"routes=192.0.2.1\n",
			"method=manual\naddress=2001:db8::9/128\nroutes=2001:db8:1::1\n", true,
			true},
		{LEASED, "method=auto\n", "method=dhcp\n", true, true},
		{"name=eth0,ip=dhcp", "method=auto\n", "method=disabled\n", true, false},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Guest) guest = guest_of(cases[i].net);
		g_autofree char *text = nmkeyfile_dup_text(guest.nets->pdata[0], guest.dns, UUID);
		g_autofree char *expected =
			g_strconcat("[connection]\nid=eth0\nuuid=" UUID "\n"
				    "type=ethernet\ninterface-name=eth0\n\n[ipv4]\n",
				cases[i].v4, cases[i].has_dns4 ? dns4 : "", "\n[ipv6]\n",
				cases[i].v6, cases[i].has_dns6 ? dns6 : "", NULL);

		assert_string_equal(text, expected);
	}
}

static void netifrc_texts(void **state)
{
	static const char *const cases[][2] = {
		{PLAIN, "config_eth0=\"10.0.0.9/24\"\nroutes_eth0=\"default via 10.0.0.1\"\n"},
		{ROUTED, "config_eth0=\"10.0.0.9/32\n2001:db8::9/128\"\n"
			 "routes_eth0=\"192.0.2.1/32\ndefault via 192.0.2.1\n"
			 "2001:db8:1::1/128\ndefault via 2001:db8:1::1\"\n"},
		{LEASED, "config_eth0=\"dhcp\ndhcpv6\"\n"},
		{"name=a-b.c,ip6=auto", "config_a_b_c=\"null\"\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(Guest) guest = guest_of(cases[i][0]);
		g_autofree char *text = netifrc_dup_text(guest.nets);
		g_autofree char *expected =
			g_strconcat("modules=\"iproute2\"\n", cases[i][1], NULL);

		assert_string_equal(text, expected);
	}
}

static void variables_are_replaced_or_added(void **state)
{
	static const char *const cases[][2] = {
		{"", "A=x\n"},
		{"B=1", "B=1\nA=x\n"},
		{"A=1\nB=2\nA=3\n", "A=x\nB=2\n"},
		{"AB=1\n", "AB=1\nA=x\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = ifcfg_set_variable(cases[i][0], "A", "x");

		assert_string_equal(text, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networkd_texts),
		cmocka_unit_test(redhat_texts),
		cmocka_unit_test(suse_texts),
		cmocka_unit_test(networkmanager_texts),
		cmocka_unit_test(netifrc_texts),
		cmocka_unit_test(variables_are_replaced_or_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
