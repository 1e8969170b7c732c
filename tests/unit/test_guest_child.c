/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guest_child.h"

#include "agent/guest/hostkeys.h"
#include "tests/unit/guesttree.h"

static void put_debian(Tree *f)
{
	tree_put(f, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
	tree_put(f, "/etc/debian_version", "12.5\n");
	tree_put(f, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	tree_put(f, "/etc/shadow", "root:*:1:0:99999:7:::\n");
	tree_put(f, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	tree_put(f, "/etc/crontab", "17 * * * * root x\n");
	tree_put(f, "/root/.profile", "");
}

static void new_debian_is_set_up(void **state)
{
	Tree *f = *state;

	put_debian(f);
	ct_section_set(f->section, "hostname", "web.example");
	ct_section_set(f->section, "net0", "name=eth0,bridge=vmbr0,ip=10.0.0.9/24,gw=10.0.0.1");
	ct_section_set(f->section, "nameserver", "192.0.2.53");
	f->setup.password = "$6$salt$hash";
	f->setup.ssh_public_keys = "ssh-ed25519 AAAA me";

	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(f->found.ostype, "debian");
	assert_string_equal(f->found.version, "12");
	assert_string_equal(tree_get(f, "/etc/hostname"), "web\n");
	assert_non_null(strstr(tree_get(f, "/etc/hosts"), "\n10.0.0.9 web.example web\n"));
	assert_non_null(strstr(tree_get(f, "/etc/resolv.conf"), "\nnameserver 192.0.2.53\n"));
	assert_non_null(strstr(tree_get(f, "/etc/network/interfaces"), "\taddress 10.0.0.9/24\n"));
	assert_string_equal(tree_get(f, "/etc/shadow"), "root:$6$salt$hash:20000:0:99999:7:::\n");
	assert_string_equal(tree_get(f, "/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
	assert_non_null(
		strstr(tree_get(f, "/root/.ssh/authorized_keys"), "\nssh-ed25519 AAAA me\n"));
	assert_null(tree_get(f, "/etc/machine-id"));
	assert_null(tree_get(f, "/fastboot"));
}

static void second_run_changes_nothing(void **state)
{
	static const char *const files[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/crontab",
		"/etc/network/interfaces", "/etc/inittab"};
	Tree *f = *state;

	put_debian(f);
	tree_put(f, "/etc/inittab", "id:2:initdefault:\n");
	ct_section_set(f->section, "net0", "name=eth0,bridge=vmbr0,ip=10.0.0.9/32,gw=10.0.0.1");
	ct_section_set(f->section, "nameserver", "192.0.2.53");
	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), 0);

	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *first = g_strdup(tree_get(f, files[i]));

		assert_non_null(first);
		assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), 0);
		assert_string_equal(tree_get(f, files[i]), first);
	}
}

static void systemd_gets_logins_and_preset(void **state)
{
	Tree *f = *state;
	g_autofree char *target = NULL;

	put_debian(f);
	tree_put_systemd(f);
	tree_put(f, "/etc/systemd/system/getty.target.wants/getty@tty1.service", "");
	tree_put(f, "/etc/systemd/system/getty.target.wants/container-getty@3.service", "");

	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), 0);
	target = guest_root_dup_link(
		&f->root, "/etc/systemd/system/getty.target.wants/container-getty@2.service");
	assert_string_equal(target, "/usr/lib/systemd/system/container-getty@.service");
	assert_null(tree_get(f, "/etc/systemd/system/getty.target.wants/getty@tty1.service"));
	assert_null(
		tree_get(f, "/etc/systemd/system/getty.target.wants/container-getty@3.service"));
	assert_string_equal(tree_get(f, "/usr/lib/systemd/system/container-getty@.service"),
		"TTYPath=/dev/tty%I\n");
	assert_non_null(tree_get(f, "/etc/systemd/system-preset/00-pve.preset"));
	assert_string_equal(tree_get(f, "/fastboot"), "");
	assert_true(tree_is_warned(f, "systemd 252"));
}

static void nesting_silences_the_warning(void **state)
{
	Tree *f = *state;

	put_debian(f);
	tree_put_systemd(f);
	ct_section_set(f->section, "features", "nesting=1");
	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), 0);
	assert_false(tree_is_warned(f, "systemd"));
}

static void ignored_files_stay(void **state)
{
	Tree *f = *state;

	put_debian(f);
	tree_put(f, "/etc/hostname", "mine\n");
	tree_put(f, "/etc/.pve-ignore.hostname", "");
	tree_put(f, "/etc/.pve-ignore.machine-id", "");
	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(tree_get(f, "/etc/hostname"), "mine\n");
	assert_non_null(tree_get(f, "/etc/machine-id"));
}

