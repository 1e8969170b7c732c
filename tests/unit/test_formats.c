/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/formats.h"

#include "base/macro.h"
#include "tests/unit/test.h"

typedef int (*Check)(const char *value, GError **err);

/* Every check with one value and whether it is accepted. */
static const struct {
	const char *name;
	Check check;
	const char *value;
	bool good;
} cases[] = {
	{"mac", format_mac, "BC:24:11:00:aa:FF", true},
	{"mac multicast", format_mac, "BD:24:11:00:AA:FF", false},
	{"mac short", format_mac, "BC:24:11:00:AA", false},
	{"mac dashes", format_mac, "BC-24-11-00-AA-FF", false},
	{"ipv4 config", format_ipv4_config, "10.0.0.1/24", true},
	{"ipv4 dhcp", format_ipv4_config, "dhcp", true},
	{"ipv4 auto", format_ipv4_config, "auto", false},
	{"ipv4 without prefix", format_ipv4_config, "10.0.0.1", false},
	{"ipv4 short prefix", format_ipv4_config, "10.0.0.1/7", false},
	{"ipv4 long prefix", format_ipv4_config, "10.0.0.1/33", false},
	{"ipv4 octet", format_ipv4_config, "10.0.0.256/24", false},
	{"ipv4 sign", format_ipv4_config, "10.0.0.1/+24", false},
	{"ipv6 config", format_ipv6_config, "fd00::1/64", true},
	{"ipv6 auto", format_ipv6_config, "auto", true},
	{"ipv6 v4", format_ipv6_config, "10.0.0.1/24", false},
	{"ipv6 long prefix", format_ipv6_config, "fd00::1/129", false},
	{"gateway", format_ipv4, "10.0.0.1/24", false},
	{"interface", format_interface, "eth0.10", true},
	{"interface longest", format_interface, "abcdefghijklmno", true},
	{"interface too long", format_interface, "abcdefghijklmnop", false},
	{"interface slash", format_interface, "../x", false},
	{"interface empty", format_interface, "", false},
	{"vlans", format_vlan_list, "1;20;4094", true},
	{"vlan zero", format_vlan_list, "0", false},
	{"vlan high", format_vlan_list, "1;4095", false},
	{"dns", format_dns_name, "a-1.example.org", true},
	{"dns dash", format_dns_name, "-a", false},
	{"dns underscore", format_dns_name, "a_b", false},
	{"dns empty label", format_dns_name, "a..b", false},
	{"dns empty", format_dns_name, "", false},
	{"dns space", format_dns_name, "a b", false},
	{"dns list", format_dns_name_list, "a.b, c", true},
	{"servers", format_nameserver_list, "1.1.1.1 ::1;fe80::1%vmbr0", true},
	{"server name", format_nameserver_list, "dns.example", false},
	{"server zone of global", format_nameserver_list, "fd00::1%vmbr0", false},
	{"volume", format_volume, "local:100/vm-100-disk-0.raw", true},
	{"volume size", format_volume, "local:8", true},
	{"volume bare size", format_volume, "0.5", true},
	{"volume only a dot", format_volume, ".", false},
	{"volume bind", format_volume, "/srv/data", true},
	{"volume bind dots", format_volume, "/srv/../etc", false},
	{"volume dots", format_volume, "local:../../etc/passwd", false},
	{"volume with a control character", format_volume, "local:a\003b", false},
	{"volume up", format_volume, "../x", false},
	{"volume one letter storage", format_volume, "l:8", false},
	{"volume no name", format_volume, "local:", false},
	{"volume id", format_volume_id, "/srv/data", false},
	{"guest path", format_guest_path, "/srv", true},
	{"guest path dots", format_guest_path, "/srv/..", false},
	{"mount target", format_mount_target, "/srv", true},
	{"mount target root", format_mount_target, "/", false},
	{"mount target roots", format_mount_target, "//", false},
	{"mount target dots", format_mount_target, "/./", false},
	{"ssh keys none", format_ssh_keys, "", true},
	{"ssh key", format_ssh_keys, "ssh-ed25519 AAAAC3Nz me@here\n", true},
	{"ssh keys", format_ssh_keys,
		"# mine\r\n\nssh-rsa AAAAB3==\r\nfrom=\"1.2.3.4\",command=\"a b\" sk-ssh-ed25519@openssh.com "
		"AAAAG\n",
		true},
	{"ssh key type only", format_ssh_keys, "ssh-rsa", false},
	{"ssh key text", format_ssh_keys, "ssh-rsa AAAAB3\nhello world\n", false},
	{"ssh key private", format_ssh_keys, "-----BEGIN OPENSSH PRIVATE KEY-----", false},
	{"device", format_device_path, "/dev/dri/card0", true},
	{"device outside", format_device_path, "/etc/passwd", false},
	{"device dots", format_device_path, "/dev/../etc/passwd", false},
	{"device dir", format_device_path, "/dev/", false},
	{"mode", format_octal_mode, "0660", true},
	{"mode decimal", format_octal_mode, "0690", false},
	{"mode setuid", format_octal_mode, "4755", false},
	{"mount options", format_mount_options, "noatime;nosuid", true},
	{"mount option unknown", format_mount_options, "noatime;suid", false},
	{"mount types", format_mount_types, "nfs;cifs", true},
	{"mount type rule", format_mount_types, "nfs,", false},
	{"idmap", format_mount_idmap, "u:1000:1000:1;g:1000:1000:10", true},
	{"idmap passthrough", format_mount_idmap, "passthrough", true},
	{"idmap none", format_mount_idmap, "u:1000:1000:0", false},
	{"idmap type", format_mount_idmap, "b:1000:1000:1", false},
	{"idmap past the end", format_mount_idmap, "u:4294967294:0:2", false},
	{"size", format_size, "4.5G", true},
	{"size word", format_size, "big", false},
	{"tags", format_tags, "web;DB,a.b+c-d _x", true},
	{"tag dash first", format_tags, "-a", false},
	{"timezone", format_timezone, "America/Argentina/Buenos_Aires", true},
	{"timezone host", format_timezone, "host", true},
	{"timezone up", format_timezone, "../../etc/passwd", false},
	{"timezone absolute", format_timezone, "/etc/passwd", false},
	{"command", format_command_line, "/bin/sh\t-c 'x'", true},
	{"command newline", format_command_line, "/bin/sh\nx", false},
	{"environment", format_environment, "A=1\nB_2=x=y", true},
	{"environment empty value", format_environment, "A=", true},
	{"environment no value", format_environment, "A", false},
	{"environment name", format_environment, "A-B=1", false},
	{"environment escape", format_environment, "A=\033", false},
};

