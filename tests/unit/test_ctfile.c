/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/ctfile.h"

#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

/* A directory plays the store.  The list of all guests is the real store's work: here it is a file
 * that names guests of other nodes. */
struct fixture {
	char *root;
	char *locks;
	CtStore store;
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(f->root, name, NULL);
	g_autofree char *directory = g_path_get_dirname(path);

	assert_int_equal(file_mkdir_all(directory, 0755), 0);
	assert_true(g_file_set_contents(path, text, -1, NULL));
}

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);
	void *root = NULL;

	if (tmpdir_set_up(&root) < 0)
		return -1;
	f->root = root;
	f->locks = g_build_filename(f->root, "locks", NULL);
	f->store = (CtStore){.root = f->root, .node = "n1", .lock_directory = f->locks};
	put(f, ".vmlist",
		"{\"version\": 1, \"ids\": {"
		"\"200\": {\"node\": \"n2\", \"type\": \"lxc\", \"version\": 1}, "
		"\"300\": {\"node\": \"n3\", \"type\": \"qemu\", \"version\": 1}}}");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *root = f->root;
	int r = tmpdir_tear_down(&root);

	g_free(f->locks);
	g_free(f);
	return r;
}

static void what_was_created_is_loaded_with_its_digest(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(CtConfig) loaded = NULL;
	g_autofree char *digest = NULL;
	g_autofree char *expected = ct_config_dup_digest("memory: 64\n", 11);

	ct_section_set(ct_config_current(config), "memory", "64");
	assert_int_equal(ct_file_create(&f->store, 100, config, NULL), 0);
	assert_int_equal(ct_file_load(&f->store, NULL, 100, &loaded, &digest, NULL, NULL), 0);
	assert_string_equal(ct_section_get(ct_config_current(loaded), "memory"), "64");
	assert_string_equal(digest, expected);
}

static void an_id_is_taken_whichever_node_has_it(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(GError) ours = NULL;
	g_autoptr(GError) other = NULL;
	g_autoptr(GError) vm = NULL;

	assert_int_equal(ct_file_create(&f->store, 100, config, NULL), 0);
	assert_int_equal(ct_file_create(&f->store, 100, config, &ours), -EEXIST);
	assert_string_equal(ours->message, "CT 100 already exists");
	assert_int_equal(ct_file_create(&f->store, 200, config, &other), -EEXIST);
	assert_string_equal(other->message, "CT 200 already exists on node 'n2'");
	assert_int_equal(ct_file_create(&f->store, 300, config, &vm), -EEXIST);
	assert_string_equal(vm->message, "VM 300 already exists on node 'n3'");
}

static void a_failed_creation_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = ct_config_new();
	g_autofree char *path = ct_file_path(&f->store, NULL, 100);

	ct_section_set(ct_config_current(config), "hostname", "a\nb");
	assert_int_equal(ct_file_create(&f->store, 100, config, NULL), -EINVAL);
	assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void only_what_is_here_can_be_replaced_or_removed(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(GError) error = NULL;

	assert_int_equal(ct_file_replace(&f->store, 100, config, &error), -ENOENT);
	assert_string_equal(error->message, "configuration file of CT 100 does not exist");
	assert_int_equal(ct_file_remove(&f->store, 100, NULL), -ENOENT);

	assert_int_equal(ct_file_create(&f->store, 100, config, NULL), 0);
	assert_int_equal(ct_file_remove(&f->store, 100, NULL), 0);
	assert_int_equal(ct_file_replace(&f->store, 100, config, NULL), -ENOENT);
}

static void replacing_leaves_nothing_of_a_longer_file(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = ct_config_new();
	g_autofree char *path = ct_file_path(&f->store, NULL, 100);
	g_autofree char *text = NULL;

	put(f, "nodes/n1/lxc/100.conf", "hostname: a-very-long-one\nmemory: 64\n");
	ct_section_set(ct_config_current(config), "cores", "1");
	assert_int_equal(ct_file_replace(&f->store, 100, config, NULL), 0);
	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	assert_string_equal(text, "cores: 1\n");
}

static void lists_have_ids_in_order_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GArray) ids = NULL;
	g_autoptr(GArray) none = NULL;

	put(f, "nodes/n1/lxc/1000.conf", "");
	put(f, "nodes/n1/lxc/101.conf", "");
	put(f, "nodes/n1/lxc/99.conf", "");
	put(f, "nodes/n1/lxc/102.conf.tmp", "");
	put(f, "nodes/n1/lxc/0103.conf", "");
	assert_int_equal(ct_file_list(&f->store, NULL, &ids, NULL), 0);
	assert_int_equal(ids->len, 2);
	assert_int_equal(g_array_index(ids, unsigned, 0), 101);
	assert_int_equal(g_array_index(ids, unsigned, 1), 1000);
	assert_int_equal(ct_file_list(&f->store, "n9", &none, NULL), 0);
	assert_int_equal(none->len, 0);
}

