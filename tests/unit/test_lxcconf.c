/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxcconf.h"

#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

/* The facts are those of the machine that the test runs on; LXC's own files have to be there. */

static char *path_of(const char *directory, const char *name)
{
	return g_build_filename(directory, "100", name, NULL);
}

static char *read_text(const char *directory, const char *name)
{
	g_autofree char *path = path_of(directory, name);
	char *text = NULL;

	(void)g_file_get_contents(path, &text, NULL, NULL); /* NULL: there is none. */
	return text;
}

static int write_conf(const char *directory, const CtSection *section, GError **err)
{
	NodeConf node = {.cgroup_prefix = (char *)"some/prefix"};

	return lxc_conf_write_below(directory, 100, section, &node, NULL, err);
}

static void both_files_are_written_and_removed(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autofree char *config = NULL;
	g_autofree char *seccomp = NULL;
	g_autofree char *gone = NULL;

	ct_section_set(section, "unprivileged", "1");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	config = read_text(*state, "config");
	seccomp = read_text(*state, "rules.seccomp");
	assert_non_null(strstr(config, "lxc.cgroup.dir.container = some/prefix/lxc/100\n"));
	assert_non_null(strstr(config, "/rules.seccomp\n"));
	assert_non_null(strstr(seccomp, "\nkeyctl errno 38\n"));

	assert_int_equal(lxc_conf_remove_below(*state, 100, NULL), 0);
	assert_int_equal(lxc_conf_remove_below(*state, 100, NULL), 0);
	gone = read_text(*state, "config");
	assert_null(gone);
}

static void rules_that_are_not_needed_go_away(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autofree char *seccomp = NULL;

	ct_section_set(section, "unprivileged", "1");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	ct_section_set(section, "unprivileged", "0");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	seccomp = read_text(*state, "rules.seccomp");
	assert_null(seccomp);
}

static void unchanged_files_are_not_touched(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autofree char *path = path_of(*state, "config");
	struct stat before, same, changed;

	assert_int_equal(write_conf(*state, section, NULL), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(write_conf(*state, section, NULL), 0);
	assert_int_equal(stat(path, &same), 0);
	assert_int_equal(before.st_ino, same.st_ino);

	ct_section_set(section, "memory", "64");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	assert_int_equal(stat(path, &changed), 0);
	assert_int_not_equal(before.st_ino, changed.st_ino);
}

static void the_environment_is_not_for_everybody(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autofree char *path = path_of(*state, "config");
	struct stat st;

	ct_section_set(section, "env", "PASSWORD=secret");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void devices_are_looked_up(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autoptr(GError) missing = NULL;
	g_autoptr(GError) directory = NULL;
	g_autofree char *config = NULL;

	ct_section_set(section, "dev0", "/dev/null");
	assert_int_equal(write_conf(*state, section, NULL), 0);
	config = read_text(*state, "config");
	assert_non_null(strstr(config, "devices.allow = c 1:3 rw\n"));

	ct_section_set(section, "dev0", "/dev/no-such-device");
	assert_int_equal(write_conf(*state, section, &missing), -ENOENT);
	assert_string_equal(missing->message,
		"dev0: cannot use device '/dev/no-such-device': No such file or directory");

	ct_section_set(section, "dev0", "/dev/shm");
	assert_int_equal(write_conf(*state, section, &directory), -ENODEV);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tmpdir_set_up, tmpdir_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_files_are_written_and_removed),
		TEST(rules_that_are_not_needed_go_away),
		TEST(unchanged_files_are_not_touched),
		TEST(the_environment_is_not_for_everybody),
		TEST(devices_are_looked_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
