/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/hostkeys.h"

#include "base/macro.h"
#include "base/process.h"
#include "tests/unit/test.h"

static void each_type_has_a_pair_with_our_comment(void **state)
{
	static const char *const paths[] = {"/etc/ssh/ssh_host_rsa_key",
		"/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"};
	g_autoptr(GPtrArray) keys = NULL;

	assert_int_equal(host_keys_make("root@web", &keys, NULL), 0);
	assert_int_equal(keys->len, G_N_ELEMENTS(paths));
	for (unsigned i = 0; i < keys->len; i++) {
		const HostKey *key = keys->pdata[i];

		assert_string_equal(key->path, paths[i]);
		assert_true(
			g_str_has_prefix(key->private, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
		assert_true(g_str_has_suffix(key->public, " root@web\n"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_has_a_pair_with_our_comment),
	};
	g_autofree char *program = process_find("ssh-keygen");

	if (!program) {
		print_message("1..0 # SKIP ssh-keygen is not installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
