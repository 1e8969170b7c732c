/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/idmap.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static IdMap *from(bool unprivileged, const char *const *entries)
{
	g_autoptr(CtSection) section = ct_section_new();
	IdMap *map = NULL;

	ct_section_set(section, "unprivileged", unprivileged ? "1" : "0");
	for (; entries && *entries; entries++)
		ct_section_add_raw(section, "lxc.idmap", *entries);
	assert_int_equal(id_map_from_section(section, &map, NULL), 0);
	return map;
}

static void privileged_ids_are_the_hosts(void **state)
{
	g_autoptr(IdMap) map = from(false, NULL);
	uint32_t uid = 1, gid = 1;

	assert_true(id_map_is_host(map));
	assert_int_equal(id_map_root(map, &uid, &gid, NULL), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(gid, 0);
	assert_int_equal(id_map_to_host(map, ID_KIND_USER, 70000, &uid), 0);
	assert_int_equal(uid, 70000);
}

static void unprivileged_ids_start_at_100000(void **state)
{
	g_autoptr(IdMap) map = from(true, NULL);
	g_autofree char *proc = id_map_to_proc(map, ID_KIND_GROUP);
	uint32_t id = 0;

	assert_false(id_map_is_host(map));
	assert_string_equal(proc, "0 100000 65536\n");
	assert_int_equal(id_map_to_host(map, ID_KIND_USER, 65535, &id), 0);
	assert_int_equal(id, 165535);
	assert_int_equal(id_map_to_host(map, ID_KIND_USER, 65536, &id), -ENOENT);
	assert_int_equal(id_map_to_container(map, ID_KIND_USER, 100000, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(id_map_to_container(map, ID_KIND_USER, 99999, &id), -ENOENT);
}

static void own_entries_replace_the_default(void **state)
{
	static const char *const entries[] = {"u 1001 101001 64535", "u 0 100000 1000",
		"u  1000\t1000 1", "g 0 100000 65536", NULL};
	g_autoptr(IdMap) map = from(false, entries);
	const IdRange *ranges;
	unsigned n = 0;
	uint32_t id = 0;

	assert_false(id_map_is_host(map));
	ranges = id_map_ranges(map, ID_KIND_USER, &n);
	assert_int_equal(n, 3);
	assert_int_equal(ranges[1].container, 1000);
	assert_int_equal(id_map_to_host(map, ID_KIND_USER, 1000, &id), 0);
	assert_int_equal(id, 1000);
	assert_int_equal(id_map_to_host(map, ID_KIND_USER, 1001, &id), 0);
	assert_int_equal(id, 101001);
}

static void neighbours_become_one_range(void **state)
{
	static const char *const entries[] = {
		"u 10 110 5", "u 0 100 10", "g 0 100 10", "g 10 200 5", NULL};
	g_autoptr(IdMap) map = from(true, entries);
	g_autofree char *user = id_map_to_proc(map, ID_KIND_USER);
	g_autofree char *group = id_map_to_proc(map, ID_KIND_GROUP);

	assert_string_equal(user, "0 100 15\n");
	assert_string_equal(group, "0 100 10\n10 200 5\n");
}

static const struct {
	const char *entries[4];
	const char *reason;
} wrong[] = {
	{{"u 0 100000"}, "is not 'u' or 'g' and three numbers"},
	{{"b 0 100000 65536"}, "is not 'u' or 'g' and three numbers"},
	{{"u 0 100000 65536 9"}, "is not 'u' or 'g' and three numbers"},
	{{"u 0 -1 1"}, "is not 'u' or 'g' and three numbers"},
	{{""}, "is not 'u' or 'g' and three numbers"},
	{{"u 0 100000 0"}, "maps no id"},
	{{"u 0 4294967294 2"}, "ids that do not exist"},
	{{"u 0 100000 65536"}, "id map has no group ids"},
	{{"u 0 100 10", "u 9 200 10", "g 0 1 1"},
		"'u 0 100 10' and 'u 9 200 10' both map user id 9 of the container"},
	{{"u 0 0 1", "g 0 109 10", "g 10 100 10"},
		"'g 10 100 10' and 'g 0 109 10' both map group id 109 of the host"},
};

static void mistakes_are_named(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		unsigned n = g_strv_length((char **)wrong[i].entries);
		g_autoptr(GError) error = NULL;
		IdMap *map = NULL;

		assert_int_equal(id_map_parse(wrong[i].entries, n, &map, &error), -EINVAL);
		assert_null(map);
		if (!strstr(error->message, wrong[i].reason))
			fail_msg("'%s' does not say '%s'", error->message, wrong[i].reason);
	}
}

static void root_must_be_mapped(void **state)
{
	static const char *const entries[] = {"u 1 100000 5", "g 0 100000 5", NULL};
	g_autoptr(IdMap) map = from(true, entries);
	g_autoptr(GError) error = NULL;
	uint32_t uid = 7, gid = 7;

	assert_int_equal(id_map_root(map, &uid, &gid, &error), -EINVAL);
	assert_string_equal(error->message, "id map has no user id for root");
	assert_int_equal(uid, 7);
}

/* Checking all pairs of a thousand entries would show. */
static void many_entries_are_checked_quickly(void **state)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(IdMap) map = NULL;
	int64_t start_us = g_get_monotonic_time();

	g_ptr_array_add(entries, g_strdup("g 0 100000 65536"));
	for (unsigned i = 0; i < 1000; i++)
		g_ptr_array_add(entries, g_strdup_printf("u %u %u 1", i, 100000 + i));
	assert_int_equal(
		id_map_parse((const char *const *)entries->pdata, entries->len, &map, NULL), 0);
	assert_true(g_get_monotonic_time() - start_us < G_USEC_PER_SEC / 4);

	/* The same, but with gaps: too many for the kernel. */
	for (unsigned i = 1; i <= 1000; i++) {
		g_free(entries->pdata[i]);
		entries->pdata[i] = g_strdup_printf("u %u %u 1", 2 * i, 100000 + i);
	}
	g_clear_pointer(&map, id_map_free);
	assert_int_equal(
		id_map_parse((const char *const *)entries->pdata, entries->len, &map, NULL),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(privileged_ids_are_the_hosts),
		cmocka_unit_test(unprivileged_ids_start_at_100000),
		cmocka_unit_test(own_entries_replace_the_default),
		cmocka_unit_test(neighbours_become_one_range),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(root_must_be_mapped),
		cmocka_unit_test(many_entries_are_checked_quickly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
