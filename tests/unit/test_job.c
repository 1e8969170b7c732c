/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/job.h"
#include "base/macro.h"

static int run_nothing(Job *job, json_t **ret_result, GError **err)
{
	return 0;
}

static const JobType first[] = {{"a", run_nothing}, {"b", run_nothing}, {0}};
static const JobType second[] = {{"c", run_nothing}, {0}};
static const JobType *const tables[] = {first, second, NULL};

static void type_is_found_in_any_table(void **state)
{
	assert_ptr_equal(job_type_find(tables, "b"), &first[1]);
	assert_ptr_equal(job_type_find(tables, "c"), &second[0]);
	assert_null(job_type_find(tables, "d"));
}

static void job_is_read_from_json(void **state)
{
	json_auto_t *root =
		json_pack("{s:s, s:i, s:s, s:s, s:s, s:{s:s}}", "type", "vzstart", "vmid", 100,
			"node", "n1", "user", "root@pam", "upid", "UPID:…", "params", "debug", "1");
	Job job;

	assert_int_equal(job_from_json(root, &job, NULL), 0);
	assert_string_equal(job.type, "vzstart");
	assert_int_equal(job.vmid, 100);
	assert_string_equal(job.upid, "UPID:…");
	assert_true(job_param_boolean(&job, "debug", false));
	assert_false(job_aborted(&job));
}

static void job_without_container_and_task_is_fine(void **state)
{
	json_auto_t *root = json_pack(
		"{s:s, s:s, s:s, s:{}}", "type", "x", "node", "n1", "user", "root@pam", "params");
	Job job;

	assert_int_equal(job_from_json(root, &job, NULL), 0);
	assert_int_equal(job.vmid, 0);
	assert_null(job.upid);
}

static void incomplete_jobs_are_refused(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"{\"type\": \"x\", \"node\": \"n\", \"user\": \"u\"}",
		"{\"type\": \"x\", \"node\": \"n\", \"user\": \"u\", \"params\": []}",
		"{\"type\": 1, \"node\": \"n\", \"user\": \"u\", \"params\": {}}",
		"{\"type\": \"x\", \"node\": \"n\", \"user\": \"u\", \"params\": {}, \"vmid\": -1}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		json_auto_t *root = json_loads(texts[i], 0, NULL);
		g_autoptr(GError) err = NULL;
		Job job;

		assert_non_null(root);
		assert_int_equal(job_from_json(root, &job, &err), -EINVAL);
		assert_non_null(err);
	}
}

static void parameters_fall_back(void **state)
{
	json_auto_t *params = json_pack("{s:s, s:s, s:s}", "n", "12", "bad", "12x", "no", "0");
	Job job = {.params = params};

	assert_int_equal(job_param_integer(&job, "n", 5), 12);
	assert_int_equal(job_param_integer(&job, "bad", 5), 5);
	assert_int_equal(job_param_integer(&job, "none", 5), 5);
	assert_false(job_param_boolean(&job, "no", true));
	assert_true(job_param_boolean(&job, "none", true));
	assert_null(job_param(&job, "none"));
}

static void warnings_of_a_request_are_kept(void **state)
{
	json_auto_t *warnings = json_array();
	Job job = {.warnings = warnings};

	job_warn(&job, "volume %d", 1);
	job_warn(&job, "volume %d", 2);
	assert_int_equal(job.n_warnings, 2);
	assert_string_equal(json_string_value(json_array_get(warnings, 1)), "volume 2");
}

static void what_a_guest_wrote_does_not_reach_the_terminal(void **state)
{
	json_auto_t *warnings = json_array();
	Job job = {.warnings = warnings};

	job_warn(&job, "strange name '%s'", "\033]0;x\007\nTASK OK\tä");
	assert_string_equal(
		json_string_value(json_array_get(warnings, 0)), "strange name '?]0;x? TASK OK\tä'");
}

static void abort_is_seen(void **state)
{
	volatile sig_atomic_t aborted = 0;
	Job job = {.aborted = &aborted};
	g_autoptr(GError) err = NULL;

	assert_false(job_aborted(&job));
	aborted = 1;
	assert_true(job_aborted(&job));
	assert_int_equal(job_abort_error(&job, &err), -ECANCELED);
	assert_non_null(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(type_is_found_in_any_table),
		cmocka_unit_test(job_is_read_from_json),
		cmocka_unit_test(job_without_container_and_task_is_fine),
		cmocka_unit_test(incomplete_jobs_are_refused),
		cmocka_unit_test(parameters_fall_back),
		cmocka_unit_test(warnings_of_a_request_are_kept),
		cmocka_unit_test(what_a_guest_wrote_does_not_reach_the_terminal),
		cmocka_unit_test(abort_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
