/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "agent/api/api.h"
#include "agent/ct/options.h"
#include "agent/methods.h"
#include "base/macro.h"

static const ApiHandler *handler_of(const ApiMethod *method)
{
	static const ApiHandler *const tables[] = {
		api_cluster_handlers, api_ct_handlers, api_storage_handlers, api_task_handlers};

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		for (const ApiHandler *handler = tables[i]; handler->verb; handler++) {
			if (str_equal(handler->verb, method->verb) &&
				str_equal(handler->path, method->path))
				return handler;
		}
	}
	return NULL;
}

static void reads_have_handlers_and_the_others_jobs(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++) {
		bool is_read = method->kind == API_READ;

		assert_int_equal(handler_of(method) != NULL, is_read);
		assert_int_equal(method->job == NULL, is_read);
	}
}

static void every_handler_has_its_method(void **state)
{
	static const ApiHandler *const tables[] = {
		api_cluster_handlers, api_ct_handlers, api_storage_handlers, api_task_handlers};

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		for (const ApiHandler *handler = tables[i]; handler->verb; handler++) {
			const ApiMethod *method = api_method_find(handler->verb, handler->path);

			assert_non_null(method);
			assert_int_equal(method->kind, API_READ);
		}
	}
}

static void no_method_is_listed_twice(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++)
		assert_ptr_equal(api_method_find(method->verb, method->path), method);
}

static void everything_has_a_description(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++) {
		assert_true(method->description && *method->description);
		for (const SchemaOption *p = method->params; p && p->name; p++)
			assert_true(p->description && *p->description);
	}
}

/* The schema's defaults go through its own checks. */
static void defaults_are_canonical(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++) {
		for (const SchemaOption *p = method->params; p && p->name; p++) {
			g_autofree char *canonical = NULL;

			if (!p->default_value)
				continue;
			assert_int_equal(schema_normalize(p, SCHEMA_INPUT, p->default_value,
						 &canonical, NULL),
				0);
			assert_string_equal(canonical, p->default_value);
		}
	}
}

/* Which of the two would be meant? */
static void own_parameters_and_options_do_not_overlap(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++) {
		for (const SchemaOption *p = method->params; p && p->name && method->more; p++)
			assert_null(schema_find(method->more, p->name, NULL));
	}
}

static void parameters_of_paths_are_described(void **state)
{
	for (const ApiMethod *method = api_methods; method->verb; method++) {
		g_auto(GStrv) parts = g_strsplit_set(method->path, "{}", -1);

		/* Odd parts stood in braces. */
		for (size_t i = 1; i < g_strv_length(parts); i += 2)
			assert_non_null(schema_find(api_path_params, parts[i], NULL));
	}
}

static int check(const char *verb, const char *path, const char *param, const char *value)
{
	const ApiMethod *method = api_method_find(verb, path);
	const SchemaOption *option;
	g_autofree char *canonical = NULL;

	assert_non_null(method);
	option = schema_find(method->params, param, NULL);
	assert_non_null(option);
	return schema_normalize(option, SCHEMA_INPUT, value, &canonical, NULL);
}

static void values_are_checked(void **state)
{
	static const struct {
		const char *verb;
		const char *path;
		const char *param;
		const char *value;
		int r;
	} cases[] = {
		{"POST", "/nodes/{node}/lxc", "vmid", "100", 0},
		{"POST", "/nodes/{node}/lxc", "vmid", "99", -EINVAL},
		{"POST", "/nodes/{node}/lxc", "storage", "local-zfs", 0},
		{"POST", "/nodes/{node}/lxc", "storage", "l", -EINVAL},
		{"POST", "/nodes/{node}/lxc", "storage", "../x", -EINVAL},
		{"PUT", "/nodes/{node}/lxc/{vmid}/config", "digest", "0123456789abcdef", 0},
		{"PUT", "/nodes/{node}/lxc/{vmid}/config", "digest", "xyz", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/exec", "command", "[\"id\"]", 0},
		{"GET", "/nodes/{node}/lxc/{vmid}/exec", "command", "[]", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/exec", "command", "[1]", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/exec", "command", "id", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/exec", "rows", "70000", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/console", "escape", "^a", 0},
		{"GET", "/nodes/{node}/lxc/{vmid}/console", "escape", "b", 0},
		{"GET", "/nodes/{node}/lxc/{vmid}/console", "escape", "^", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/console", "escape", "ab", -EINVAL},
		{"GET", "/nodes/{node}/lxc/{vmid}/config", "snapshot", "before", 0},
		{"GET", "/nodes/{node}/lxc/{vmid}/config", "snapshot", "1st", -EINVAL},
		{"POST", "/nodes/{node}/lxc/{vmid}/status/shutdown", "timeout", "-1", -EINVAL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(
			check(cases[i].verb, cases[i].path, cases[i].param, cases[i].value),
			cases[i].r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_have_handlers_and_the_others_jobs),
		cmocka_unit_test(every_handler_has_its_method),
		cmocka_unit_test(no_method_is_listed_twice),
		cmocka_unit_test(everything_has_a_description),
		cmocka_unit_test(defaults_are_canonical),
		cmocka_unit_test(own_parameters_and_options_do_not_overlap),
		cmocka_unit_test(parameters_of_paths_are_described),
		cmocka_unit_test(values_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
