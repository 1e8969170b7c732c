/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxckeys.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static const struct {
	const char *key;
	LxcKeyVerdict verdict;
	const char *current;
} cases[] = {
	{"lxc.cap.drop", LXC_KEY_GOOD, "lxc.cap.drop"},
	{"lxc.cgroup2.memory.high", LXC_KEY_GOOD, "lxc.cgroup2.memory.high"},
	{"lxc.cgroup2.", LXC_KEY_UNKNOWN, "lxc.cgroup2."},
	{"lxc.net.0.type", LXC_KEY_GOOD, "lxc.net.0.type"},
	{"lxc.prlimit.nofile", LXC_KEY_GOOD, "lxc.prlimit.nofile"},
	{"lxc.limit.nofile", LXC_KEY_OLD, "lxc.prlimit.nofile"},
	{"lxc.id_map", LXC_KEY_OLD, "lxc.idmap"},
	{"lxc.network.type", LXC_KEY_OLD, NULL},
	{"lxc.cgroup.cpu.shares", LXC_KEY_OLD, "lxc.cgroup.cpu.shares"},
	{"lxc.cgroup.relative", LXC_KEY_REFUSED, "lxc.cgroup.relative"},
	{"lxc.cgroup.dir.container", LXC_KEY_REFUSED, "lxc.cgroup.dir.container"},
	{"lxc.rootfs", LXC_KEY_REFUSED, "lxc.rootfs"},
	{"lxc.rootfs.options", LXC_KEY_REFUSED, "lxc.rootfs.options"},
	{"lxc.sysctl.kernel.sem", LXC_KEY_GOOD, "lxc.sysctl.kernel.sem"},
	{"lxc.sysctl.net.ipv4.ip_forward", LXC_KEY_UNKNOWN, "lxc.sysctl.net.ipv4.ip_forward"},
	{"lxc.nonsense", LXC_KEY_UNKNOWN, "lxc.nonsense"},
};

static void keys_are_judged_and_renamed(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *current = lxc_key_dup_current(cases[i].key);

		if (lxc_key_judge(cases[i].key) != cases[i].verdict)
			fail_msg("%s", cases[i].key);
		if (!str_equal(current, cases[i].current))
			fail_msg("%s became %s", cases[i].key, current);
	}
}

static void old_names_are_the_same_key(void **state)
{
	assert_true(lxc_key_is("lxc.idmap", "lxc.idmap"));
	assert_true(lxc_key_is("lxc.id_map", "lxc.idmap"));
	assert_false(lxc_key_is("lxc.network.type", "lxc.idmap"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_judged_and_renamed),
		cmocka_unit_test(old_names_are_the_same_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