static void links_do_not_lead_out(void **state)
{
	Tree *f = *state;
	g_autofree char *outside = g_strconcat(f->path, "-outside", NULL);

	put_debian(f);
	assert_int_equal(file_replace(outside, "host\n", 5, 0644), 0);
	assert_int_equal(guest_root_link(&f->root, "/etc/hostname", outside, NULL), 0);
	assert_int_equal(guest_root_link(&f->root, "/etc/resolv.conf", outside, NULL), 0);
	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), 0);

	assert_string_equal(tree_get(f, "/etc/hostname"), "localhost\n");
	assert_false(guest_root_is_link(&f->root, "/etc/hostname"));
	{
		g_autofree char *text = NULL;

		assert_int_equal(file_read(outside, 100, &text, NULL), 0);
		assert_string_equal(text, "host\n");
	}
	(void)unlink(outside);
}

static void unmanaged_tree_is_not_touched(void **state)
{
	Tree *f = *state;

	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(f->found.ostype, "unmanaged");
	assert_null(tree_get(f, "/etc/hostname"));
	assert_true(tree_is_warned(f, "os-release"));
}

static void unknown_distribution_is_an_error(void **state)
{
	Tree *f = *state;

	tree_put(f, "/etc/os-release", "ID=plan9\n");
	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CREATE), -EINVAL);
	assert_null(tree_get(f, "/etc/hostname"));
}

static void zero_bytes_are_no_text(void **state)
{
	Tree *f = *state;
	static const char binary[] = "a\0b";

	put_debian(f);
	assert_int_equal(
		safepath_replace(f->root.fd, "/etc/hosts", binary, 3, 0, getuid(), getgid()), 0);
	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), -EILSEQ);
}

static void clone_boots_as_before(void **state)
{
	Tree *f = *state;

	put_debian(f);
	tree_put_systemd(f);
	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CLONE), 0);
	assert_string_equal(tree_get(f, "/etc/machine-id"), "\n");

	tree_put(f, "/etc/machine-id", "uninitialized\n");
	assert_int_equal(tree_run(f, GUEST_PHASE_POST_CLONE), 0);
	assert_string_equal(tree_get(f, "/etc/machine-id"), "uninitialized\n");
}

static void zone_must_be_known_to_the_guest(void **state)
{
	Tree *f = *state;
	g_autofree char *target = NULL;

	put_debian(f);
	tree_put(f, "/etc/timezone", "Etc/UTC\n");
	tree_put(f, "/usr/share/zoneinfo/Europe/Vienna", "TZif");
	f->setup.host_localtime = "../usr/share/zoneinfo/Europe/Vienna";

	ct_section_set(f->section, "timezone", "Europe/Rome");
	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), 0);
	assert_true(tree_is_warned(f, "Europe/Rome"));
	assert_string_equal(tree_get(f, "/etc/timezone"), "Etc/UTC\n");

	ct_section_set(f->section, "timezone", "host");
	assert_int_equal(tree_run(f, GUEST_PHASE_PRE_START), 0);
	target = guest_root_dup_link(&f->root, "/etc/localtime");
	assert_string_equal(target, "/usr/share/zoneinfo/Europe/Vienna");
	assert_string_equal(tree_get(f, "/etc/timezone"), "Europe/Vienna\n");
}

static void host_keys_have_their_modes(void **state)
{
	Tree *f = *state;
	HostKey key = {
		.path = (char *)"/etc/ssh/ssh_host_rsa_key",
		.private = (char *)"secret\n",
		.public = (char *)"public\n",
	};
	g_autoptr(GPtrArray) keys = g_ptr_array_new();
	struct stat st;

	put_debian(f);
	g_ptr_array_add(keys, &key);
	assert_int_equal(guest_child_detect(&f->root, NULL, &f->found, f->warnings, NULL), 0);
	assert_int_equal(guest_child_setup(&f->root, GUEST_PHASE_POST_CREATE, &f->setup, f->section,
				 &f->found, keys, f->warnings, NULL),
		0);
	assert_int_equal(safepath_stat(f->root.fd, key.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(tree_get(f, "/etc/ssh/ssh_host_rsa_key.pub"), "public\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_debian_is_set_up, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			second_run_changes_nothing, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			systemd_gets_logins_and_preset, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			nesting_silences_the_warning, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(ignored_files_stay, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(links_do_not_lead_out, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			unmanaged_tree_is_not_touched, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			unknown_distribution_is_an_error, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			zero_bytes_are_no_text, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(clone_boots_as_before, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			zone_must_be_known_to_the_guest, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			host_keys_have_their_modes, tree_set_up, tree_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
