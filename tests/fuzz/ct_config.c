/* SPDX-License-Identifier: Apache-2.0 */

/* Configuration files of containers: what was read can be written, and reads back as the same. */

#include "agent/ct/config.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(CtConfig) config = NULL, again = NULL;
	g_autofree char *once = NULL, *twice = NULL;
	int r;

	if (ct_config_parse((const char *)data, size, false, &config, warnings, NULL) < 0)
		return 0;
	if (ct_config_print(config, &once, NULL) < 0)
		return 0;
	r = ct_config_parse(once, strlen(once), false, &again, NULL, NULL);
	assert(r == 0);
	r = ct_config_print(again, &twice, NULL);
	assert(r == 0 && strcmp(once, twice) == 0);
	return 0;
}
