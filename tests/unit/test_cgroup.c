/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/cgroup.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static const char HYBRID[] = "9:name=systemd:/lxc/100/ns\n"
			     "4:memory:/slice/lxc/100/ns\n"
			     "2:cpu,cpuacct:/lxc/100/ns\n"
			     "0::/lxc/100-1/ns\n";

static void v1_controller_is_preferred(void **state)
{
	unsigned version = 0;
	g_autofree char *path = cgroup_text_find(HYBRID, "memory", &version);

	assert_string_equal(path, "/slice/lxc/100/ns");
	assert_int_equal(version, 1);
}

static void controllers_that_share_a_hierarchy_are_told_apart(void **state)
{
	unsigned version = 0;
	g_autofree char *path = cgroup_text_find(HYBRID, "cpuacct", &version);

	assert_string_equal(path, "/lxc/100/ns");
	assert_int_equal(version, 1);
}

static void other_controllers_are_in_the_unified_tree(void **state)
{
	unsigned version = 0;
	g_autofree char *path = cgroup_text_find(HYBRID, "io", &version);

	assert_string_equal(path, "/lxc/100-1/ns");
	assert_int_equal(version, 2);
}

static void path_may_hold_colons(void **state)
{
	unsigned version = 0;
	g_autofree char *path = cgroup_text_find("0::/a:b/c\n", "cpu", &version);

	assert_string_equal(path, "/a:b/c");
}

static void no_hierarchy_is_no_path(void **state)
{
	unsigned version = 7;

	assert_null(cgroup_text_find("2:cpu:/x\n", "memory", &version));
	assert_null(cgroup_text_find("", "memory", &version));
	assert_int_equal(version, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_controller_is_preferred),
		cmocka_unit_test(controllers_that_share_a_hierarchy_are_told_apart),
		cmocka_unit_test(other_controllers_are_in_the_unified_tree),
		cmocka_unit_test(path_may_hold_colons),
		cmocka_unit_test(no_hierarchy_is_no_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
