/* SPDX-License-Identifier: Apache-2.0 */

/* Files of a guest that are edited: passwd, shadow, crontab, inittab, securetty. */

#include "agent/guest/inittext.h"
#include "agent/guest/shadow.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drand48_data random = {0};
	g_autofree char *text = fuzz_dup_text(data, size);
	g_autofree char *passwd = shadow_set_passwd(text, "root", "x");
	g_autofree char *again = shadow_set_passwd(passwd, "root", "x");

	assert(strcmp(passwd, again) == 0);
	(void)shadow_is_hash(text);
	g_free(shadow_dup_home(text, "root"));
	g_free(shadow_set_hash(text, "root", "*", 0));
	g_free(crontab_spread(text, &random));
	g_free(inittab_set_gettys(text, 2, "--noclear"));
	g_free(inittab_set_plain_gettys(text, 2, "tty", "/sbin/getty"));
	g_free(securetty_add(text, "pts/"));
	return 0;
}
