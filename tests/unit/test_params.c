/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "agent/api/params.h"
#include "base/macro.h"

static int set_up(void **state)
{
	*state = json_object();
	return 0;
}

static int tear_down(void **state)
{
	json_decref(*state);
	return 0;
}

static int add_form(json_t *params, const char *text)
{
	g_autoptr(GError) err = NULL;
	int r = params_add_form(params, text, strlen(text), &err);

	assert_true((r < 0) == (err != NULL));
	return r;
}

static int add_json(json_t *params, const char *text)
{
	g_autoptr(GError) err = NULL;
	int r = params_add_json(params, text, strlen(text), &err);

	assert_true((r < 0) == (err != NULL));
	return r;
}

static const char *text_of(json_t *params, const char *name)
{
	return json_string_value(json_object_get(params, name));
}

static void form_is_decoded(void **state)
{
	json_t *params = *state;

	assert_int_equal(add_form(params, "a=1&b=x%20y+z&net0=name%3Deth0%2Cbridge=vmbr0&&c"), 0);
	assert_int_equal(json_object_size(params), 4);
	assert_string_equal(text_of(params, "a"), "1");
	assert_string_equal(text_of(params, "b"), "x y z");
	assert_string_equal(text_of(params, "net0"), "name=eth0,bridge=vmbr0");
	assert_string_equal(text_of(params, "c"), "");
}

static void empty_form_adds_nothing(void **state)
{
	assert_int_equal(add_form(*state, ""), 0);
	assert_int_equal(json_object_size(*state), 0);
}

static void broken_forms_are_refused(void **state)
{
	static const char *const texts[] = {"a=%", "a=%zz", "a=%00", "%00=1", "a=%ff", "a=1&a=2"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		json_auto_t *params = json_object();

		assert_int_equal(add_form(params, texts[i]), -EINVAL);
	}
	assert_int_equal(params_add_form(*state, "a=\0b", 4, NULL), -EINVAL);
}

static void json_values_become_text(void **state)
{
	json_t *params = *state;

	assert_int_equal(
		add_json(params, "{\"s\": \"x\", \"i\": 5, \"t\": true, \"f\": false, \"r\": 1.5,"
				 "\"a\": [\"id\", \"-u\"]}"),
		0);
	assert_string_equal(text_of(params, "s"), "x");
	assert_string_equal(text_of(params, "i"), "5");
	assert_string_equal(text_of(params, "t"), "1");
	assert_string_equal(text_of(params, "f"), "0");
	assert_string_equal(text_of(params, "r"), "1.5");
	assert_string_equal(text_of(params, "a"), "[\"id\",\"-u\"]");
}

static void broken_json_is_refused(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "1", "{\"a\": null}", "{\"a\": {}}",
		"{\"a\": 1, \"a\": 2}", "{\"a\": \"\\u0000\"}", "{} x"};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		json_auto_t *params = json_object();

		assert_int_equal(add_json(params, texts[i]), -EINVAL);
	}
}

static void number_of_parameters_is_limited(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (int i = 0; i < PARAMS_MAX; i++)
		g_string_append_printf(text, "&p%d=", i);
	assert_int_equal(add_form(*state, text->str), 0);
	assert_int_equal(add_form(*state, "one=more"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(form_is_decoded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_form_adds_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_forms_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(json_values_become_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_json_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(number_of_parameters_is_limited, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
