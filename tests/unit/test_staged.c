/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/staged.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static CtConfig *parse(const char *text)
{
	CtConfig *config = NULL;

	assert_int_equal(ct_config_parse(text, strlen(text), false, &config, NULL, NULL), 0);
	return config;
}

static char *print(const CtConfig *config)
{
	char *text = NULL;

	assert_int_equal(ct_config_print(config, &text, NULL), 0);
	return text;
}

static char *join(const GPtrArray *texts)
{
	GString *joined = g_string_new(NULL);

	for (unsigned i = 0; i < texts->len; i++)
		g_string_append_printf(
			joined, "%s%s", i > 0 ? " " : "", (char *)g_ptr_array_index(texts, i));
	return g_string_free(joined, FALSE);
}

/* Configurations before and after their pending changes are applied, and the volumes that are to be
 * freed. */
static const struct {
	const char *name;
	const char *before;
	bool running;
	const char *after;
	const char *freed;
} cases[] = {
	{"values replace values", "memory: 64\n[pve:pending]\nmemory: 128\nswap: 1\n", false,
		"memory: 128\nswap: 1\n", ""},
	{"deletes delete", "swap: 5\ntags: a\n[pve:pending]\ndelete: swap,tags\n", false, "", ""},
	{"a deleted mount point becomes unused",
		"mp0: local:100/a.raw,mp=/a\nunused0: local:100/z.raw\n[pve:pending]\ndelete: mp0\n",
		false, "unused0: local:100/z.raw\nunused1: local:100/a.raw\n", ""},
	{"a forced one is freed", "mp0: local:100/a.raw,mp=/a\n[pve:pending]\ndelete: !mp0\n",
		false, "", "local:100/a.raw"},
	{"directories are neither kept nor freed",
		"mp0: /srv,mp=/a\nmp1: /x,mp=/b\n[pve:pending]\ndelete: mp0,!mp1\n", false, "", ""},
	{"a volume that is mounted twice stays",
		"mp0: local:100/a.raw,mp=/a\nmp1: local:100/a.raw,mp=/b\n[pve:pending]\ndelete: "
		"!mp0\n",
		false, "mp1: local:100/a.raw,mp=/b\n", ""},
	{"a deleted unused volume is freed",
		"unused3: local:100/a.raw\n[pve:pending]\ndelete: unused3\n", false, "",
		"local:100/a.raw"},
	{"but not while a snapshot has it",
		"unused3: local:100/a.raw\n[pve:pending]\ndelete: unused3\n[s1]\nmp0: "
		"local:100/a.raw,mp=/a\n",
		false, "\n[s1]\nmp0: local:100/a.raw,mp=/a\n", ""},
	{"nor while a pending value has it",
		"unused3: local:100/a.raw\n[pve:pending]\ndelete: unused3\nmp0: "
		"local:100/a.raw,mp=/a\n",
		false, "mp0: local:100/a.raw,mp=/a\n", ""},
	{"a replaced volume becomes unused",
		"mp0: local:100/a.raw,mp=/a\n[pve:pending]\nmp0: local:100/b.raw,mp=/a\n", false,
		"mp0: local:100/b.raw,mp=/a\nunused0: local:100/a.raw\n", ""},
	{"a volume with other flags is not replaced",
		"mp0: local:100/a.raw,mp=/a\n[pve:pending]\nmp0: local:100/a.raw,mp=/b\n", false,
		"mp0: local:100/a.raw,mp=/b\n", ""},
	{"volumes can change places",
		"mp0: local:100/a.raw,mp=/a\nmp1: local:100/b.raw,mp=/b\n[pve:pending]\nmp0: "
		"local:100/b.raw,mp=/a\nmp1: local:100/a.raw,mp=/b\n",
		false, "mp0: local:100/b.raw,mp=/a\nmp1: local:100/a.raw,mp=/b\n", ""},
	{"a running container takes configuration only",
		"hostname: a\nmemory: 64\nmp0: local:100/a.raw,mp=/a\nunused1: "
		"local:100/u.raw\n[pve:pending]\ndelete: mp0,unused1\nhostname: b\nmemory: 128\n",
		true,
		"hostname: b\nmemory: 64\nmp0: local:100/a.raw,mp=/a\n\n[pve:pending]\ndelete: "
		"mp0\nmemory: 128\n",
		"local:100/u.raw"},
	{"what is already so is dropped",
		"memory: 64\nnet0: name=a,bridge=b\n[pve:pending]\ndelete: tags\nmemory: 64\nnet0: "
		"bridge=b,name=a\n",
		true, "memory: 64\nnet0: name=a,bridge=b\n", ""},
};

