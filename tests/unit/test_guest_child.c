/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guest_child.h"

#include <string.h>
#include <sys/stat.h>

#include "agent/guest/hostkeys.h"
#include "base/macro.h"
#include "base/safepath.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

struct fixture {
	void *path; /* Of tmpdir.h. */
	GuestRoot root;
	GuestSetup setup;
	GuestFound found;
	CtConfig *config;
	CtSection *section;
	GPtrArray *warnings;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	*state = f;
	if (tmpdir_set_up(&f->path) < 0)
		return -1;

	f->root = (GuestRoot){.fd = safepath_open_root(f->path), .uid = getuid(), .gid = getgid()};
	f->setup = (GuestSetup){.vmid = 100, .now_s = 86400 * 20000, .random_seed = 1};
	f->config = ct_config_new();
	f->section = ct_config_current(f->config);
	f->warnings = g_ptr_array_new_with_free_func(g_free);
	return f->root.fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	g_ptr_array_unref(f->warnings);
	ct_config_free(f->config);
	guest_found_clear(&f->found);
	(void)close(f->root.fd);
	(void)tmpdir_tear_down(&f->path);
	g_free(f);
	return 0;
}

static void put(struct fixture *f, const char *path, const char *text)
{
	assert_int_equal(guest_root_write(&f->root, path, text, 0, NULL), 0);
}

/* NULL: no such file.  Borrowed until the next call. */
static const char *get(struct fixture *f, const char *path)
{
	static char text[65536];
	g_autofree char *content = NULL;

	if (safepath_read(f->root.fd, path, sizeof(text) - 1, &content, NULL) < 0)
		return NULL;
	(void)g_strlcpy(text, content, sizeof(text));
	return text;
}

static void put_debian(struct fixture *f)
{
	put(f, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
	put(f, "/etc/debian_version", "12.5\n");
	put(f, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
	put(f, "/etc/shadow", "root:*:1:0:99999:7:::\n");
	put(f, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	put(f, "/etc/crontab", "17 * * * * root x\n");
	put(f, "/root/.profile", "");
}

static void put_systemd(struct fixture *f)
{
	put(f, "/usr/lib/systemd/systemd", "ELF libsystemd-shared-252.so");
	assert_int_equal(fchmodat(f->root.fd, "usr/lib/systemd/systemd", 0755, 0), 0);
	put(f, "/usr/lib/systemd/system/container-getty@.service", "TTYPath=/dev/pts/%I\n");
	assert_int_equal(guest_root_mkdir(&f->root, "/sbin", 0755, NULL), 0);
	assert_int_equal(
		guest_root_link(&f->root, "/sbin/init", "/usr/lib/systemd/systemd", NULL), 0);
}

static int run(struct fixture *f, GuestPhase phase)
{
	int r;

	guest_found_clear(&f->found);
	r = guest_child_detect(&f->root, NULL, &f->found, f->warnings, NULL);
	if (r < 0)
		return r;
	return guest_child_setup(
		&f->root, phase, &f->setup, f->section, &f->found, NULL, f->warnings, NULL);
}

static bool is_warned(const struct fixture *f, const char *words)
{
	for (unsigned i = 0; i < f->warnings->len; i++)
		if (strstr(f->warnings->pdata[i], words))
			return true;

	return false;
}

static void new_debian_is_set_up(void **state)
{
	struct fixture *f = *state;

	put_debian(f);
	ct_section_set(f->section, "hostname", "web.example");
	ct_section_set(f->section, "net0", "name=eth0,bridge=vmbr0,ip=10.0.0.9/24,gw=10.0.0.1");
	ct_section_set(f->section, "nameserver", "192.0.2.53");
	f->setup.password = "$6$salt$hash";
	f->setup.ssh_public_keys = "ssh-ed25519 AAAA me";

	assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(f->found.ostype, "debian");
	assert_string_equal(f->found.version, "12");
	assert_string_equal(get(f, "/etc/hostname"), "web\n");
	assert_non_null(strstr(get(f, "/etc/hosts"), "\n10.0.0.9 web.example web\n"));
	assert_non_null(strstr(get(f, "/etc/resolv.conf"), "\nnameserver 192.0.2.53\n"));
	assert_non_null(strstr(get(f, "/etc/network/interfaces"), "\taddress 10.0.0.9/24\n"));
	assert_string_equal(get(f, "/etc/shadow"), "root:$6$salt$hash:20000:0:99999:7:::\n");
	assert_string_equal(get(f, "/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
	assert_non_null(strstr(get(f, "/root/.ssh/authorized_keys"), "\nssh-ed25519 AAAA me\n"));
	assert_null(get(f, "/etc/machine-id"));
	assert_null(get(f, "/fastboot"));
}

static void second_run_changes_nothing(void **state)
{
	static const char *const files[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/crontab",
		"/etc/network/interfaces", "/etc/inittab"};
	struct fixture *f = *state;

	put_debian(f);
	put(f, "/etc/inittab", "id:2:initdefault:\n");
	ct_section_set(f->section, "net0", "name=eth0,bridge=vmbr0,ip=10.0.0.9/32,gw=10.0.0.1");
	ct_section_set(f->section, "nameserver", "192.0.2.53");
	assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), 0);

	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *first = g_strdup(get(f, files[i]));

		assert_non_null(first);
		assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), 0);
		assert_string_equal(get(f, files[i]), first);
	}
}

