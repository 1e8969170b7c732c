/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

static int load(void **state, const char *text, NodeConf **ret, GError **err)
{
	g_autofree char *path = g_build_filename(*state, "atoll.conf", NULL);

	assert_int_equal(file_replace(path, text, strlen(text), 0644), 0);
	return node_conf_load(path, ret, err);
}

static void a_missing_file_gives_the_defaults(void **state)
{
	g_autoptr(NodeConf) conf = NULL;

	assert_int_equal(node_conf_load("/no/such/file", &conf, NULL), 0);
	assert_string_equal(conf->cgroup_prefix, "");
	assert_int_equal(conf->file_max, 1 << 20);
	assert_int_equal(conf->tasks_max, 64);
}

static void keys_are_taken(void **state)
{
	g_autoptr(NodeConf) conf = NULL;

	assert_int_equal(load(state, "[container]\ncgroup-prefix = a/b\n[agent]\ntasks-max=3\n",
				 &conf, NULL),
		0);
	assert_string_equal(conf->cgroup_prefix, "a/b");
	assert_int_equal(conf->tasks_max, 3);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"[agent]\ntask-max=3\n", "unknown key 'task-max' in section [agent]"},
		{"[agent]\ntasks-max=0\n", "must be a number from 1 to 4096, not '0'"},
		{"[store]\nfile-max=big\n", "'file-max'"},
		{"nonsense", "atoll.conf"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		NodeConf *conf = NULL;

		assert_int_equal(load(state, cases[i].text, &conf, &error), -EINVAL);
		assert_null(conf);
		assert_non_null(strstr(error->message, cases[i].reason));
	}
}

static void a_node_name_has_no_dot(void **state)
{
	g_autofree char *name = node_name_dup();

	assert_true(*name);
	assert_null(strchr(name, '.'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_file_gives_the_defaults),
		cmocka_unit_test_setup_teardown(keys_are_taken, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			mistakes_are_named, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test(a_node_name_has_no_dot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
