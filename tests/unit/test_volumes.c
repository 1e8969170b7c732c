/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/volumes.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static void volumes_are_mounted_in_numeric_order(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	CtSection *section = ct_config_current(config);
	g_autoptr(GPtrArray) keys = NULL;

	ct_section_set(section, "mp10", "local:100/b,mp=/b");
	ct_section_set(section, "mp2", "local:100/a,mp=/a");
	ct_section_set(section, "rootfs", "local:100/r");
	ct_section_set(section, "unused0", "local:100/u");
	keys = ct_volume_keys(section);

	assert_int_equal(keys->len, 3);
	assert_string_equal(keys->pdata[0], "rootfs");
	assert_string_equal(keys->pdata[1], "mp2");
	assert_string_equal(keys->pdata[2], "mp10");
}

static void every_section_counts_and_each_volume_once(void **state)
{
	g_autoptr(CtConfig) config = ct_config_new();
	CtSection *section = ct_config_current(config);
	g_autoptr(GPtrArray) volids = NULL;

	ct_section_set(section, "rootfs", "local:100/r.raw,size=4G");
	ct_section_set(section, "mp0", "/srv/data,mp=/data");
	ct_section_set(section, "unused3", "local:100/u.raw");
	ct_section_set(section, "hostname", "local:100");
	ct_section_set(ct_config_pending(config), "mp1", "local:100/p.raw,mp=/p");
	ct_section_set(ct_config_add_snapshot(config, "s1"), "rootfs", "local:100/r.raw,size=4G");
	ct_section_set(ct_config_snapshot(config, "s1"), "mp5", "local:100/s.raw,mp=/s");
	volids = ct_volume_collect(config);

	assert_int_equal(volids->len, 4);
	assert_string_equal(volids->pdata[0], "local:100/r.raw");
	assert_string_equal(volids->pdata[1], "local:100/u.raw");
	assert_string_equal(volids->pdata[2], "local:100/p.raw");
	assert_string_equal(volids->pdata[3], "local:100/s.raw");
}

static void numbers_ask_for_new_volumes(void **state)
{
	static const struct {
		const char *volume, *storage;
		uint64_t size_bytes;
	} cases[] = {
		{"local:8", "local", 8ULL << 30},
		{"8", "fast", 8ULL << 30},
		{"local:0", "local", 0},
		{"local:0.5", "local", 512ULL << 20},
		{"local:0.0000015", "local", 1024},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(VolumeRequest) request = {0};
		bool is_request = false;

		assert_int_equal(
			volume_request_parse(cases[i].volume, "fast", &is_request, &request, NULL),
			0);
		assert_true(is_request);
		assert_string_equal(request.storage, cases[i].storage);
		assert_int_equal(request.size_bytes, cases[i].size_bytes);
	}
}

static void names_and_paths_are_no_requests(void **state)
{
	static const char *const volumes[] = {
		"local:100/vm-100-disk-0.raw",
		"local:vm-100-disk-0",
		"local:",
		"local:.5",
		"local:1.2.3",
		"/dev/sda1",
		"/8",
		"local:-1",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(volumes); i++) {
		g_auto(VolumeRequest) request = {0};
		bool is_request = true;

		assert_int_equal(
			volume_request_parse(volumes[i], "fast", &is_request, &request, NULL), 0);
		assert_false(is_request);
		assert_null(request.storage);
	}
}

static void absurd_size_is_refused(void **state)
{
	g_auto(VolumeRequest) request = {0};
	bool is_request;

	assert_int_equal(volume_request_parse(
				 "local:99999999999999999999", "x", &is_request, &request, NULL),
		-ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volumes_are_mounted_in_numeric_order),
		cmocka_unit_test(every_section_counts_and_each_volume_once),
		cmocka_unit_test(numbers_ask_for_new_volumes),
		cmocka_unit_test(names_and_paths_are_no_requests),
		cmocka_unit_test(absurd_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
