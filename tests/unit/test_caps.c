/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"

#include <sys/capability.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "tests/unit/test.h"

/* Capabilities cannot be had back, so each test gives them up in a child.  Returns how many of the
 * first 32 the child still has in effect, or -1. */
static int count_left(const int *keep, unsigned n_keep)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int n = 0;

		if (caps_keep(keep, n_keep) < 0)
			_exit(255);
		for (int i = 0; i < 32; i++) {
			cap_flag_value_t value = CAP_CLEAR;
			cap_t now = cap_get_proc();

			(void)cap_get_flag(now, i, CAP_EFFECTIVE, &value);
			(void)cap_free(now);
			n += (value == CAP_SET);
		}
		_exit(n);
	}

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

static void keeping_none_leaves_none(void **state)
{
	assert_int_equal(count_left(NULL, 0), 0);
}

static void only_listed_ones_stay(void **state)
{
	static const int keep[] = {CAP_CHOWN, CAP_FOWNER};
	int had = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(keep); i++) {
		cap_flag_value_t value = CAP_CLEAR;
		cap_t now = cap_get_proc();

		(void)cap_get_flag(now, keep[i], CAP_PERMITTED, &value);
		(void)cap_free(now);
		had += (value == CAP_SET);
	}

	assert_int_equal(count_left(keep, G_N_ELEMENTS(keep)), had);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeping_none_leaves_none),
		cmocka_unit_test(only_listed_ones_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
