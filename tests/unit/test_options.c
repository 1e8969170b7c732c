/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/options.h"

#include "base/macro.h"
#include "tests/unit/test.h"

/* What a user may write, and what is stored; NULL: refused. */
static const struct {
	const char *key;
	const char *value;
	const char *canonical;
} cases[] = {
	{"arch", "amd64", "amd64"},
	{"arch", "sparc", NULL},
	{"cores", "0", NULL},
	{"cores", "8192", "8192"},
	{"cores", "8193", NULL},
	{"cpulimit", "0.5", "0.5"},
	{"cpulimit", "8193", NULL},
	{"cpuunits", "500001", NULL},
	{"dev3", "path=/dev/net/tun,mode=0666", "/dev/net/tun,mode=0666"},
	{"dev3", "/dev/null,gid=-1", NULL},
	{"dev255", "/dev/null", "/dev/null"},
	{"features", "nesting=yes,keyctl=1", "keyctl=1,nesting=1"},
	{"features", "rocket=1", NULL},
	{"hostname", "web.example", "web.example"},
	{"hostname", "we b", NULL},
	{"lock", "backup", "backup"},
	{"memory", "15", NULL},
	{"memory", "16", "16"},
	{"memory", "9223372036854775807", NULL},
	{"mp0", "mp=/srv,volume=local:4,size=4096M,ro=1", "local:4,mp=/srv,ro=1,size=4G"},
	{"mp0", "local:4", NULL},
	{"nameserver", "1.1.1.1,9.9.9.9", "1.1.1.1 9.9.9.9"},
	{"net0", "bridge=vmbr0,name=eth0,ip=dhcp", "name=eth0,bridge=vmbr0,ip=dhcp"},
	{"net0", "bridge=vmbr0", NULL},
	{"net0", "name=eth0,mtu=63", NULL},
	{"net0", "name=eth0,tag=4095", NULL},
	{"onboot", "on", "1"},
	{"ostype", "openeuler", NULL},
	{"rootfs", "local:8", "local:8"},
	{"rootfs", "local:8,mp=/", NULL},
	{"startup", "up=5,3", "3,up=5"},
	{"swap", "0", "0"},
	{"tags", "B,a", "a;b"},
	{"tty", "7", NULL},
};

static void options_are_checked_and_made_canonical(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const SchemaOption *option = schema_find(ct_options, cases[i].key, NULL);
		g_autofree char *canonical = NULL;
		int r;

		assert_non_null(option);
		r = schema_normalize(option, SCHEMA_INPUT, cases[i].value, &canonical, NULL);
		if (r != (cases[i].canonical ? 0 : -EINVAL))
			fail_msg("%s: '%s' gave %d", cases[i].key, cases[i].value, r);
		if (r == 0)
			assert_string_equal(canonical, cases[i].canonical);
	}
}

static void families_end_at_their_limits(void **state)
{
	static const char *const unknown[] = {
		"net32", "mp256", "unused256", "dev256", "net", "foo"};

	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
		assert_null(schema_find(ct_options, unknown[i], NULL));
}

/* A default that its own option refuses, or that is not canonical, would never compare equal. */
static void check_table(const SchemaOption *table)
{
	for (const SchemaOption *option = table; option->name; option++) {
		g_autofree char *canonical = NULL;

		assert_non_null(option->description);
		assert_false(g_str_has_suffix(option->description, "."));
		for (const SchemaOption *other = option + 1; other->name; other++)
			assert_string_not_equal(option->name, other->name);
		if (option->props)
			check_table(option->props);
		if (!option->default_value)
			continue;
		assert_int_equal(schema_normalize(option, SCHEMA_INPUT, option->default_value,
					 &canonical, NULL),
			0);
		assert_string_equal(canonical, option->default_value);
	}
}

static void tables_are_sound(void **state)
{
	check_table(ct_options);
}

static void ctids_are_numbers_in_range_without_leading_zero(void **state)
{
	static const char *const wrong[] = {"99", "0100", "1000000000", "abc", "", "-100", "+100",
		" 100", "100 ", "4294967396"};
	unsigned id = 0;

	assert_int_equal(ct_id_parse("100", &id, NULL), 0);
	assert_int_equal(id, 100);
	assert_int_equal(ct_id_parse("999999999", &id, NULL), 0);
	assert_int_equal(id, 999999999);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_int_equal(ct_id_parse(wrong[i], &id, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_checked_and_made_canonical),
		cmocka_unit_test(families_end_at_their_limits),
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(ctids_are_numbers_in_range_without_leading_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
