/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/template.h"

#include "base/err.h"
#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

struct fixture {
	char *path;
	char *file; /* The one template. */
	StorageSet *set;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);
	g_autofree char *directory = NULL;
	g_autofree char *text = NULL;

	if (tmpdir_set_up((void **)&f->path) < 0)
		return -1;
	directory = g_build_filename(f->path, "template", "cache", NULL);
	f->file = g_build_filename(directory, "box.tar", NULL);
	text = g_strdup_printf("dir: data\n\tpath %s\n\tcontent vztmpl\n\n"
			       "dir: disks\n\tpath /d\n\tcontent rootdir\n",
		f->path);
	f->set = storage_set_parse(text, NULL);
	*state = f;
	return file_mkdir_all(directory, 0755) < 0 || file_replace(f->file, "x", 1, 0644) < 0 ? -1
											      : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r = tmpdir_tear_down((void **)&f->path);

	storage_set_free(f->set);
	g_free(f->file);
	g_free(f);
	return r;
}

static void a_template_is_found_by_id_and_by_path(void **state)
{
	struct fixture *f = *state;
	g_autofree char *by_id = NULL;
	g_autofree char *by_path = NULL;

	assert_int_equal(template_find(f->set, "data:vztmpl/box.tar", "n1", &by_id, NULL), 0);
	assert_string_equal(by_id, f->file);
	assert_int_equal(template_find(f->set, f->file, "n1", &by_path, NULL), 0);
	assert_string_equal(by_path, f->file);
}

static void what_is_no_template_is_refused(void **state)
{
	static const struct {
		const char *template;
		int r;
		const char *reason;
	} cases[] = {
		{"data:vztmpl/nosuch.tar", -ENOENT, "no such template: 'data:vztmpl/nosuch.tar'"},
		{"/nosuch.tar", -ENOENT, "no such template: '/nosuch.tar'"},
		{"/dev/null", -EINVAL, "template '/dev/null' is not a regular file"},
		{"data:100/vm-100-disk-0.raw", -EINVAL,
			"volume 'data:100/vm-100-disk-0.raw' is not a template"},
		{"disks:vztmpl/box.tar", -EINVAL,
			"content type 'vztmpl' is not available on storage 'disks'"},
		{"nosuch:vztmpl/box.tar", -ENOENT, "storage 'nosuch' does not exist"},
		{"box.tar", -EINVAL, "unable to parse volume id 'box.tar'"},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		char *path = NULL;

		assert_int_equal(
			template_find(f->set, cases[i].template, "n1", &path, &error), cases[i].r);
		assert_string_equal(error->message, cases[i].reason);
		assert_null(path);
	}
}

static void a_path_into_a_storage_has_a_volume_id(void **state)
{
	struct fixture *f = *state;
	g_autofree char *volid = NULL;
	char *none = NULL;

	assert_int_equal(template_volid(f->set, f->file, &volid, NULL), 0);
	assert_string_equal(volid, "data:vztmpl/box.tar");
	assert_int_equal(template_volid(f->set, "/etc/passwd", &none, NULL), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_template_is_found_by_id_and_by_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_template_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_path_into_a_storage_has_a_volume_id, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
