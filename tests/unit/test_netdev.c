/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/netdev.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static int get(const char *text, CtNetdev **ret)
{
	g_autoptr(CtConfig) config = ct_config_new();

	ct_section_set(ct_config_current(config), "net3", text);
	return ct_netdev_get(ct_config_current(config), 3, ret, NULL);
}

static void card_knows_bridge_and_mtu(void **state)
{
	g_autoptr(CtNetdev) netdev = NULL;

	assert_int_equal(get("name=eth0,bridge=vmbr0,mtu=1400,type=veth", &netdev), 0);
	assert_string_equal(netdev->name, "eth0");
	assert_string_equal(netdev->bridge, "vmbr0");
	assert_int_equal(netdev->mtu, 1400);
	assert_false(netdev->link_down);
}

static void mtu_defaults_to_the_bridges(void **state)
{
	g_autoptr(CtNetdev) netdev = NULL;

	assert_int_equal(get("name=eth0,bridge=vmbr0,link_down=1", &netdev), 0);
	assert_int_equal(netdev->mtu, 0);
	assert_true(netdev->link_down);
}

static void card_without_bridge_is_of_no_use(void **state)
{
	CtNetdev *netdev = NULL;

	assert_int_equal(get("name=eth0", &netdev), -EINVAL);
	assert_null(netdev);
}

static void missing_card_is_not_found(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	CtNetdev *netdev = NULL;

	assert_int_equal(ct_netdev_get(ct_config_current(config), 0, &netdev, NULL), -ENOENT);
}

static void link_names_are_read_back(void **state)
{
	g_autofree char *link = ct_netdev_dup_link(100, 31);
	unsigned index = 0;

	assert_string_equal(link, "veth100i31");
	assert_int_equal(ct_netdev_parse_link(link, 100, &index), 0);
	assert_int_equal(index, 31);
	assert_int_equal(ct_netdev_parse_link(link, 101, &index), -EINVAL);
	assert_int_equal(ct_netdev_parse_link("veth100i32", 100, &index), -EINVAL);
	assert_int_equal(ct_netdev_parse_link("eth0", 100, &index), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(card_knows_bridge_and_mtu),
		cmocka_unit_test(mtu_defaults_to_the_bridges),
		cmocka_unit_test(card_without_bridge_is_of_no_use),
		cmocka_unit_test(missing_card_is_not_found),
		cmocka_unit_test(link_names_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
