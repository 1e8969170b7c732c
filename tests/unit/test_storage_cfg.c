/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_cfg.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static GPtrArray *parse(const char *text, GPtrArray **ret_warnings)
{
	*ret_warnings = g_ptr_array_new_with_free_func(g_free);
	return storage_cfg_parse(text, *ret_warnings);
}

static void sections_have_type_id_and_properties(void **state)
{
	g_autoptr(GPtrArray) warnings = NULL;
	g_autoptr(GPtrArray) sections = parse("# a comment\n"
					      "dir: local\n"
					      "\tpath /var/lib/vz\n"
					      "\tcontent vztmpl,rootdir\n"
					      "\n"
					      "zfspool: tank\n"
					      "  disable\n"
					      "  pool rpool/data\n"
					      "  sparse yes\n",
		&warnings);
	const StorageSection *tank;

	assert_int_equal(warnings->len, 0);
	assert_int_equal(sections->len, 2);
	tank = sections->pdata[1];
	assert_string_equal(tank->type, "zfspool");
	assert_string_equal(tank->id, "tank");
	assert_string_equal(storage_section_get(tank, "disable"), "1");
	assert_string_equal(storage_section_get(tank, "sparse"), "1");
	assert_string_equal(storage_section_get(tank, "pool"), "rpool/data");
	assert_null(storage_section_get(tank, "content"));
}

static void what_was_printed_is_read_and_printed_the_same(void **state)
{
	static const char text[] = "dir: local\n"
				   "\tdisable\n"
				   "\tpath /var/lib/vz\n"
				   "\tcontent vztmpl,rootdir\n"
				   "\tshared 1\n"
				   "\n"
				   "future: x1\n"
				   "\tflag\n"
				   "\tspeed 7 or so\n"
				   "\n"
				   "nfs: pool\n"
				   "\texport /srv\n"
				   "\tpath /mnt/pool\n"
				   "\tserver 10.0.0.1\n"
				   "\toptions vers=4\n";
	g_autoptr(GPtrArray) warnings = NULL;
	g_autoptr(GPtrArray) sections = parse(text, &warnings);
	g_autofree char *printed = storage_cfg_print(sections);

	assert_string_equal(printed, text);
}

static void mistakes_are_reported(void **state)
{
	static const struct {
		const char *text;
		const char *warning;
		unsigned n_sections;
	} cases[] = {
		{"dir local\n\tpath /x\n", "line 1: 'dir local' is not TYPE: STORAGE", 0},
		{"dir: x\n", "line 1: 'dir: x' is not TYPE: STORAGE", 0},
		{"dir: -ab\n", "line 1: 'dir: -ab' is not TYPE: STORAGE", 0},
		{"\tpath /x\n", "line 1: 'path /x' belongs to no storage", 0},
		{"dir: aa\n\tpath /x\n\ndir: aa\n\tpath /y\n",
			"line 4: storage 'aa' is there twice", 1},
		{"dir: aa\n\tpath /x\n\tcolour red\n", "storage 'aa': unknown property 'colour'",
			1},
		{"dir: aa\n\tpath /x\n\tvgname v\n", "storage 'aa': unknown property 'vgname'", 1},
		{"dir: aa\n\tpath x\n",
			"storage 'aa': property 'path': 'x' is not an absolute path without dots",
			1},
		{"dir: aa\n\tpath /x/../y\n",
			"storage 'aa': property 'path': '/x/../y' is not an absolute path without "
			"dots",
			1},
		{"dir: aa\n\tpath /x\n\tcontent rootdir,music\n",
			"storage 'aa': property 'content': 'music' is not a content type", 1},
		{"dir: aa\n\tpath /x\n\tcontent-dirs vztmpl=a,iso=a\n",
			"storage 'aa': property 'content-dirs': directory 'a' is used twice", 1},
		{"dir: aa\n\tpath /x\n\tcontent-dirs vztmpl=/etc\n",
			"storage 'aa': property 'content-dirs': '/etc' is not a path below the "
			"storage's path",
			1},
		{"dir: aa\n\tpath /x\n\tpath /y\n",
			"storage 'aa': property 'path' is there twice, the last one counts", 1},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) warnings = NULL;
		g_autoptr(GPtrArray) sections = parse(cases[i].text, &warnings);

		assert_int_equal(warnings->len, 1);
		assert_string_equal(warnings->pdata[0], cases[i].warning);
		assert_int_equal(sections->len, cases[i].n_sections);
	}
}

static void a_value_that_fails_its_check_is_kept(void **state)
{
	g_autoptr(GPtrArray) warnings = NULL;
	g_autoptr(GPtrArray) sections = parse("dir: aa\n\tpath /x\n\tbwlimit fast\n", &warnings);

	assert_int_equal(warnings->len, 1);
	assert_string_equal(storage_section_get(sections->pdata[0], "bwlimit"), "fast");
}

static void there_is_a_limit_of_sections(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GPtrArray) warnings = NULL;
	g_autoptr(GPtrArray) sections = NULL;

	for (unsigned i = 0; i <= STORAGE_CFG_SECTIONS_MAX; i++)
		g_string_append_printf(text, "dir: s%u\n\tpath /x\n", i);
	sections = parse(text->str, &warnings);
	assert_int_equal(sections->len, STORAGE_CFG_SECTIONS_MAX);
	assert_int_equal(warnings->len, 1);
}

static void every_property_of_a_type_is_described(void **state)
{
	static const char *const types[] = {"btrfs", "dir", "lvm", "lvmthin", "nfs", "zfspool"};

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
		const StorageType *type = storage_type_find(types[i]);

		assert_non_null(type);
		for (unsigned k = 0; type->required[k]; k++)
			assert_non_null(schema_find(storage_properties, type->required[k], NULL));
		for (unsigned k = 0; type->optional[k]; k++)
			assert_non_null(schema_find(storage_properties, type->optional[k], NULL));
		assert_true(storage_type_has(type, "content"));
	}
	assert_null(storage_type_find("tape"));
}

static void content_lists_become_bits(void **state)
{
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);

	assert_int_equal(storage_content_parse("rootdir, vztmpl;iso", NULL),
		STORAGE_CONTENT_ROOTDIR | STORAGE_CONTENT_VZTMPL | STORAGE_CONTENT_ISO);
	assert_int_equal(storage_content_parse("none", unknown), 0);
	assert_int_equal(unknown->len, 0);
	assert_int_equal(storage_content_parse("x,backup", unknown), STORAGE_CONTENT_BACKUP);
	assert_int_equal(unknown->len, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_have_type_id_and_properties),
		cmocka_unit_test(what_was_printed_is_read_and_printed_the_same),
		cmocka_unit_test(mistakes_are_reported),
		cmocka_unit_test(a_value_that_fails_its_check_is_kept),
		cmocka_unit_test(there_is_a_limit_of_sections),
		cmocka_unit_test(every_property_of_a_type_is_described),
		cmocka_unit_test(content_lists_become_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
