/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/interfaces.h"

#include <string.h>

#include "agent/guest/guestnet.h"
#include "base/macro.h"
#include "tests/unit/golden.h"

static GPtrArray *nets_of(const char *text)
{
	g_autoptr(CtConfig) config = NULL;
	GPtrArray *nets;

	assert_int_equal(ct_config_parse(text, strlen(text), false, &config, NULL, NULL), 0);
	assert_int_equal(guest_net_list(ct_config_current(config), &nets, NULL), 0);
	return nets;
}

/* NAME.conf is the configuration of the container whose file NAME.in is. */
static void files_come_out_as_recorded(void **state)
{
	g_autoptr(GPtrArray) names = golden_names("interfaces");

	for (unsigned i = 0; i < names->len; i++) {
		g_autofree char *conf = golden_read("interfaces", names->pdata[i], "conf");
		g_autofree char *in = golden_read("interfaces", names->pdata[i], "in");
		g_autofree char *expected = golden_read("interfaces", names->pdata[i], "out");
		g_autoptr(GPtrArray) nets = nets_of(conf);
		g_autofree char *once = interfaces_rewrite(in, nets, INTERFACES_CIDR);
		g_autofree char *twice = interfaces_rewrite(once, nets, INTERFACES_CIDR);

		assert_string_equal(once, expected);
		assert_string_equal(twice, expected);
	}
}

static void old_ifupdown_gets_netmasks(void **state)
{
	g_autoptr(GPtrArray) nets =
		nets_of("net0: name=eth0,ip=10.0.0.9/20,ip6=2001:db8::9/56,gw6=2001:db8::1\n");
	g_autofree char *text = interfaces_rewrite("auto lo\n", nets, 0);

	assert_string_equal(text,
		"auto lo\n\n"
		"auto eth0\n"
		"iface eth0 inet static\n\taddress 10.0.0.9\n\tnetmask 255.255.240.0\n\n"
		"iface eth0 inet6 static\n\taddress 2001:db8::9\n\tnetmask 56\n"
		"\tgateway 2001:db8::1\n\n");
}

static void ipv6_can_be_limited_to_static(void **state)
{
	g_autoptr(GPtrArray) nets = nets_of("net0: name=eth0,ip6=dhcp\n");
	g_autofree char *text = interfaces_rewrite("auto lo eth0\n", nets, INTERFACES_V6_STATIC);

	assert_string_equal(text, "auto lo eth0\n\niface eth0 inet6 manual\n\n");
}

static void nothing_to_say_leaves_the_file(void **state)
{
	g_autoptr(GPtrArray) nets = nets_of("net0: name=eth0,bridge=vmbr0\n");

	assert_null(interfaces_rewrite("iface eth0 inet dhcp\n", nets, 0));
}

/* What is stripped from the ends of a line must not be what makes it an option. */
static void a_line_of_white_space_is_blank(void **state)
{
	static const char owner[] = "auto lo\niface eth0 inet static\n\f\n\tup true\n";
	g_autoptr(GPtrArray) nets = nets_of("net0: name=eth0,ip=10.0.0.9/20\n");
	g_autofree char *once = interfaces_rewrite(owner, nets, 0);
	g_autofree char *twice = interfaces_rewrite(once, nets, 0);

	assert_string_equal(once, twice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_out_as_recorded),
		cmocka_unit_test(old_ifupdown_gets_netmasks),
		cmocka_unit_test(nothing_to_say_leaves_the_file),
		cmocka_unit_test(ipv6_can_be_limited_to_static),
		cmocka_unit_test(a_line_of_white_space_is_blank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