static void pending_changes_are_applied(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(CtConfig) config = parse(cases[i].before);
		g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);
		g_autoptr(GError) error = NULL;
		g_autofree char *after = NULL;
		g_autofree char *volumes = NULL;

		if (ct_staged_apply(config, cases[i].running, freed, &error) < 0)
			fail_msg("%s: %s", cases[i].name, error->message);
		after = print(config);
		volumes = join(freed);
		if (!str_equal(after, cases[i].after) || !str_equal(volumes, cases[i].freed))
			fail_msg("%s:\n%s(%s)", cases[i].name, after, volumes);
	}
}

static void requests_must_be_fulfilled_first(void **state)
{
	g_autoptr(CtConfig) config =
		parse("memory: 64\n[pve:pending]\nmemory: 32\nmp1: local:0.5,mp=/a,size=9G\n");
	g_autofree char *before = print(config);
	g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) requests = ct_staged_requests(config);
	g_autoptr(GError) error = NULL;
	g_autofree char *keys = join(requests);
	g_autofree char *refused = NULL;
	g_autofree char *after = NULL;

	assert_string_equal(keys, "mp1");
	assert_int_equal(ct_staged_apply(config, false, freed, &error), -EINVAL);
	refused = print(config);
	assert_string_equal(refused, before);

	ct_staged_fulfil(config, "mp1", "local:100/vm-100-disk-1.raw", 512 * 1024 * 1024);
	assert_int_equal(ct_staged_apply(config, false, freed, NULL), 0);
	after = print(config);
	assert_string_equal(
		after, "memory: 32\nmp1: local:100/vm-100-disk-1.raw,mp=/a,size=512M\n");
}

static void without_a_free_slot_nothing_changes(void **state)
{
	g_autoptr(CtConfig) config = parse("mp0: local:a,mp=/a\n[pve:pending]\ndelete: mp0\n");
	g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < 256; i++) {
		g_autofree char *key = g_strdup_printf("unused%u", i);
		g_autofree char *volume = g_strdup_printf("local:u%u", i);

		ct_section_set(ct_config_current(config), key, volume);
	}
	assert_int_equal(ct_staged_apply(config, false, freed, NULL), -ENOSPC);
	assert_non_null(ct_section_get(ct_config_current(config), "mp0"));
	assert_true(ct_staged_is_deleted(ct_config_pending(config), "mp0"));
}

static void an_option_is_set_or_deleted_never_both(void **state)
{
	g_autoptr(CtSection) pending = ct_section_new();

	ct_staged_delete(pending, "swap", false);
	ct_staged_delete(pending, "mp1", true);
	ct_staged_delete(pending, "mp1", true);
	assert_string_equal(ct_section_get(pending, "delete"), "!mp1,swap");
	assert_true(ct_staged_is_forced(pending, "mp1"));
	assert_false(ct_staged_is_forced(pending, "swap"));

	ct_staged_set(pending, "swap", "5");
	assert_false(ct_staged_is_deleted(pending, "swap"));
	ct_staged_delete(pending, "swap", false);
	assert_null(ct_section_get(pending, "swap"));

	ct_staged_revert(pending, "swap");
	ct_staged_revert(pending, "mp1");
	assert_true(ct_section_is_empty(pending));
}

static void the_merged_view_shows_what_will_be(void **state)
{
	g_autoptr(CtConfig) config =
		parse("memory: 64\nswap: 1\ntags: a\n[pve:pending]\ndelete: tags\nmemory: "
		      "128\n");
	g_autoptr(CtSection) merged = ct_staged_dup_merged(config);
	g_autoptr(GPtrArray) keys = ct_section_keys(merged);
	g_autofree char *names = join(keys);

	assert_string_equal(names, "memory swap");
	assert_string_equal(ct_section_get(merged, "memory"), "128");
	assert_string_equal(ct_section_get(ct_config_current(config), "memory"), "64");
}

static void requests_are_sizes(void **state)
{
	static const char *const good[] = {"local:8", "local:0", "local:0.5", "8", "0.25"};
	static const char *const wrong[] = {"local:8G", "local:100/x.raw", "/srv", "local:8.",
		"local:.5", "local:", "local:1.2.3"};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		assert_true(ct_volume_is_request(good[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_false(ct_volume_is_request(wrong[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pending_changes_are_applied),
		cmocka_unit_test(requests_must_be_fulfilled_first),
		cmocka_unit_test(without_a_free_slot_nothing_changes),
		cmocka_unit_test(an_option_is_set_or_deleted_never_both),
		cmocka_unit_test(the_merged_view_shows_what_will_be),
		cmocka_unit_test(requests_are_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
