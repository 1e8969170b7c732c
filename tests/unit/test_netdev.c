/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/netdev.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static int get(const char *text, char **ret_bridge)
{
	g_autoptr(CtConfig) config = ct_config_new();

	ct_section_set(ct_config_current(config), "net3", text);
	return ct_netdev_dup_bridge(ct_config_current(config), 3, ret_bridge, NULL);
}

static void card_names_its_bridge(void **state)
{
	g_autofree char *bridge = NULL;

	assert_int_equal(get("name=eth0,bridge=vmbr0,mtu=1400,type=veth", &bridge), 0);
	assert_string_equal(bridge, "vmbr0");
}

static void card_without_bridge_is_of_no_use(void **state)
{
	char *bridge = NULL;

	assert_int_equal(get("name=eth0", &bridge), -EINVAL);
	assert_int_equal(get("bridge", &bridge), -EINVAL);
	assert_null(bridge);
}

static void missing_card_is_not_found(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	char *bridge = NULL;

	assert_int_equal(
		ct_netdev_dup_bridge(ct_config_current(config), 0, &bridge, NULL), -ENOENT);
}

static void names_inside_are_taken_once(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	CtSection *section = ct_config_current(config);
	g_autoptr(GError) error = NULL;

	ct_section_set(section, "net0", "name=eth0");
	ct_section_set(section, "net1", "name=eth1");
	ct_section_set(section, "net2", "broken");
	ct_section_set(section, "net31", "name=eth0");
	assert_int_equal(ct_netdev_check_name(section, 0, &error), -EINVAL);
	assert_string_equal(error->message, "name 'eth0' is that of net31 too");
	assert_int_equal(ct_netdev_check_name(section, 31, NULL), -EINVAL);
	assert_int_equal(ct_netdev_check_name(section, 1, NULL), 0);
	assert_int_equal(ct_netdev_check_name(section, 2, NULL), 0);
	assert_int_equal(ct_netdev_check_name(section, 3, NULL), 0);
}

static void link_names_carry_id_and_index(void **state)
{
	g_autofree char *link = ct_netdev_dup_link(100, 31);

	assert_string_equal(link, "veth100i31");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(card_names_its_bridge),
		cmocka_unit_test(card_without_bridge_is_of_no_use),
		cmocka_unit_test(missing_card_is_not_found),
		cmocka_unit_test(names_inside_are_taken_once),
		cmocka_unit_test(link_names_carry_id_and_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