static void owners_are_found_in_the_list_of_guests(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GError) missing = NULL;
	g_autoptr(GError) vm = NULL;
	g_autofree char *node = NULL;
	char *unset = NULL;

	assert_int_equal(ct_file_find(&f->store, 200, &node, NULL), 0);
	assert_string_equal(node, "n2");
	assert_int_equal(ct_file_find(&f->store, 100, &unset, &missing), -ENOENT);
	assert_string_equal(missing->message, "configuration file of CT 100 does not exist");
	assert_int_equal(ct_file_find(&f->store, 300, &unset, &vm), -EINVAL);
	assert_null(unset);
}

static void a_damaged_or_missing_list_is_an_error(void **state)
{
	static const char *const damaged[] = {"", "{", "{\"ids\": {\"100\": {\"node\": 5}}}"};
	struct fixture *f = *state;
	g_autofree char *path = g_build_filename(f->root, ".vmlist", NULL);
	g_autoptr(CtConfig) config = ct_config_new();
	char *node = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
		put(f, ".vmlist", damaged[i]);
		assert_int_equal(ct_file_find(&f->store, 100, &node, NULL), -EBADMSG);
	}
	put(f, ".vmlist", "{\"version\": 1}");
	assert_int_equal(ct_file_find(&f->store, 100, &node, NULL), -ENOENT);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(ct_file_create(&f->store, 100, config, NULL), -ENOTCONN);
}

static void a_store_that_is_away_is_not_an_empty_one(void **state)
{
	struct fixture *f = *state;
	g_autofree char *path = g_build_filename(f->root, ".vmlist", NULL);
	g_autoptr(GError) error = NULL;
	CtConfig *config = NULL;
	GArray *ids = NULL;
	char *node = NULL;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(
		ct_file_load(&f->store, NULL, 100, &config, NULL, NULL, &error), -ENOTCONN);
	assert_non_null(strstr(error->message, "is not mounted on"));
	assert_int_equal(ct_file_list(&f->store, NULL, &ids, NULL), -ENOTCONN);
	assert_int_equal(ct_file_find(&f->store, 100, &node, NULL), -ENOTCONN);
	assert_true(!config && !ids && !node);
}

static void a_second_holder_of_the_lock_times_out(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GError) error = NULL;
	auto_close int first = -1;
	auto_close int other = -1;
	int second = -1;

	assert_int_equal(ct_file_lock(&f->store, 100, 0, &first, NULL), 0);
	assert_int_equal(ct_file_lock(&f->store, 100, 1, &second, &error), -ETIMEDOUT);
	assert_true(g_str_has_suffix(error->message, "pve-config-100.lock' - got timeout"));
	assert_int_equal(ct_file_lock(&f->store, 101, 0, &other, NULL), 0);
}

static void a_locked_container_says_by_what(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autoptr(GError) unlocked = NULL;
	g_autoptr(GError) error = NULL;

	assert_int_equal(ct_lock_check(section, NULL, NULL), 0);
	assert_int_equal(ct_lock_remove(section, 100, NULL, &unlocked), -EINVAL);
	assert_string_equal(unlocked->message, "CT 100 is not locked");

	ct_section_set(section, "lock", "backup");
	assert_int_equal(ct_lock_check(section, "mounted", &error), -EBUSY);
	assert_string_equal(error->message, "CT is locked (backup)");
	assert_int_equal(ct_lock_check(section, "backup", NULL), 0);
	assert_int_equal(ct_lock_remove(section, 100, "snapshot", NULL), -EINVAL);
	assert_int_equal(ct_lock_remove(section, 100, "backup", NULL), 0);
	assert_int_equal(ct_lock_check(section, NULL, NULL), 0);
}

static void a_protected_container_refuses(void **state)
{
	g_autoptr(CtSection) section = ct_section_new();
	g_autoptr(GError) error = NULL;

	assert_int_equal(ct_protection_check(section, 100, "remove", NULL), 0);
	ct_section_set(section, "protection", "1");
	assert_int_equal(ct_protection_check(section, 100, "remove", &error), -EPERM);
	assert_string_equal(error->message, "can't remove CT 100 - protection mode enabled");
}

static void another_digest_means_another_edit(void **state)
{
	assert_int_equal(ct_digest_check("ab", NULL, NULL), 0);
	assert_int_equal(ct_digest_check("ab", "AB", NULL), 0);
	assert_int_equal(ct_digest_check("ab", "cd", NULL), -ESTALE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_created_is_loaded_with_its_digest),
		TEST(an_id_is_taken_whichever_node_has_it),
		TEST(a_failed_creation_leaves_nothing),
		TEST(only_what_is_here_can_be_replaced_or_removed),
		TEST(replacing_leaves_nothing_of_a_longer_file),
		TEST(lists_have_ids_in_order_and_nothing_else),
		TEST(owners_are_found_in_the_list_of_guests),
		TEST(a_damaged_or_missing_list_is_an_error),
		TEST(a_store_that_is_away_is_not_an_empty_one),
		TEST(a_second_holder_of_the_lock_times_out),
		cmocka_unit_test(a_locked_container_says_by_what),
		cmocka_unit_test(a_protected_container_refuses),
		cmocka_unit_test(another_digest_means_another_edit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
