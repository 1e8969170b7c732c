/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestnet.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static int list(const char *net0, const char *net1, GPtrArray **ret, GError **err)
{
	g_autoptr(CtConfig) config = ct_config_new();
	CtSection *section = ct_config_current(config);

	ct_section_set(section, "net0", net0);
	if (net1)
		ct_section_set(section, "net1", net1);
	return guest_net_list(section, ret, err);
}

static void gateways_outside_of_the_network_need_a_route(void **state)
{
	static const struct {
		const char *net;
		GuestNetFamily family;
		bool routed;
	} cases[] = {
		{"name=e,ip=10.0.0.9/24,gw=10.0.0.1", GUEST_NET_V4, false},
		{"name=e,ip=10.0.0.9/24,gw=10.0.1.1", GUEST_NET_V4, true},
		{"name=e,ip=10.0.0.9/23,gw=10.0.1.1", GUEST_NET_V4, false},
		{"name=e,ip=10.0.0.9/32,gw=10.0.0.1", GUEST_NET_V4, true},
		{"name=e,ip6=2001:db8::9/64,gw6=2001:db8::1", GUEST_NET_V6, false},
		{"name=e,ip6=2001:db8::9/128,gw6=2001:db8::1", GUEST_NET_V6, true},
		{"name=e,ip6=2001:db8::9/128,gw6=fe80::1", GUEST_NET_V6, false},
		{"name=e,ip6=2001:db8::9/128,gw6=febf::1", GUEST_NET_V6, false},
		{"name=e,ip6=2001:db8::9/128,gw6=fec0::1", GUEST_NET_V6, true},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) nets = NULL;
		const GuestNet *net;

		assert_int_equal(list(cases[i].net, NULL, &nets, NULL), 0);
		assert_int_equal(nets->len, 1);
		net = nets->pdata[0];
		assert_string_equal(net->addresses[cases[i].family].mode, "static");
		assert_int_equal(net->addresses[cases[i].family].gateway_routed, cases[i].routed);
	}
}

static void named_interfaces_are_sorted(void **state)
{
	g_autoptr(GPtrArray) nets = NULL;

	assert_int_equal(list("name=z0,ip=dhcp", "name=a0,bridge=vmbr0", &nets, NULL), 0);
	assert_int_equal(nets->len, 2);
	assert_string_equal(((GuestNet *)nets->pdata[0])->name, "a0");
	assert_false(guest_net_is_configured(nets->pdata[0]));
	assert_true(guest_net_is_configured(nets->pdata[1]));
	g_clear_pointer(&nets, g_ptr_array_unref);

	assert_int_equal(list("bridge=vmbr0,ip=dhcp", NULL, &nets, NULL), 0);
	assert_int_equal(nets->len, 0);
}

static void primary_is_the_static_address_of_net0(void **state)
{
	static const struct {
		const char *net0, *net1, *expected;
	} cases[] = {
		{"name=b,ip=10.0.0.9/24,ip6=2001:db8::9/64", "name=a,ip=10.1.0.9/24", "10.0.0.9"},
		{"name=b,ip=dhcp,ip6=2001:db8::9/64", NULL, "2001:db8::9"},
		{"name=b,ip=dhcp", "name=a,ip=10.1.0.9/24", NULL},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) nets = NULL;
		const char *primary;

		assert_int_equal(list(cases[i].net0, cases[i].net1, &nets, NULL), 0);
		primary = guest_net_primary(nets);
		assert_true(str_equal(primary, cases[i].expected));
	}
}

static void bad_address_names_its_option(void **state)
{
	g_autoptr(GPtrArray) nets = NULL;
	g_autoptr(GError) error = NULL;

	assert_int_equal(list("name=e,ip=10.0.0.300/24", NULL, &nets, &error), -EINVAL);
	assert_true(g_str_has_prefix(error->message, "net0: "));
	assert_null(nets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gateways_outside_of_the_network_need_a_route),
		cmocka_unit_test(named_interfaces_are_sorted),
		cmocka_unit_test(primary_is_the_static_address_of_net0),
		cmocka_unit_test(bad_address_names_its_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
