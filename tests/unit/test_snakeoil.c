/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/snakeoil.h"

#include "tests/unit/guesttree.h"

static const char key[] = "/etc/ssl/private/ssl-cert-snakeoil.key";
static const char unit[] = "/etc/systemd/system/regenerate-snakeoil-certificate.service";

static void put_debian(Tree *tree)
{
	tree_put(tree, "/etc/os-release", "ID=debian\n");
	tree_put(tree, "/etc/debian_version", "12.4\n");
}

static void systemd_makes_a_new_key(void **state)
{
	Tree *tree = *state;

	put_debian(tree);
	tree_put_systemd(tree);
	tree_put(tree, key, "secret");
	assert_int_equal(tree_run(tree, GUEST_PHASE_POST_CREATE), 0);
	assert_null(tree_get(tree, key));
	assert_non_null(strstr(tree_get(tree, unit), "make-ssl-cert"));
	assert_non_null(strstr(tree_get(tree, unit), "\nConditionPathExists=!/etc/ssl/"));
	assert_false(tree_is_warned(tree, "snakeoil"));
}

static void without_systemd_there_is_a_warning(void **state)
{
	Tree *tree = *state;

	put_debian(tree);
	tree_put(tree, key, "secret");
	assert_int_equal(tree_run(tree, GUEST_PHASE_POST_CREATE), 0);
	assert_null(tree_get(tree, key));
	assert_true(tree_is_warned(tree, "make-ssl-cert"));
}

static void no_key_means_nothing_to_do(void **state)
{
	Tree *tree = *state;

	put_debian(tree);
	tree_put_systemd(tree);
	assert_int_equal(tree_run(tree, GUEST_PHASE_POST_CREATE), 0);
	assert_null(tree_get(tree, unit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			systemd_makes_a_new_key, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			without_systemd_there_is_a_warning, tree_set_up, tree_tear_down),
		cmocka_unit_test_setup_teardown(
			no_key_means_nothing_to_do, tree_set_up, tree_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
