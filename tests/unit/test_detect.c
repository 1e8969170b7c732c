/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/detect.h"

#include <string.h>

#include "base/macro.h"
#include "base/safepath.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

static GuestRoot root_of(void **state)
{
	return (GuestRoot){.fd = safepath_open_root(*state), .uid = getuid(), .gid = getgid()};
}

/* What detection says of a tree with one file; NULL: it fails. */
static const char *ostype_with(void **state, const char *path, const char *text)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	GuestRoot root = root_of(state);
	const char *ostype = NULL;

	assert_int_equal(guest_root_write(&root, path, text, 0, NULL), 0);
	if (detect_ostype(&root, &ostype, warnings, NULL) < 0)
		ostype = NULL;
	assert_int_equal(safepath_unlink(root.fd, path), 0);
	(void)close(root.fd);
	return ostype;
}

static void types_have_their_signs(void **state)
{
	static const struct {
		const char *path, *text, *ostype;
	} cases[] = {
		{"/etc/os-release", "ID=\"almalinux\"\n", "centos"},
		{"/usr/lib/os-release", "ID=nixos\n", "nixos"},
		{"/etc/os-release", "ID=unmanaged\n", "unmanaged"},
		{"/etc/os-release", "ID=plan9\n", NULL},
		{"/etc/lsb-release", "distrib_id=ubuntu\n", "ubuntu"},
		{"/etc/lsb-release", "DISTRIB_ID=Mint\n", "unmanaged"},
		{"/etc/debian_version", "12\n", "debian"},
		{"/etc/redhat-release", "x\n", "centos"},
		{"/etc/openEuler-release", "x\n", "openeuler"},
		{"/etc/motd", "x\n", "unmanaged"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *ostype = ostype_with(state, cases[i].path, cases[i].text);

		assert_true(str_equal(ostype, cases[i].ostype));
	}
}

static void architecture_is_that_of_the_shell(void **state)
{
	static const struct {
		const char *arch;
		uint8_t class, data, machine[2];
	} cases[] = {
		{"i386", 1, 1, {3, 0}},
		{"amd64", 2, 1, {0x3e, 0}},
		{"armhf", 1, 1, {0x28, 0}},
		{"arm64", 2, 1, {0xb7, 0}},
		{"riscv32", 1, 1, {0xf3, 0}},
		{"riscv64", 2, 1, {0xf3, 0}},
		{"amd64", 2, 2, {0, 0x3e}},
		{NULL, 2, 1, {0, 0x3e}},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint8_t header[20] = {0x7f, 'E', 'L', 'F', cases[i].class, cases[i].data};

		memcpy(header + 18, cases[i].machine, 2);
		assert_true(str_equal(elf_arch(header, sizeof(header)), cases[i].arch));
		assert_null(elf_arch(header, 10));
	}
}

static void missing_shell_means_amd64(void **state)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	GuestRoot root = root_of(state);

	assert_string_equal(detect_arch(&root, "debian", warnings), "amd64");
	assert_int_equal(warnings->len, 1);
	(void)close(root.fd);
}

static void interpreter_of_init_counts_on_nixos(void **state)
{
	static const char elf[] = "\x7f"
				  "ELF\x02\x01\x01_________\x02_\xb7";
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	GuestRoot root = root_of(state);

	assert_int_equal(
		guest_root_write(&root, "/sbin/init", "#! /nix/store/x/bash -e\n", 0, NULL), 0);
	assert_int_equal(guest_root_mkdir(&root, "/nix/store/x", 0755, NULL), 0);
	assert_int_equal(safepath_replace(root.fd, "/nix/store/x/bash", elf, sizeof(elf), 0755,
				 getuid(), getgid()),
		0);
	assert_string_equal(detect_arch(&root, "nixos", warnings), "arm64");
	(void)close(root.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			types_have_their_signs, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test(architecture_is_that_of_the_shell),
		cmocka_unit_test_setup_teardown(
			missing_shell_means_amd64, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			interpreter_of_init_counts_on_nixos, tmpdir_set_up, tmpdir_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
