/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "agent/api/ctview.h"
#include "base/macro.h"

#define TEXT                                                               \
	"#notes%3A one\nhostname: a\nmemory: 512\nswap: 128\nlxc.x: 1\n\n" \
	"[pve:pending]\ndelete: swap\nhostname: b\ntags: t\n\n"            \
	"[before]\nhostname: old\nsnaptime: 1\n"

static int set_up(void **state)
{
	CtConfig *config = NULL;
	int r = ct_config_parse(TEXT, strlen(TEXT), false, &config, NULL, NULL);

	*state = config;
	return r;
}

static int tear_down(void **state)
{
	ct_config_free(*state);
	return 0;
}

static const char *text_of(json_t *view, const char *name)
{
	return json_string_value(json_object_get(view, name));
}

static void pending_changes_are_merged_in(void **state)
{
	CtConfig *config = *state;
	json_auto_t *view = ctview_config(config, ct_config_current(config), true, "d");

	assert_string_equal(text_of(view, "hostname"), "b");
	assert_string_equal(text_of(view, "memory"), "512");
	assert_string_equal(text_of(view, "tags"), "t");
	assert_string_equal(text_of(view, "digest"), "d");
	assert_null(json_object_get(view, "swap"));
	assert_null(json_object_get(view, "delete"));
}

static void current_values_can_be_had_without(void **state)
{
	CtConfig *config = *state;
	json_auto_t *view = ctview_config(config, ct_config_current(config), false, "d");

	assert_string_equal(text_of(view, "hostname"), "a");
	assert_string_equal(text_of(view, "swap"), "128");
	assert_null(json_object_get(view, "tags"));
}

static void snapshot_shows_its_own_values(void **state)
{
	CtConfig *config = *state;
	json_auto_t *view = ctview_config(config, ct_config_snapshot(config, "before"), false, "d");

	assert_string_equal(text_of(view, "hostname"), "old");
	assert_null(json_object_get(view, "memory"));
}

static void pending_lists_old_and_new_by_key(void **state)
{
	json_auto_t *view = ctview_pending(*state);
	const char *last = "";
	json_t *entry;
	size_t i;

	json_array_foreach(view, i, entry) {
		const char *key = text_of(entry, "key");

		assert_true(strcmp(last, key) < 0);
		last = key;
		if (str_equal(key, "hostname")) {
			assert_string_equal(text_of(entry, "value"), "a");
			assert_string_equal(text_of(entry, "pending"), "b");
		} else if (str_equal(key, "swap")) {
			assert_string_equal(text_of(entry, "value"), "128");
			assert_int_equal(json_integer_value(json_object_get(entry, "delete")), 1);
		} else if (str_equal(key, "tags")) {
			assert_null(text_of(entry, "value"));
			assert_string_equal(text_of(entry, "pending"), "t");
		}
	}
	assert_string_equal(last, "tags");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pending_changes_are_merged_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			current_values_can_be_had_without, set_up, tear_down),
		cmocka_unit_test_setup_teardown(snapshot_shows_its_own_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			pending_lists_old_and_new_by_key, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
