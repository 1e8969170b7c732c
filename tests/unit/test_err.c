/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <gio/gio.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void sets_code_and_sentence(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(err_set(&error, ENOENT, "no container %u", 100U), -ENOENT);
	assert_true(g_error_matches(error, ERR_DOMAIN, ENOENT));
	assert_string_equal(error->message, "no container 100");
}

static void works_without_a_place_for_the_sentence(void **state)
{
	assert_int_equal(err_set(NULL, EIO, "x"), -EIO);
	assert_int_equal(err_set_errno(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_prefix(NULL, -EIO, "x"), -EIO);
}

static void adds_the_text_of_errno(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_int_equal(err_set_errno(&error, -ENOSPC, "cannot write '%s'", "f"), -ENOSPC);
	assert_string_equal(error->message, "cannot write 'f': No space left on device");
}

static void puts_context_in_front(void **state)
{
	g_autoptr(GError) error = NULL;
	int r = err_set(&error, EIO, "broken");

	assert_int_equal(err_prefix(&error, r, "volume %d", 3), -EIO);
	assert_string_equal(error->message, "volume 3: broken");
}

static void takes_a_foreign_error(void **state)
{
	g_autoptr(GError) error = NULL;
	GError *foreign = g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "down");

	assert_int_equal(err_take(&error, EPIPE, &foreign), -EPIPE);
	assert_null(foreign);
	assert_true(g_error_matches(error, ERR_DOMAIN, EPIPE));
	assert_string_equal(error->message, "down");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_code_and_sentence),
		cmocka_unit_test(works_without_a_place_for_the_sentence),
		cmocka_unit_test(adds_the_text_of_errno),
		cmocka_unit_test(puts_context_in_front),
		cmocka_unit_test(takes_a_foreign_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