static void checks_accept_what_is_right_and_nothing_else(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		int r = cases[i].check(cases[i].value, &error);

		if (r != (cases[i].good ? 0 : -EINVAL))
			fail_msg("%s: '%s' gave %d", cases[i].name, cases[i].value, r);
		if (r < 0) {
			assert_non_null(error);
			assert_null(strchr(error->message, '\n'));
		}
	}
}

static void long_dns_names_are_refused(void **state)
{
	g_autofree char *label64 = g_strnfill(64, 'a');
	g_autofree char *name256 = g_strnfill(256, 'a');

	for (int i = 50; i < 256; i += 50)
		name256[i] = '.';
	assert_int_equal(format_dns_name(label64 + 1, NULL), 0);
	assert_int_equal(format_dns_name(label64, NULL), -EINVAL);
	assert_int_equal(format_dns_name(name256 + 1, NULL), 0);
	assert_int_equal(format_dns_name(name256, NULL), -EINVAL);
}

static void tags_become_lower_unique_and_sorted(void **state)
{
	g_autofree char *tags = canonical_tags("web, DB;web  a b;db");
	g_autofree char *none = canonical_tags(" ,;");

	assert_string_equal(tags, "a;b;db;web");
	assert_string_equal(none, "");
}

static void lists_become_separated_by_spaces(void **state)
{
	g_autofree char *list = canonical_space_list("1.1.1.1,8.8.8.8;  ::1");

	assert_string_equal(list, "1.1.1.1 8.8.8.8 ::1");
}

static void sizes_become_the_largest_even_unit(void **state)
{
	g_autofree char *size = canonical_size("4096M");

	assert_string_equal(size, "4G");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_accept_what_is_right_and_nothing_else),
		cmocka_unit_test(long_dns_names_are_refused),
		cmocka_unit_test(tags_become_lower_unique_and_sorted),
		cmocka_unit_test(lists_become_separated_by_spaces),
		cmocka_unit_test(sizes_become_the_largest_even_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
