/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

struct fixture {
	void *directory; /* Of tmpdir_set_up(). */
	char *target;
	ReplicaBatch *batch;
	ExportCounts counts;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	if (tmpdir_set_up(&f->directory) < 0)
		return -1;
	f->target = g_build_filename(f->directory, "out", NULL);
	f->batch = replica_batch_new();
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r = tmpdir_tear_down(&f->directory);

	replica_batch_free(f->batch);
	g_free(f->target);
	g_free(f);
	return r;
}

static void add_directory(struct fixture *f, uint64_t inode, uint64_t parent, const char *name)
{
	replica_batch_add_row(f->batch, inode, parent, inode, 1, 1234567890, true, name, NULL);
}

static void add_file(struct fixture *f, uint64_t inode, uint64_t parent, const char *name)
{
	g_autoptr(GBytes) data = g_bytes_new(name, strlen(name));

	replica_batch_add_row(f->batch, inode, parent, inode, 1, 1234567890, false, name, data);
}

static int run(struct fixture *f)
{
	return export_tree(f->batch, f->target, &f->counts, NULL);
}

/* Whether the file is there, with its name as its content. */
static bool has(const struct fixture *f, const char *path, const char *content)
{
	g_autofree char *full = g_build_filename(f->target, path, NULL);
	g_autofree char *found = NULL;

	return file_read(full, 4096, &found, NULL) == 0 && str_equal(found, content);
}

static void files_come_with_content_mode_and_time(void **state)
{
	struct fixture *f = *state;
	g_autofree char *path = g_build_filename(f->target, "d/e/name\n\xff", NULL);
	struct stat st;

	/* Children may come before their parents. */
	add_file(f, 1, 3, "name\n\xff");
	add_directory(f, 2, 0, "d");
	add_directory(f, 3, 2, "e");
	assert_int_equal(run(f), 0);
	assert_true(has(f, "d/e/name\n\xff", "name\n\xff"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_mtime, 1234567890);
	assert_int_equal(f->counts.n_files, 1);
	assert_int_equal(f->counts.n_directories, 2);
	assert_int_equal(f->counts.n_lost, 0);
}

static void only_an_empty_directory_is_filled(void **state)
{
	struct fixture *f = *state;

	add_file(f, 1, 0, "a");
	assert_int_equal(run(f), 0);
	assert_int_equal(run(f), -ENOTEMPTY);
}

static void names_lead_nowhere_else(void **state)
{
	static const char *const names[] = {"..", ".", "../a", "/etc/a", "d/../../a", ""};
	struct fixture *f = *state;

	add_directory(f, 1, 0, "..");
	add_file(f, 2, 1, "below");
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		add_file(f, 10 + i, 0, names[i]);
	assert_int_equal(run(f), 0);
	assert_int_equal(f->counts.n_lost, G_N_ELEMENTS(names) + 2);
	assert_true(has(f, "lost+found/2", "below"));
	assert_true(has(f, "lost+found/12", "../a"));
}

static void what_has_no_place_is_not_lost(void **state)
{
	struct fixture *f = *state;

	add_file(f, 1, 99, "orphan");
	add_directory(f, 2, 3, "circle");
	add_directory(f, 3, 2, "circle");
	add_file(f, 4, 3, "in the circle");
	add_file(f, 5, 0, "file");
	add_file(f, 6, 5, "below a file");
	add_file(f, 7, 0, "twice");
	add_file(f, 8, 0, "twice");
	assert_int_equal(run(f), 0);
	assert_true(has(f, "lost+found/1", "orphan"));
	assert_true(has(f, "lost+found/4", "in the circle"));
	assert_true(has(f, "lost+found/6", "below a file"));
	assert_true(has(f, "twice", "twice"));
	assert_true(has(f, "lost+found/8", "twice"));
	assert_int_equal(f->counts.n_lost, 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			files_come_with_content_mode_and_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			only_an_empty_directory_is_filled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_lead_nowhere_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_no_place_is_not_lost, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
