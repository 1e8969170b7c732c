/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxcgen.h"

#include "agent/ct/config.h"
#include "base/macro.h"
#include "tests/unit/golden.h"
#include "tests/unit/test.h"

/* Two hosts: "v1" is a node of a lab (cgroup v1, no AppArmor, cgroups below a prefix), "v2" a host
 * of today. */

static bool has_include(const LxcHost *host, const char *name)
{
	return str_equal(name, "debian.common.conf");
}

static unsigned bridge_mtu(const LxcHost *host, const char *bridge)
{
	return str_equal(bridge, "vmbr0") ? 1500 : 0;
}

static int device(const LxcHost *host, const char *path, LxcDevice *ret)
{
	if (str_equal(path, "/dev/net/tun"))
		*ret = (LxcDevice){.major = 10, .minor = 200};
	else if (str_equal(path, "/dev/sda"))
		*ret = (LxcDevice){.block = true, .major = 8};
	else
		return -ENOENT;
	return 0;
}

/* Always the last of those that are left. */
static unsigned random_below(const LxcHost *host, unsigned n)
{
	assert_true(n > 0);
	return n - 1;
}

static const unsigned cpus[] = {0, 1, 2, 5};

static LxcHost make_host(bool cgroup_v2)
{
	return (LxcHost){
		.cgroup_v2 = cgroup_v2,
		.swap_accounting = true,
		.cpus = cpus,
		.n_cpus = G_N_ELEMENTS(cpus),
		.cgroup_prefix = cgroup_v2 ? "" : "lab-n1",
		.lxc_directory = "/var/lib/lxc",
		.hook = "/usr/libexec/atoll/atoll-hook",
		.include_directory = "/usr/share/lxc/config",
		.common_seccomp = "2\ndenylist\n[all]\nkexec_load errno 1",
		.seccomp_proxy = cgroup_v2 ? "unix:/run/proxy" : NULL,
		.apparmor = cgroup_v2,
		.apparmor_abi4 = cgroup_v2,
		.has_include = has_include,
		.bridge_mtu = bridge_mtu,
		.device = device,
		.random_below = random_below,
	};
}

static int generate(const char *text, const LxcHost *host, LxcGenerated **ret, GError **err)
{
	g_autoptr(CtConfig) config = NULL;

	assert_int_equal(ct_config_parse(text, strlen(text), false, &config, NULL, NULL), 0);
	return lxc_generate(100, ct_config_current(config), host, ret, err);
}

/* Everything that was generated, as one text. */
static char *to_text(const LxcGenerated *generated)
{
	GString *text = g_string_new(generated->config);

	if (generated->seccomp)
		g_string_append_printf(text, "--- rules.seccomp\n%s", generated->seccomp);
	for (unsigned i = 0; i < generated->warnings->len; i++)
		g_string_append_printf(text, "--- warning: %s\n",
			(char *)g_ptr_array_index(generated->warnings, i));
	return g_string_free(text, FALSE);
}

static void check_golden(const char *name, bool cgroup_v2)
{
	g_autofree char *in = golden_read("lxcgen", name, "in");
	g_autofree char *expected = golden_read("lxcgen", name, cgroup_v2 ? "v2" : "v1");
	LxcHost host = make_host(cgroup_v2);
	g_autoptr(LxcGenerated) generated = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (generate(in, &host, &generated, &error) < 0)
		fail_msg("%s: %s", name, error->message);
	text = to_text(generated);
	assert_string_equal(text, expected);
}

static void golden_files_come_out_as_expected(void **state)
{
	g_autoptr(GPtrArray) names = golden_names("lxcgen");

	for (unsigned i = 0; i < names->len; i++) {
		check_golden(g_ptr_array_index(names, i), false);
		check_golden(g_ptr_array_index(names, i), true);
	}
}

static const struct {
	const char *text;
	const char *reason;
} wrong[] = {
	{"net0: name=eth0,bridge=vmbr0,mtu=1501\n",
		"net0: mtu 1501 is larger than the 1500 of bridge 'vmbr0'"},
	{"net0: name=eth0,bridge=vmbr0\nnet1: name=eth1,bridge=vmbr0,tag=5\n",
		"net1: VLANs (tag, trunks) are not supported"},
	{"dev0: /dev/nothing\n",
		"dev0: cannot use device '/dev/nothing': No such file or directory"},
	{"lxc.idmap: u 0 100000 65536\n", "id map has no group ids"},
};

static void what_the_host_cannot_do_is_named(void **state)
{
	LxcHost host = make_host(true);

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) error = NULL;
		LxcGenerated *generated = NULL;

		assert_true(generate(wrong[i].text, &host, &generated, &error) < 0);
		assert_null(generated);
		assert_string_equal(error->message, wrong[i].reason);
	}
}

static void a_value_cannot_hold_another_entry(void **state)
{
	static const char *const texts[] = {
		"entrypoint: /bin/a\rlxc.hook.start = /bin/b\n",
		"hostname: a\rlxc.hook.start = /bin/b\n",
		"lxc.init.cwd: /\rlxc.hook.start = /bin/b\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		LxcHost host = make_host(true);
		LxcGenerated *generated = NULL;

		assert_int_equal(generate(texts[i], &host, &generated, NULL), -EINVAL);
	}
}

static void names_of_interfaces_must_fit_the_kernel(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	LxcHost host = make_host(true);
	g_autoptr(LxcGenerated) fits = NULL;
	LxcGenerated *too_long = NULL;

	ct_section_set(section, "net9", "name=eth9,bridge=vmbr0");
	assert_int_equal(lxc_generate(999999999, section, &host, &fits, NULL), 0);
	ct_section_set(section, "net10", "name=eth10,bridge=vmbr0");
	assert_int_equal(lxc_generate(999999999, section, &host, &too_long, NULL), -EINVAL);
}

static void what_has_no_effect_on_a_network_card_is_named(void **state)
{
	g_autoptr(LxcGenerated) generated = NULL;
	LxcHost host = make_host(true);

	assert_int_equal(generate("net0: name=eth0,bridge=vmbr0,firewall=1,rate=3\n", &host,
				 &generated, NULL),
		0);
	assert_int_equal(generated->warnings->len, 2);
}

static void without_swap_accounting_swap_is_not_limited(void **state)
{
	LxcHost host = make_host(false);
	g_autoptr(LxcGenerated) generated = NULL;

	host.swap_accounting = false;
	assert_int_equal(generate("swap: 64\n", &host, &generated, NULL), 0);
	assert_null(strstr(generated->config, "memsw"));
	assert_int_equal(generated->warnings->len, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files_come_out_as_expected),
		cmocka_unit_test(what_the_host_cannot_do_is_named),
		cmocka_unit_test(a_value_cannot_hold_another_entry),
		cmocka_unit_test(names_of_interfaces_must_fit_the_kernel),
		cmocka_unit_test(what_has_no_effect_on_a_network_card_is_named),
		cmocka_unit_test(without_swap_accounting_swap_is_not_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
