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

/* 0 when what is put down is not in effect, and what is taken up again is. */
static int put_down_and_take_up(void)
{
	static const int keep[] = {CAP_CHOWN};
	cap_flag_value_t down = CAP_SET, up = CAP_CLEAR, had = CAP_CLEAR;
	cap_t caps;

	if (caps_keep(keep, 1) < 0 || caps_set_effective(false) < 0)
		return 1;
	caps = cap_get_proc();
	(void)cap_get_flag(caps, CAP_CHOWN, CAP_PERMITTED, &had);
	(void)cap_get_flag(caps, CAP_CHOWN, CAP_EFFECTIVE, &down);
	(void)cap_free(caps);
	if (caps_set_effective(true) < 0)
		return 1;
	caps = cap_get_proc();
	(void)cap_get_flag(caps, CAP_CHOWN, CAP_EFFECTIVE, &up);
	(void)cap_free(caps);
	return down == CAP_CLEAR && up == had ? 0 : 1;
}

static void what_is_kept_can_be_put_down(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(put_down_and_take_up());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeping_none_leaves_none),
		cmocka_unit_test(only_listed_ones_stay),
		cmocka_unit_test(what_is_kept_can_be_put_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
