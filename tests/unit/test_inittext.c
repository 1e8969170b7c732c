/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/inittext.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void only_fixed_jobs_of_root_move(void **state)
{
	static const char crontab[] = "SHELL=/bin/sh\n"
				      "17 *\t* * *\troot\tcd / && run-parts\n"
				      "*/5 * * * * root x\n"
				      "25 6 * * * daemon x\n"
				      "25 6 * * * rooty x\n"
				      "25 6 * * root\n"
				      "52 6 1 * * root y";
	struct drand48_data random;
	g_autofree char *spread = NULL;
	g_autofree char *expected = NULL;
	double first, second;

	(void)srand48_r(7, &random);
	spread = crontab_spread(crontab, &random);

	(void)srand48_r(7, &random);
	(void)drand48_r(&random, &first);
	(void)drand48_r(&random, &second);
	expected = g_strdup_printf("SHELL=/bin/sh\n"
				   "%u *\t* * *\troot\tcd / && run-parts\n"
				   "*/5 * * * * root x\n"
				   "25 6 * * * daemon x\n"
				   "25 6 * * * rooty x\n"
				   "25 6 * * root\n"
				   "%u 6 1 * * root y",
		(unsigned)(first * 59), (unsigned)(second * 59));
	assert_string_equal(spread, expected);
}

static void inittab_gets_a_getty_a_terminal(void **state)
{
	static const char inittab[] = "id:2:initdefault:\n"
				      "pf::powerwait:/etc/init.d/powerfail start\n"
				      "po::powerokwait:/etc/init.d/powerfail stop\n"
				      "1:2345:respawn:/sbin/getty 38400 tty1\n"
				      "ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now\n"
				      "6:23:respawn:/sbin/agetty 38400 tty6\n";
	static const char expected[] = "id:2:initdefault:\n"
				       "ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now\n"
				       "p0::powerfail:/sbin/init 0\n"
				       "1:2345:respawn:/sbin/getty --noclear 38400 tty1\n"
				       "2:23:respawn:/sbin/getty --noclear 38400 tty2\n";
	g_autofree char *once = inittab_set_gettys(inittab, 2, "--noclear");
	g_autofree char *twice = inittab_set_gettys(once, 2, "--noclear");

	assert_string_equal(once, expected);
	assert_string_equal(twice, expected);
}

static void securetty_has_each_terminal_once(void **state)
{
	g_autofree char *once = securetty_add("console\ntty2", "");
	g_autofree char *twice = securetty_add(once, "");
	g_autofree char *prefixed = securetty_add("", "lxc/");

	assert_string_equal(once, "console\ntty2\ntty1\ntty3\ntty4\n");
	assert_string_equal(twice, once);
	assert_string_equal(prefixed, "lxc/console\nlxc/tty1\nlxc/tty2\nlxc/tty3\nlxc/tty4\n");
}

static void getty_unit_follows_the_directory(void **state)
{
	g_autofree char *plain = getty_unit_set_tty("A=/dev/pts/%I\nB=/dev/lxc/tty%I\n", "");
	g_autofree char *below = getty_unit_set_tty("A=/dev/pts/%I\nB=/dev/lxc/tty%I\n", "lxc/");
	g_autofree char *again = getty_unit_set_tty(below, "lxc/");

	assert_string_equal(plain, "A=/dev/tty%I\nB=/dev/tty%I\n");
	assert_string_equal(below, "A=/dev/lxc/tty%I\nB=/dev/lxc/tty%I\n");
	assert_string_equal(again, below);
}

static void plain_gettys_are_replaced_by_their_ids(void **state)
{
	static const char inittab[] = "::sysinit:/sbin/openrc sysinit\n"
				      "tty1::respawn:/sbin/getty 38400 tty1\n"
				      "tty5::respawn:/sbin/getty 38400 tty5\n"
				      "ttyS0::respawn:/sbin/getty -L 0 ttyS0 vt100\n";
	g_autofree char *text = inittab_set_plain_gettys(inittab, 1, "tty", "/sbin/getty");

	assert_string_equal(text, "::sysinit:/sbin/openrc sysinit\n"
				  "ttyS0::respawn:/sbin/getty -L 0 ttyS0 vt100\n"
				  "tty1::respawn:/sbin/getty 38400 tty1\n");
}

static void condition_of_getty_goes_both_ways(void **state)
{
	static const char host[] = "A=1\nConditionPathExists=/dev/tty0\n";
	g_autofree char *there = getty_unit_set_condition(host, true);
	g_autofree char *back = getty_unit_set_condition(there, false);

	assert_string_equal(there, "A=1\nConditionPathExists=/dev/tty\n");
	assert_string_equal(back, host);
}

static void preset_is_sorted_by_unit(void **state)
{
	g_autofree char *with = preset_dup_text("disable");
	g_autofree char *without = preset_dup_text(NULL);

	assert_true(g_str_has_suffix(with, "sys-kernel-debug.mount\n"
					   "disable systemd-networkd.service\n"));
	assert_null(strstr(without, "networkd"));
	assert_true(g_str_has_prefix(with, without));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_fixed_jobs_of_root_move),
		cmocka_unit_test(inittab_gets_a_getty_a_terminal),
		cmocka_unit_test(securetty_has_each_terminal_once),
		cmocka_unit_test(getty_unit_follows_the_directory),
		cmocka_unit_test(plain_gettys_are_replaced_by_their_ids),
		cmocka_unit_test(condition_of_getty_goes_both_ways),
		cmocka_unit_test(preset_is_sorted_by_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
