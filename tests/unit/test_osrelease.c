/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/osrelease.h"

#include "base/macro.h"
#include "tests/unit/test.h"

static void values_are_read_by_their_quotes(void **state)
{
	static const char text[] = "NAME='a\\b'\n"
				   "PRETTY=\"x \\\"y\\\" \\\\z\"\n"
				   "ID=opensuse-leap\n"
				   "XID=other\n";
	static const char *const expected[][2] = {
		{"NAME", "a\\b"},
		{"PRETTY", "x \"y\" \\z"},
		{"ID", "opensuse"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
		g_autofree char *value = osrelease_dup_value(text, expected[i][0]);

		assert_string_equal(value, expected[i][1]);
	}
	assert_null(osrelease_dup_value(text, "VERSION_ID"));
}

static void ids_have_aliases(void **state)
{
	assert_string_equal(ostype_from_id("debian"), "debian");
	assert_string_equal(ostype_from_id("rocky"), "centos");
	assert_string_equal(ostype_from_id("openEuler"), "openeuler");
	assert_null(ostype_from_id("plan9"));
}

static void releases_are_checked(void **state)
{
	/* version NULL: refused.  warned: newer than what was tried. */
	static const struct {
		const char *ostype, *text, *version;
		bool warned;
	} cases[] = {
		{"debian", "12.5\n", "12", false},
		{"debian", "bookworm/sid\n", "12", false},
		{"debian", "stretch/sid\n", "9", false},
		{"debian", "kali-rolling\n", "12", false},
		{"debian", "15.0\n", "15", true},
		{"debian", "3.1\n", NULL, false},
		{"debian", "\n", NULL, false},
		{"debian", "woody/sid\n", NULL, false},
		{"devuan", "daedalus/ceres\n", "12", false},
		{"devuan", "jessie\n", "8", false},
		{"devuan", "freia\n", NULL, false},
		{"ubuntu", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n", "22.04", false},
		{"ubuntu", "DISTRIB_RELEASE=\"16.04\"\n", "16.04", false},
		{"ubuntu", "DISTRIB_RELEASE=14.07\n", NULL, false},
		{"ubuntu", "DISTRIB_RELEASE=26.04\n", "26.04", true},
		{"ubuntu", "DISTRIB_ID=Ubuntu\n", NULL, false},
		{"centos", "CentOS Linux release 7.9.2009 (Core)\n", "7.9.2009", false},
		{"centos", "AlmaLinux release 10.0 (x)\n", "10.0", false},
		{"centos", "CentOS release 4.9\n", NULL, false},
		{"centos", "Rocky Linux release 11\n", NULL, false},
		{"fedora", "ID=fedora\nVERSION_ID=42\n", "42", false},
		{"fedora", "VERSION_ID=21\n", NULL, false},
		{"openeuler", "VERSION_ID=\"24.03\"\n", "24.03", false},
		{"openeuler", "VERSION_ID=\"22.03\"\n", NULL, false},
		{"opensuse", "ID=opensuse-leap\nVERSION_ID=\"15.6\"\n", "15.6", false},
		{"opensuse", "VERSION_ID=\"42.3\"\n", "42.3", false},
		{"opensuse", "VERSION_ID=\"13.2\"\n", "13.2", false},
		{"opensuse", "VERSION_ID=\"12.3\"\n", NULL, false},
		{"opensuse", "ID=\"sles\"\nVERSION_ID=\"12.5\"\n", "12.5", false},
		{"opensuse", "VERSION_ID=\"20250101\"\n", "20250101", false},
		{"opensuse", "VERSION_ID=\"20160101\"\n", NULL, false},
		{"alpine", "3.20.1\n", "3.20.1", false},
		{"gentoo", "Gentoo Base System release 2.15\n", "2.15", false},
		{"gentoo", "something else\n", NULL, false},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
		g_autoptr(GError) error = NULL;
		g_autofree char *version = NULL;
		int r = ostype_version_file(cases[i].ostype)
				->parse(cases[i].text, &version, warnings, &error);

		if (!str_equal(version, cases[i].version))
			print_message("%s: '%s'\n", cases[i].ostype, cases[i].text);
		assert_true(str_equal(version, cases[i].version));
		assert_int_equal(r, cases[i].version ? 0 : -EINVAL);
		assert_int_equal(error != NULL, cases[i].version == NULL);
		assert_int_equal(warnings->len, cases[i].warned);
	}
}

static void types_without_release_have_no_file(void **state)
{
	assert_null(ostype_version_file("archlinux"));
	assert_null(ostype_version_file("unmanaged"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_by_their_quotes),
		cmocka_unit_test(ids_have_aliases),
		cmocka_unit_test(releases_are_checked),
		cmocka_unit_test(types_without_release_have_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
