/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/shadow.h"

#include <crypt.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static void hashes_are_told_from_passwords(void **state)
{
	static const struct {
		const char *text;
		bool is_hash;
	} cases[] = {
		{"$6$abcdefgh$x/y.Z", true},
		{"$1$a$b", true},
		{"$2y$10$abcdefghijklmnopqrstuv", true},
		{"$5$0123456789abcdef$h", true},
		{"$5$0123456789abcdefg$h", false},
		{"$6$$h", false},
		{"$6$salt$", false},
		{"$6$salt", false},
		{"$y$j9T$salt$hash", false},
		{"$6$salt$not a hash", false},
		{"secret", false},
		{"", false},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(shadow_is_hash(cases[i].text), cases[i].is_hash);
}

static void password_is_hashed_with_eight_characters_of_salt(void **state)
{
	g_autofree char *hash = NULL;
	struct crypt_data data = {0};

	assert_int_equal(shadow_hash_password("secret", &hash, NULL), 0);
	assert_true(g_str_has_prefix(hash, "$6$"));
	assert_int_equal(strcspn(hash + 3, "$"), 8);
	assert_string_equal(crypt_rn("secret", hash, &data, sizeof(data)), hash);
}

static void no_password_locks_the_account(void **state)
{
	g_autofree char *hash = NULL;

	assert_int_equal(shadow_hash_password(NULL, &hash, NULL), 0);
	assert_string_equal(hash, "*");
}

static void endless_password_is_refused(void **state)
{
	g_autofree char *password = g_strnfill(CRYPT_MAX_PASSPHRASE_SIZE, 'x');
	char *hash = NULL;

	assert_int_equal(shadow_hash_password(password, &hash, NULL), -EINVAL);
	assert_null(hash);
}

static void only_the_users_line_changes(void **state)
{
	g_autofree char *passwd = shadow_set_passwd(
		"rooty:a:1:1::/:/bin/sh\nroot:old:0:0:root:/root:/bin/sh\n", "root", "x");
	g_autofree char *shadow = shadow_set_hash(
		"bin:*:1:0:99999:7:::\nroot:old:1:0:99999:7:::\n", "root", "$6$a$b", 86400 * 3 + 5);
	g_autofree char *short_line = shadow_set_hash("root\nroot:x", "root", "h", 86400);

	assert_string_equal(passwd, "rooty:a:1:1::/:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n");
	assert_string_equal(shadow, "bin:*:1:0:99999:7:::\nroot:$6$a$b:3:0:99999:7:::\n");
	assert_string_equal(short_line, "root\nroot:h:1");
}

static void home_is_the_sixth_field(void **state)
{
	g_autofree char *home = shadow_dup_home("a:b\nroot:x:0:0:r:/var/root:/bin/sh\n", "root");
	g_autofree char *none = shadow_dup_home("root:x:0:0:r\n", "root");

	assert_string_equal(home, "/var/root");
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_told_from_passwords),
		cmocka_unit_test(password_is_hashed_with_eight_characters_of_salt),
		cmocka_unit_test(no_password_locks_the_account),
		cmocka_unit_test(endless_password_is_refused),
		cmocka_unit_test(only_the_users_line_changes),
		cmocka_unit_test(home_is_the_sixth_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