static void systemd_gets_logins_and_preset(void **state)
{
	struct fixture *f = *state;
	g_autofree char *target = NULL;

	put_debian(f);
	put_systemd(f);
	put(f, "/etc/systemd/system/getty.target.wants/getty@tty1.service", "");
	put(f, "/etc/systemd/system/getty.target.wants/container-getty@3.service", "");

	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);
	target = guest_root_dup_link(
		&f->root, "/etc/systemd/system/getty.target.wants/container-getty@2.service");
	assert_string_equal(target, "/usr/lib/systemd/system/container-getty@.service");
	assert_null(get(f, "/etc/systemd/system/getty.target.wants/getty@tty1.service"));
	assert_null(get(f, "/etc/systemd/system/getty.target.wants/container-getty@3.service"));
	assert_string_equal(
		get(f, "/usr/lib/systemd/system/container-getty@.service"), "TTYPath=/dev/tty%I\n");
	assert_non_null(get(f, "/etc/systemd/system-preset/00-pve.preset"));
	assert_string_equal(get(f, "/fastboot"), "");
	assert_true(is_warned(f, "systemd 252"));
}

static void nesting_silences_the_warning(void **state)
{
	struct fixture *f = *state;

	put_debian(f);
	put_systemd(f);
	ct_section_set(f->section, "features", "nesting=1");
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);
	assert_false(is_warned(f, "systemd"));
}

static void ignored_files_stay(void **state)
{
	struct fixture *f = *state;

	put_debian(f);
	put(f, "/etc/hostname", "mine\n");
	put(f, "/etc/.pve-ignore.hostname", "");
	put(f, "/etc/.pve-ignore.machine-id", "");
	assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(get(f, "/etc/hostname"), "mine\n");
	assert_non_null(get(f, "/etc/machine-id"));
}

static void links_do_not_lead_out(void **state)
{
	struct fixture *f = *state;
	g_autofree char *outside = g_strconcat(f->path, "-outside", NULL);

	put_debian(f);
	assert_int_equal(file_replace(outside, "host\n", 5, 0644), 0);
	assert_int_equal(guest_root_link(&f->root, "/etc/hostname", outside, NULL), 0);
	assert_int_equal(guest_root_link(&f->root, "/etc/resolv.conf", outside, NULL), 0);
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);

	assert_string_equal(get(f, "/etc/hostname"), "localhost\n");
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
	struct fixture *f = *state;

	assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), 0);
	assert_string_equal(f->found.ostype, "unmanaged");
	assert_null(get(f, "/etc/hostname"));
	assert_true(is_warned(f, "os-release"));
}

static void family_without_module_gets_the_common_parts(void **state)
{
	struct fixture *f = *state;

	put(f, "/etc/os-release", "ID=alpine\n");
	put(f, "/etc/alpine-release", "3.20.1\n");
	ct_section_set(f->section, "net0", "name=eth0,ip=dhcp");
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);
	assert_string_equal(get(f, "/etc/hostname"), "localhost\n");
	assert_null(get(f, "/etc/network/interfaces"));
	assert_true(is_warned(f, "alpine"));
}

static void unknown_distribution_is_an_error(void **state)
{
	struct fixture *f = *state;

	put(f, "/etc/os-release", "ID=plan9\n");
	assert_int_equal(run(f, GUEST_PHASE_POST_CREATE), -EINVAL);
	assert_null(get(f, "/etc/hostname"));
}

static void zero_bytes_are_no_text(void **state)
{
	struct fixture *f = *state;
	static const char binary[] = "a\0b";

	put_debian(f);
	assert_int_equal(
		safepath_replace(f->root.fd, "/etc/hosts", binary, 3, 0, getuid(), getgid()), 0);
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), -EILSEQ);
}

static void clone_boots_as_before(void **state)
{
	struct fixture *f = *state;

	put_debian(f);
	put_systemd(f);
	assert_int_equal(run(f, GUEST_PHASE_POST_CLONE), 0);
	assert_string_equal(get(f, "/etc/machine-id"), "\n");

	put(f, "/etc/machine-id", "uninitialized\n");
	assert_int_equal(run(f, GUEST_PHASE_POST_CLONE), 0);
	assert_string_equal(get(f, "/etc/machine-id"), "uninitialized\n");
}

static void zone_must_be_known_to_the_guest(void **state)
{
	struct fixture *f = *state;
	g_autofree char *target = NULL;

	put_debian(f);
	put(f, "/etc/timezone", "Etc/UTC\n");
	put(f, "/usr/share/zoneinfo/Europe/Vienna", "TZif");
	f->setup.host_localtime = "../usr/share/zoneinfo/Europe/Vienna";

	ct_section_set(f->section, "timezone", "Europe/Rome");
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);
	assert_true(is_warned(f, "Europe/Rome"));
	assert_string_equal(get(f, "/etc/timezone"), "Etc/UTC\n");

	ct_section_set(f->section, "timezone", "host");
	assert_int_equal(run(f, GUEST_PHASE_PRE_START), 0);
	target = guest_root_dup_link(&f->root, "/etc/localtime");
	assert_string_equal(target, "/usr/share/zoneinfo/Europe/Vienna");
	assert_string_equal(get(f, "/etc/timezone"), "Europe/Vienna\n");
}

static void host_keys_have_their_modes(void **state)
{
	struct fixture *f = *state;
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
	assert_string_equal(get(f, "/etc/ssh/ssh_host_rsa_key.pub"), "public\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_debian_is_set_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(second_run_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(systemd_gets_logins_and_preset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nesting_silences_the_warning, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ignored_files_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_do_not_lead_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unmanaged_tree_is_not_touched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			family_without_module_gets_the_common_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			unknown_distribution_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(zero_bytes_are_no_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(clone_boots_as_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(zone_must_be_known_to_the_guest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(host_keys_have_their_modes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
