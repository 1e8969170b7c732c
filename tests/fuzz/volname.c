/* SPDX-License-Identifier: Apache-2.0 */

/* Names of volumes, which come from users and become paths. */

#include "agent/storage/volname.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_dup_text(data, size);
	g_autofree char *with_slashes = g_strdup_printf("/%s/", text);
	g_autoptr(VolumeName) name = NULL;

	if (volume_name_parse(text, &name) < 0)
		return 0;
	assert(strlen(text) <= VOLUME_NAME_MAX);
	assert(!strstr(with_slashes, "/../") && !strstr(with_slashes, "/./"));
	assert(name->file && !strchr(name->file, '/'));
	return 0;
}
