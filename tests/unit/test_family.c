/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "tests/unit/guesttree.h"

#define NET0 "name=eth0,bridge=vmbr0,ip=10.0.0.9/24,gw=10.0.0.1"

/* Sets up a new guest twice, as the second time must find nothing to do. */
static void set_up_twice(Tree *tree, const char *os_release)
{
	tree_put(tree, "/etc/os-release", os_release);
	tree_put(tree, "/etc/hosts", "127.0.1.1 LXC_NAME\n");
	ct_section_set(tree->section, "hostname", "web.example");
	ct_section_set(tree->section, "net0", NET0);
	assert_int_equal(tree_run(tree, GUEST_PHASE_POST_CREATE), 0);
	assert_int_equal(tree_run(tree, GUEST_PHASE_PRE_START), 0);
}

static void assert_link(Tree *tree, const char *path, const char *target)
{
	g_autofree char *actual = guest_root_dup_link(&tree->root, path);

	assert_non_null(actual);
	assert_string_equal(actual, target);
}

#define FAMILY_TEST(test) cmocka_unit_test_setup_teardown(test, tree_set_up, tree_tear_down)

static void every_type_has_a_family(void **state)
{
	static const char *const types[] = {"alpine", "archlinux", "centos", "debian", "devuan",
		"fedora", "gentoo", "nixos", "openeuler", "opensuse", "ubuntu", "unmanaged"};

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
		assert_non_null(guest_family_find(types[i]));
	assert_null(guest_family_find("plan9"));
}

static void alpine_gets_services_and_gettys(void **state)
{
	Tree *tree = *state;

	tree_put(tree, "/etc/alpine-release", "3.20.1\n");
	tree_put(tree, "/etc/inittab", "tty6::respawn:/sbin/getty 38400 tty6\n");
	set_up_twice(tree, "ID=alpine\n");

	assert_null(strstr(tree_get(tree, "/etc/hosts"), "LXC_NAME"));
	assert_non_null(
		strstr(tree_get(tree, "/etc/network/interfaces"), "\taddress 10.0.0.9/24\n"));
	assert_string_equal(tree_get(tree, "/etc/inittab"),
		"tty1::respawn:/sbin/getty 38400 tty1\ntty2::respawn:/sbin/getty 38400 tty2\n");
	assert_link(tree, "/etc/runlevels/boot/networking", "/etc/init.d/networking");
	assert_link(tree, "/etc/runlevels/shutdown/killprocs", "/etc/init.d/killprocs");
}

static void old_alpine_has_netmasks(void **state)
{
	Tree *tree = *state;

	tree_put(tree, "/etc/alpine-release", "3.12.9\n");
	set_up_twice(tree, "ID=alpine\n");
	assert_non_null(
		strstr(tree_get(tree, "/etc/network/interfaces"), "\tnetmask 255.255.255.0\n"));
}

static void arch_has_networkd_and_its_preset(void **state)
{
	Tree *tree = *state;

	tree_put_systemd(tree);
	set_up_twice(tree, "ID=arch\n");
	assert_non_null(tree_get(tree, "/etc/systemd/network/eth0.network"));
	assert_non_null(strstr(tree_get(tree, "/etc/systemd/system-preset/00-pve.preset"),
		"enable systemd-networkd.service"));
	/* Terminals of privileged containers are below /dev/lxc here. */
	assert_string_equal(tree_get(tree, "/usr/lib/systemd/system/container-getty@.service"),
		"TTYPath=/dev/lxc/tty%I\n");
}

static void centos_7_has_network_scripts(void **state)
{
	Tree *tree = *state;
	static const char routes[] = "/etc/sysconfig/network-scripts/route-eth0";

	tree_put(tree, "/etc/redhat-release", "CentOS Linux release 7.9.2009 (Core)\n");
	tree_put(tree, "/etc/sysconfig/network", "# Created by anaconda\n");
	tree_put(tree, routes, "# --- BEGIN PVE ---\nold\n# --- END PVE ---\n");
	set_up_twice(tree, "ID=\"centos\"\n");

	assert_non_null(strstr(tree_get(tree, "/etc/sysconfig/network-scripts/ifcfg-eth0"),
		"\nIPADDR=10.0.0.9\n"));
	assert_null(tree_get(tree, routes));
	assert_string_equal(tree_get(tree, "/etc/sysconfig/network"),
		"# Created by anaconda\nNETWORKING=yes\nHOSTNAME=web.example\n");
	assert_string_equal(tree_get(tree, "/etc/hostname"), "web.example\n");
	assert_string_equal(tree_get(tree, "/etc/locale.conf"), "LANG=C.utf8");
	assert_link(tree, "/etc/systemd/system/sys-kernel-config.mount", "/dev/null");
	assert_null(tree_get(tree, "/etc/systemd/system-preset/00-pve.preset"));
}

static void centos_6_has_upstart(void **state)
{
	Tree *tree = *state;

	tree_put(tree, "/etc/redhat-release", "CentOS release 6.10 (Final)\n");
	tree_put(tree, "/etc/rc.d/rc.sysinit", "a\n/sbin/start_udev\nb\n");
	tree_put(tree, "/etc/centos-release", "");
	set_up_twice(tree, "ID=centos\n");
	assert_string_equal(tree_get(tree, "/etc/rc.d/rc.sysinit"), "a\n#/sbin/start_udev\nb\n");
	assert_non_null(strstr(tree_get(tree, "/etc/init/start-ttys.conf"), "/dev/tty[1-2]"));
}

