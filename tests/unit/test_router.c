/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/api/router.h"
#include "base/macro.h"

static const SchemaOption start_params[] = {
	{.name = "debug", .type = SCHEMA_BOOLEAN},
	{.name = "secret", .type = SCHEMA_STRING, .flags = SCHEMA_HIDDEN},
	{0},
};

static const SchemaOption create_params[] = {
	{.name = "ostemplate", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED},
	{0},
};

static const SchemaOption options[] = {
	{.name = "memory", .type = SCHEMA_INTEGER, .limited = true, .min = 16, .max = 1e9},
	{.name = "net", .type = SCHEMA_STRING, .n_index = 32},
	{0},
};

static const ApiMethod table[] = {
	{"GET", "/nodes", API_READ, NULL, NULL, NULL, ""},
	{"POST", "/nodes/{node}/lxc", API_TASK, "create", create_params, options, ""},
	{"POST", "/nodes/{node}/lxc/{vmid}/status/start", API_TASK, "start", start_params, NULL,
		""},
	{"GET", "/nodes/{node}/storage/{storage}/content/{volume}", API_READ, NULL, NULL, NULL, ""},
	{0},
};

static int match(const char *verb, const char *path, const ApiMethod **ret_method, json_t **ret)
{
	g_autoptr(GError) err = NULL;
	int r = router_match(table, verb, path, ret_method, ret, &err);

	assert_true((r < 0) == (err != NULL));
	return r;
}

static const char *text_of(json_t *params, const char *name)
{
	return json_string_value(json_object_get(params, name));
}

static void path_without_parameters_is_found(void **state)
{
	json_auto_t *params = NULL;
	const ApiMethod *method;

	assert_int_equal(match("GET", "/nodes", &method, &params), 0);
	assert_ptr_equal(method, &table[0]);
	assert_int_equal(json_object_size(params), 0);
}

static void parameters_are_taken_from_path(void **state)
{
	json_auto_t *params = NULL;
	const ApiMethod *method;

	assert_int_equal(match("POST", "/nodes/n1/lxc/100/status/start", &method, &params), 0);
	assert_ptr_equal(method, &table[2]);
	assert_string_equal(text_of(params, "node"), "n1");
	assert_string_equal(text_of(params, "vmid"), "100");
}

static void encoded_slash_stays_in_its_parameter(void **state)
{
	json_auto_t *params = NULL;
	const ApiMethod *method;

	assert_int_equal(match("GET", "/nodes/n1/storage/local/content/local%3Avztmpl%2Fx.tar.gz",
				 &method, &params),
		0);
	assert_string_equal(text_of(params, "volume"), "local:vztmpl/x.tar.gz");
}

static void wrong_paths_are_refused(void **state)
{
	static const struct {
		const char *verb;
		const char *path;
		int r;
	} cases[] = {
		{"GET", "", -ENOENT},
		{"GET", "nodes", -ENOENT},
		{"GET", "/", -ENOENT},
		{"GET", "/nodes/", -ENOENT},
		{"GET", "//nodes", -ENOENT},
		{"GET", "/nodes/n1/lxc/100", -ENOENT},
		{"POST", "/nodes//lxc", -ENOENT},
		{"POST", "/nodes/n1/lxc/", -ENOENT},
		{"DELETE", "/nodes", -EOPNOTSUPP},
		{"get", "/nodes", -EOPNOTSUPP},
		{"POST", "/nodes/n1/lxc/99/status/start", -EINVAL},
		{"POST", "/nodes/n1/lxc/0100/status/start", -EINVAL},
		{"POST", "/nodes/n1/lxc/1000000000/status/start", -EINVAL},
		{"POST", "/nodes/../lxc", -EINVAL},
		{"POST", "/nodes/n%001/lxc", -EINVAL},
		{"POST", "/nodes/n%2F1/lxc", -EINVAL},
		{"POST", "/nodes/n%ff/lxc", -EINVAL},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const ApiMethod *method = NULL;
		json_t *params = NULL;

		assert_int_equal(match(cases[i].verb, cases[i].path, &method, &params), cases[i].r);
		assert_null(method);
		assert_null(params);
	}
}

static void values_become_canonical(void **state)
{
	json_auto_t *given = json_pack(
		"{s:s, s:s, s:s}", "ostemplate", "x", "memory", "0512", "net31", "name=eth0");
	json_auto_t *params = json_pack("{s:s}", "node", "n1");
	json_auto_t *errors = NULL;

	assert_int_equal(router_check(&table[1], given, params, &errors, NULL), 0);
	assert_null(errors);
	assert_int_equal(json_object_size(params), 4);
	assert_string_equal(text_of(params, "node"), "n1");
	assert_string_equal(text_of(params, "net31"), "name=eth0");
}

static void every_wrong_parameter_gets_its_reason(void **state)
{
	json_auto_t *given = json_pack(
		"{s:s, s:s, s:s, s:s}", "memory", "1", "net32", "x", "what", "y", "node", "n2");
	json_auto_t *params = json_pack("{s:s}", "node", "n1");
	json_auto_t *errors = NULL;
	g_autoptr(GError) err = NULL;

	assert_int_equal(router_check(&table[1], given, params, &errors, &err), -EINVAL);
	assert_int_equal(json_object_size(errors), 5);
	assert_non_null(text_of(errors, "ostemplate"));
	assert_non_null(text_of(errors, "memory"));
	assert_non_null(text_of(errors, "net32"));
	assert_non_null(text_of(errors, "what"));
	assert_non_null(text_of(errors, "node"));
	assert_int_equal(json_object_size(params), 1);
	assert_string_equal(text_of(params, "node"), "n1");
}

static void hidden_option_is_refused(void **state)
{
	json_auto_t *given = json_pack("{s:s}", "secret", "1");
	json_auto_t *params = json_object();
	json_auto_t *errors = NULL;

	assert_int_equal(router_check(&table[2], given, params, &errors, NULL), -EINVAL);
	assert_non_null(text_of(errors, "secret"));
}

static void method_without_parameters_takes_none(void **state)
{
	json_auto_t *given = json_pack("{s:s}", "x", "1");
	json_auto_t *params = json_object();
	json_auto_t *errors = NULL;

	assert_int_equal(router_check(&table[0], given, params, &errors, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_without_parameters_is_found),
		cmocka_unit_test(parameters_are_taken_from_path),
		cmocka_unit_test(encoded_slash_stays_in_its_parameter),
		cmocka_unit_test(wrong_paths_are_refused),
		cmocka_unit_test(values_become_canonical),
		cmocka_unit_test(every_wrong_parameter_gets_its_reason),
		cmocka_unit_test(hidden_option_is_refused),
		cmocka_unit_test(method_without_parameters_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
