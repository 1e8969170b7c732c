/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

/* A set whose storage "data" lies in the test's directory. */
static StorageSet *set_in(void **state, const char *more)
{
	g_autofree char *text = g_strdup_printf(
		"dir: data\n\tpath %s\n\tcontent rootdir,vztmpl\n%s", (const char *)*state, more);

	return storage_set_parse(text, NULL);
}

static char *path_in(void **state, const char *relative)
{
	return g_build_filename(*state, relative, NULL);
}

static void make_file(void **state, const char *relative, size_t size)
{
	g_autofree char *path = path_in(state, relative);
	g_autofree char *directory = g_path_get_dirname(path);
	g_autofree char *content = g_strnfill(size, 'x');

	assert_int_equal(file_mkdir_all(directory, 0755), 0);
	assert_int_equal(file_replace(path, content, size, 0644), 0);
}

static void make_directory(void **state, const char *relative)
{
	g_autofree char *path = path_in(state, relative);

	assert_int_equal(file_mkdir_all(path, 0755), 0);
}

static void make_link(void **state, const char *target, const char *relative)
{
	g_autofree char *path = path_in(state, relative);

	assert_int_equal(symlink(target, path), 0);
}

static void local_is_always_there(void **state)
{
	g_autoptr(StorageSet) set = storage_set_parse(NULL, NULL);
	g_autoptr(GPtrArray) list = storage_set_list(set);
	const Storage *local = list->pdata[0];

	assert_int_equal(list->len, 1);
	assert_string_equal(storage_id(local), "local");
	assert_string_equal(storage_type(local), "dir");
	assert_string_equal(storage_property(local, "path"), "/var/lib/vz");
	assert_true(storage_content(local) & STORAGE_CONTENT_ROOTDIR);
	assert_true(storage_content(local) & STORAGE_CONTENT_VZTMPL);
	assert_false(storage_shared(local));
}

static void storages_are_sorted_and_bad_ones_are_left_out(void **state)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(StorageSet) set = storage_set_parse("tape: archive\n\n"
						      "dir: zz\n\tpath /z\n\n"
						      "dir: nopath\n\n"
						      "dir: badpath\n\tpath x\n\n"
						      "dir: aa\n\tpath /a\n",
		warnings);
	g_autoptr(GPtrArray) list = storage_set_list(set);

	assert_int_equal(list->len, 3);
	assert_string_equal(storage_id(list->pdata[0]), "aa");
	assert_string_equal(storage_id(list->pdata[1]), "local");
	assert_string_equal(storage_id(list->pdata[2]), "zz");
	assert_int_equal(warnings->len, 4); /* badpath has two: its value, and that it is needed. */
}

static void a_storage_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *id;
		unsigned content;
		int r;
		const char *reason;
	} cases[] = {
		{"nosuch", 0, -ENOENT, "storage 'nosuch' does not exist"},
		{"off", 0, -EINVAL, "storage 'off' is disabled"},
		{"far", 0, -EINVAL, "storage 'far' is not available on node 'n1'"},
		{"data", STORAGE_CONTENT_ISO, -EINVAL,
			"content type 'iso' is not available on storage 'data'"},
		{"pool", 0, -EOPNOTSUPP,
			"storage 'pool' has type 'zfspool', which this version cannot use"},
		{"unmounted", 0, -ENOTCONN,
			"storage 'unmounted' is not online: '/nonexistent' is not mounted"},
	};
	g_autoptr(StorageSet) set = set_in(state, "\ndir: off\n\tdisable\n\tpath /x\n"
						  "\ndir: far\n\tpath /x\n\tnodes n2,n3\n"
						  "\nzfspool: pool\n\tpool tank\n"
						  "\ndir: unmounted\n\tpath /nonexistent\n"
						  "\tis_mountpoint yes\n");
	Storage *storage = NULL;

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		assert_int_equal(
			storage_require(set, cases[i].id, "n1", cases[i].content, &storage, &error),
			cases[i].r);
		assert_string_equal(error->message, cases[i].reason);
		assert_null(storage);
	}
	assert_int_equal(
		storage_require(set, "data", "n1", STORAGE_CONTENT_ROOTDIR, &storage, NULL), 0);
	assert_string_equal(storage_id(storage), "data");
}