static void centos_10_has_networkmanager(void **state)
{
	static const char path[] = "/etc/NetworkManager/system-connections/eth0.nmconnection";
	Tree *tree = *state;
	struct stat st;

	tree_put(tree, "/etc/redhat-release", "AlmaLinux release 10.0 (Purple Lion)\n");
	set_up_twice(tree, "ID=\"almalinux\"\n");
	assert_non_null(strstr(tree_get(tree, path), "\naddresses=10.0.0.9/24\n"));
	assert_int_equal(safepath_stat(tree->root.fd, path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_non_null(tree_get(tree, "/etc/systemd/system-preset/00-pve.preset"));
}

static void fedora_has_networkd(void **state)
{
	Tree *tree = *state;

	set_up_twice(tree, "ID=fedora\nVERSION_ID=42\n");
	assert_non_null(tree_get(tree, "/etc/systemd/network/eth0.network"));
	assert_null(tree_get(tree, "/etc/locale.conf"));
}

static void openeuler_masks_one_unit_more(void **state)
{
	Tree *tree = *state;

	set_up_twice(tree, "ID=openEuler\nVERSION_ID=\"24.03\"\n");
	assert_link(tree, "/etc/systemd/system/dev-mqueue.mount", "/dev/null");
}

static void suse_has_wicked_or_networkd(void **state)
{
	Tree *tree = *state;

	set_up_twice(tree, "ID=\"opensuse-leap\"\nVERSION_ID=\"15.6\"\n");
	assert_non_null(strstr(
		tree_get(tree, "/etc/sysconfig/network/ifcfg-eth0"), "IPADDR=10.0.0.9/24\n"));
	assert_non_null(strstr(tree_get(tree, "/etc/sysconfig/network/ifroute-eth0"),
		"\ndefault 10.0.0.1 - eth0\n"));
	assert_link(tree, "/etc/localtime", "/usr/share/zoneinfo/UTC");

	tree_put(tree, "/usr/lib/systemd/system/systemd-networkd.service", "");
	assert_int_equal(tree_run(tree, GUEST_PHASE_NETWORK), 0);
	assert_non_null(tree_get(tree, "/etc/systemd/network/eth0.network"));
}

static void gentoo_has_files_of_its_own(void **state)
{
	Tree *tree = *state;

	tree_put(tree, "/etc/gentoo-release", "Gentoo Base System release 2.15\n");
	tree_put(tree, "/etc/conf.d/hostname", "# name\nhostname=\"localhost\"\n");
	tree_put(tree, "/etc/inittab",
		"c1:12345:respawn:/sbin/agetty --noclear 38400 tty1 linux\n"
		"s0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt100\n");
	set_up_twice(tree, "ID=gentoo\n");

	assert_string_equal(tree_get(tree, "/etc/conf.d/hostname"), "# name\nhostname=\"web\"\n");
	assert_null(tree_get(tree, "/etc/hostname"));
	assert_string_equal(tree_get(tree, "/etc/inittab"),
		"s0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt100\n"
		"1::respawn:/sbin/agetty 38400 tty1\n2::respawn:/sbin/agetty 38400 tty2\n");
	assert_non_null(
		strstr(tree_get(tree, "/etc/conf.d/net"), "\nconfig_eth0=\"10.0.0.9/24\"\n"));
	assert_link(tree, "/etc/init.d/net.eth0", "net.lo");
}

static void ubuntu_changes_with_its_releases(void **state)
{
	Tree *tree = *state;

	tree_put(tree, "/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\n");
	tree_put(tree, "/etc/init/tty5.conf", "x");
	set_up_twice(tree, "ID=ubuntu\n");
	assert_non_null(strstr(tree_get(tree, "/etc/network/interfaces"), "\tnetmask "));
	assert_non_null(tree_get(tree, "/etc/init/tty2.conf"));
	assert_null(tree_get(tree, "/etc/init/tty5.conf"));

	tree_put(tree, "/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=16.04\n");
	tree_put(tree, "/etc/securetty", "console\n");
	set_up_twice(tree, "ID=ubuntu\n");
	assert_true(g_str_has_suffix(tree_get(tree, "/etc/securetty"), "tty4\npts/0\n"));

	tree_put(tree, "/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n");
	tree_put(tree, "/etc/netplan/10-lxc.yaml", "x");
	set_up_twice(tree, "ID=ubuntu\n");
	assert_null(tree_get(tree, "/etc/netplan/10-lxc.yaml"));
	assert_non_null(tree_get(tree, "/etc/systemd/network/eth0.network"));
	assert_link(tree, "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
		"/lib/systemd/system/systemd-networkd.service");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_a_family),
		FAMILY_TEST(alpine_gets_services_and_gettys),
		FAMILY_TEST(old_alpine_has_netmasks),
		FAMILY_TEST(arch_has_networkd_and_its_preset),
		FAMILY_TEST(centos_7_has_network_scripts),
		FAMILY_TEST(centos_6_has_upstart),
		FAMILY_TEST(centos_10_has_networkmanager),
		FAMILY_TEST(fedora_has_networkd),
		FAMILY_TEST(openeuler_masks_one_unit_more),
		FAMILY_TEST(suse_has_wicked_or_networkd),
		FAMILY_TEST(gentoo_has_files_of_its_own),
		FAMILY_TEST(ubuntu_changes_with_its_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
