/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/volname.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void names_of_guest_volumes_are_taken_apart(void **state)
{
	static const struct {
		const char *name;
		VolumeFormat format;
		unsigned vmid;
		int disk;
		bool base;
	} cases[] = {
		{"100/vm-100-disk-0.raw", VOLUME_FORMAT_RAW, 100, 0, false},
		{"100/vm-100-disk-1023.raw", VOLUME_FORMAT_RAW, 100, 1023, false},
		{"100/vm-100-disk-1024.raw", VOLUME_FORMAT_RAW, 100, -1, false},
		{"100/vm-100-disk-00.raw", VOLUME_FORMAT_RAW, 100, -1, false},
		{"100/vm-100-state-a_b.raw", VOLUME_FORMAT_RAW, 100, -1, false},
		{"100/base-100-disk-2.raw", VOLUME_FORMAT_RAW, 100, 2, true},
		{"999999999/subvol-999999999-disk-7.subvol", VOLUME_FORMAT_SUBVOL, 999999999, 7,
			false},
		{"100/basevol-100-disk-7.subvol", VOLUME_FORMAT_SUBVOL, 100, 7, true},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(VolumeName) name = NULL;

		assert_int_equal(volume_name_parse(cases[i].name, &name), 0);
		assert_int_equal(name->content, STORAGE_CONTENT_ROOTDIR);
		assert_int_equal(name->format, cases[i].format);
		assert_int_equal(name->vmid, cases[i].vmid);
		assert_int_equal(name->disk, cases[i].disk);
		assert_int_equal(name->base, cases[i].base);
		assert_string_equal(name->file, strchr(cases[i].name, '/') + 1);
	}
}

static void names_of_files_have_their_content_type(void **state)
{
	static const struct {
		const char *name;
		StorageContent content;
	} cases[] = {
		{"vztmpl/debian-12_12.2-1_amd64.tar.zst", STORAGE_CONTENT_VZTMPL},
		{"vztmpl/x.tar", STORAGE_CONTENT_VZTMPL},
		{"backup/vzdump-lxc-100-2026_01_02-03_04_05.tar.zst", STORAGE_CONTENT_BACKUP},
		{"iso/a.iso", STORAGE_CONTENT_ISO},
		{"snippets/hook.pl", STORAGE_CONTENT_SNIPPETS},
		{"import/disk", STORAGE_CONTENT_IMPORT},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(VolumeName) name = NULL;

		assert_int_equal(volume_name_parse(cases[i].name, &name), 0);
		assert_int_equal(name->content, cases[i].content);
		assert_int_equal(name->format, VOLUME_FORMAT_FILE);
		assert_int_equal(name->vmid, 0);
	}
}

static void other_names_are_refused(void **state)
{
	static const char *const names[] = {
		"",
		"vm-100-disk-0.raw",
		"100/",
		"100/vm-100-disk-0.qcow2",
		"100/vm-100-.raw",
		"100/vm-101-disk-0.raw",
		"100/../vm-100-disk-0.raw",
		"100/vm-100-a/b.raw",
		"100/vm-100-a b.raw",
		"100/vm-100-a\nb.raw",
		"0100/vm-100-disk-0.raw",
		"99/vm-99-disk-0.raw",
		"1000000000/vm-1000000000-disk-0.raw",
		"vztmpl/.hidden.tar",
		"vztmpl/..",
		"vztmpl/x.txt",
		"vztmpl/.tar",
		"vztmpl/a,b.tar",
		"vztmpl/a/b.tar",
		"rootdir/x",
		"/etc/passwd",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		VolumeName *name = NULL;

		assert_int_equal(volume_name_parse(names[i], &name), -EINVAL);
		assert_null(name);
	}
}

static void an_overlong_name_is_refused(void **state)
{
	g_autofree char *name = g_strnfill(VOLUME_NAME_MAX + 1, 'a');
	VolumeName *parsed = NULL;

	memcpy(name, "snippets/", strlen("snippets/"));
	assert_int_equal(volume_name_parse(name, &parsed), -EINVAL);
}

static void made_names_are_valid(void **state)
{
	g_autofree char *raw = volume_name_dup_disk(100, 3, VOLUME_FORMAT_RAW);
	g_autofree char *subvol = volume_name_dup_disk(100, 3, VOLUME_FORMAT_SUBVOL);
	g_autofree char *file = volume_name_dup_file(STORAGE_CONTENT_VZTMPL, 0, "x.tar.gz");

	assert_string_equal(raw, "100/vm-100-disk-3.raw");
	assert_string_equal(subvol, "100/subvol-100-disk-3.subvol");
	assert_string_equal(file, "vztmpl/x.tar.gz");
	assert_null(volume_name_dup_file(STORAGE_CONTENT_VZTMPL, 0, "x.zip"));
	assert_null(volume_name_dup_file(STORAGE_CONTENT_ROOTDIR, 100, "vm-101-disk-3.raw"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_guest_volumes_are_taken_apart),
		cmocka_unit_test(names_of_files_have_their_content_type),
		cmocka_unit_test(other_names_are_refused),
		cmocka_unit_test(an_overlong_name_is_refused),
		cmocka_unit_test(made_names_are_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
