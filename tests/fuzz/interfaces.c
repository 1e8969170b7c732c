/* SPDX-License-Identifier: Apache-2.0 */

/* A guest's interfaces(5), which is rewritten around what the guest's owner has put there: the
 * second time changes nothing. */

#include "agent/guest/interfaces.h"

#include "agent/guest/guestnet.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_dup_text(data, size);
	CtSection *section = ct_section_new();
	g_autoptr(GPtrArray) nets = NULL;
	int r;

	ct_section_set(
		section, "net0", "name=eth0,bridge=vmbr0,ip=10.0.0.2/24,gw=10.0.0.1,ip6=auto");
	r = guest_net_list(section, &nets, NULL);
	assert(r == 0);
	for (unsigned flags = 0; flags <= (INTERFACES_CIDR | INTERFACES_V6_STATIC); flags++) {
		g_autofree char *once = interfaces_rewrite(text, nets, flags);
		g_autofree char *twice = interfaces_rewrite(once, nets, flags);

		assert(once && strcmp(once, twice) == 0);
	}
	ct_section_free(section);
	return 0;
}
