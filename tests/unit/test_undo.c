/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/undo.h"
#include "base/macro.h"
#include "tests/unit/test.h"

static void note_survives_the_way_to_disk(void **state)
{
	g_autoptr(Undo) undo = undo_new("create", "UPID:n1:1:2:3:vzcreate:100:root@pam:");
	g_autoptr(Undo) back = NULL;
	g_autofree char *text = NULL;

	g_ptr_array_add(undo->storages, g_strdup("local"));
	g_ptr_array_add(undo->volumes, g_strdup("local:100/vm-100-disk-0.raw"));
	g_ptr_array_add(undo->volumes, g_strdup("local:100/vm-100-disk-1.raw"));
	text = undo_to_text(undo);

	assert_int_equal(undo_from_text(text, &back), 0);
	assert_string_equal(back->kind, "create");
	assert_string_equal(back->upid, undo->upid);
	assert_int_equal(back->storages->len, 1);
	assert_string_equal(back->storages->pdata[0], "local");
	assert_int_equal(back->volumes->len, 2);
	assert_string_equal(back->volumes->pdata[1], "local:100/vm-100-disk-1.raw");
}

static void job_that_is_no_task_has_no_upid(void **state)
{
	g_autoptr(Undo) undo = undo_new("set", NULL);
	g_autoptr(Undo) back = NULL;
	g_autofree char *text = undo_to_text(undo);

	assert_int_equal(undo_from_text(text, &back), 0);
	assert_null(back->upid);
}

static void damaged_note_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"kind\":\"x\"}",
		"{\"kind\":1,\"upid\":null,\"storages\":[],\"volumes\":[]}",
		"{\"kind\":\"x\",\"upid\":null,\"storages\":[1],\"volumes\":[]}",
		"{\"kind\":\"x\",\"upid\":null,\"storages\":[],\"volumes\":{}}",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		Undo *undo = NULL;

		assert_int_equal(undo_from_text(texts[i], &undo), -EBADMSG);
		assert_null(undo);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(note_survives_the_way_to_disk),
		cmocka_unit_test(job_that_is_no_task_has_no_upid),
		cmocka_unit_test(damaged_note_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