static void volume_ids_have_two_parts(void **state)
{
	static const char *const wrong[] = {"", "local", "local:", ":x", "-x:y", "a:b"};
	g_autofree char *storage = NULL;
	g_autofree char *name = NULL;

	assert_int_equal(volume_id_parse("local:a:b", &storage, &name, NULL), 0);
	assert_string_equal(storage, "local");
	assert_string_equal(name, "a:b");
	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) error = NULL;
		char *s = NULL, *n = NULL;

		assert_int_equal(volume_id_parse(wrong[i], &s, &n, &error), -EINVAL);
		assert_true(g_str_has_prefix(error->message, "unable to parse volume id"));
		assert_null(s);
	}
}

static void paths_are_computed(void **state)
{
	static const struct {
		const char *volid;
		const char *path;
	} cases[] = {
		{"local:100/vm-100-disk-0.raw", "/var/lib/vz/images/100/vm-100-disk-0.raw"},
		{"local:vztmpl/x.tar.zst", "/var/lib/vz/template/cache/x.tar.zst"},
		{"local:backup/x.tar", "/var/lib/vz/dump/x.tar"},
		{"local:snippets/x", "/var/lib/vz/snippets/x"},
		{"moved:vztmpl/x.tar", "/m/tmpl/x.tar"},
		{"moved:100/vm-100-disk-0.raw", "/m/disks/100/vm-100-disk-0.raw"},
	};
	g_autoptr(StorageSet) set = storage_set_parse(
		"dir: moved\n\tpath /m\n\tcontent-dirs vztmpl=tmpl,images=disks\n", NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(VolumeInfo) info = NULL;
		g_autofree char *path = NULL;

		assert_int_equal(volume_resolve(set, cases[i].volid, &info, &path, NULL), 0);
		assert_string_equal(path, cases[i].path);
		assert_string_equal(info->volid, cases[i].volid);
	}
}

static void volumes_are_listed(void **state)
{
	static const char *const expected[] = {
		"data:100/subvol-100-disk-1.subvol",
		"data:100/vm-100-disk-0.raw",
		"data:2000/vm-2000-disk-0.raw",
		"data:vztmpl/a.tar",
	};
	g_autoptr(StorageSet) set = set_in(state, "");
	g_autoptr(GPtrArray) volumes = NULL;
	Storage *storage;

	make_file(state, "images/2000/vm-2000-disk-0.raw", 7);
	make_file(state, "images/100/vm-100-disk-0.raw", 5);
	make_file(state, "images/100/vm-101-disk-0.raw", 5);
	make_file(state, "images/100/vm-100-disk-0.raw.tmp", 5);
	make_file(state, "images/100/subvol-100-disk-3.subvol", 5);
	make_directory(state, "images/100/subvol-100-disk-1.subvol");
	make_directory(state, "images/100/vm-100-disk-2.raw");
	make_link(state, "vm-100-disk-0.raw", "images/100/vm-100-disk-4.raw");
	make_directory(state, "images/notes");
	make_link(state, "100", "images/102");
	make_file(state, "template/cache/a.tar", 3);
	make_file(state, "template/cache/README", 3);
	make_file(state, "dump/vzdump.tar", 3);

	assert_int_equal(storage_find(set, "data", &storage, NULL), 0);
	assert_int_equal(storage_list(storage, 0, 0, &volumes, NULL), 0);
	assert_int_equal(volumes->len, G_N_ELEMENTS(expected));
	for (unsigned i = 0; i < volumes->len; i++)
		assert_string_equal(((const VolumeInfo *)volumes->pdata[i])->volid, expected[i]);
	assert_int_equal(((const VolumeInfo *)volumes->pdata[2])->size_bytes, 7);
	g_ptr_array_unref(volumes);

	assert_int_equal(storage_list(storage, STORAGE_CONTENT_ROOTDIR, 100, &volumes, NULL), 0);
	assert_int_equal(volumes->len, 2);
}

