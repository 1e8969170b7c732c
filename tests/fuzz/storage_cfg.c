/* SPDX-License-Identifier: Apache-2.0 */

/* The file of storages: what was read can be written, and reads back as the same. */

#include "agent/storage/storage_cfg.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = fuzz_dup_text(data, size);
	g_autoptr(GPtrArray) sections = storage_cfg_parse(text, warnings);
	g_autofree char *once = storage_cfg_print(sections);
	g_autoptr(GPtrArray) again = storage_cfg_parse(once, NULL);
	g_autofree char *twice = storage_cfg_print(again);

	assert(strcmp(once, twice) == 0);
	return 0;
}
