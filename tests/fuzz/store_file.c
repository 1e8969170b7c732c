/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as the database: they are read, or refused, or set aside, and never stop the daemon by
 * anything but an error. */

#include "cfs/store.h"

#include "tests/fuzz/fuzz_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *directory = fuzz_directory();
	g_autofree char *path = g_build_filename(directory, "config.db", NULL);

	if (!g_file_set_contents_full(
		    path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
		return 0;
	fuzz_load(path);
	fuzz_clean(directory);
	return 0;
}