static void an_empty_storage_lists_nothing(void **state)
{
	g_autoptr(StorageSet) set = set_in(state, "");
	g_autoptr(GPtrArray) volumes = NULL;
	Storage *storage;

	assert_int_equal(storage_find(set, "data", &storage, NULL), 0);
	assert_int_equal(storage_list(storage, 0, 0, &volumes, NULL), 0);
	assert_int_equal(volumes->len, 0);
}

static void volumes_are_opened_without_following_links(void **state)
{
	static const struct {
		const char *volid;
		int r;
	} cases[] = {
		{"data:100/vm-100-disk-0.raw", 0},
		{"data:100/vm-100-disk-1.raw", -ENOENT},
		{"data:100/vm-100-disk-2.raw", -EINVAL},
		{"data:100/vm-100-disk-3.raw", -ELOOP},
		{"data:101/vm-101-disk-0.raw", -ELOOP},
		{"data:100/vm-100-disk-5.raw", -EINVAL},
	};
	g_autofree char *fifo = path_in(state, "images/100/vm-100-disk-5.raw");
	g_autoptr(StorageSet) set = set_in(state, "");

	make_file(state, "images/100/vm-100-disk-0.raw", 5);
	make_directory(state, "images/100/vm-100-disk-2.raw");
	make_link(state, "vm-100-disk-0.raw", "images/100/vm-100-disk-3.raw");
	make_link(state, "100", "images/101");
	assert_int_equal(mkfifo(fifo, 0600), 0);

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		auto_close int fd = -1;

		assert_int_equal(
			volume_open(set, cases[i].volid, O_RDONLY, &fd, NULL, &error), cases[i].r);
		assert_int_equal(fd >= 0, cases[i].r == 0);
		assert_int_equal(error != NULL, cases[i].r < 0);
	}
}

static void the_space_is_that_of_the_file_system(void **state)
{
	g_autoptr(StorageSet) set = set_in(state, "");
	StorageStatus status;
	Storage *storage;

	assert_int_equal(storage_find(set, "data", &storage, NULL), 0);
	assert_int_equal(storage_status(storage, &status, NULL), 0);
	assert_true(status.active);
	assert_true(status.total_bytes >= status.used_bytes);
	assert_true(status.total_bytes > 0);
}

static void a_storage_that_is_off_or_unmounted_is_inactive(void **state)
{
	g_autofree char *more = g_strdup_printf("\tis_mountpoint %s\n", (const char *)*state);
	g_autoptr(StorageSet) set = set_in(state, more);
	StorageStatus status;
	Storage *storage;

	assert_int_equal(storage_find(set, "data", &storage, NULL), 0);
	assert_int_equal(storage_status(storage, &status, NULL), 0);
	assert_false(status.active);
	assert_int_equal(status.total_bytes, 0);
}

static void formats_have_names(void **state)
{
	assert_string_equal(volume_format_to_string(VOLUME_FORMAT_RAW, "x"), "raw");
	assert_string_equal(volume_format_to_string(VOLUME_FORMAT_SUBVOL, "x"), "subvol");
	assert_string_equal(
		volume_format_to_string(VOLUME_FORMAT_FILE, "a:vztmpl/x.tar.zst"), "tzst");
	assert_string_equal(volume_format_to_string(VOLUME_FORMAT_FILE, "a:vztmpl/x.tar"), "tar");
	assert_string_equal(volume_format_to_string(VOLUME_FORMAT_FILE, "a:snippets/x"), "file");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_is_always_there),
		cmocka_unit_test(storages_are_sorted_and_bad_ones_are_left_out),
		cmocka_unit_test_setup_teardown(
			a_storage_is_refused_with_the_reason, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test(volume_ids_have_two_parts),
		cmocka_unit_test(paths_are_computed),
		cmocka_unit_test_setup_teardown(
			volumes_are_listed, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			an_empty_storage_lists_nothing, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(volumes_are_opened_without_following_links,
			tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(
			the_space_is_that_of_the_file_system, tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test_setup_teardown(a_storage_that_is_off_or_unmounted_is_inactive,
			tmpdir_set_up, tmpdir_tear_down),
		cmocka_unit_test(formats_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
