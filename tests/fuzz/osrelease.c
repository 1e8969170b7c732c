/* SPDX-License-Identifier: Apache-2.0 */

/* Files of a guest that say what it is: os-release, and the version files of all types. */

#include "agent/guest/osrelease.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const ids[] = {"alpine", "arch", "archarm", "centos", "debian", "devuan",
		"fedora", "gentoo", "opensuse-leap", "ubuntu"};
	g_autofree char *text = fuzz_dup_text(data, size);
	g_autofree char *id = osrelease_dup_value(text, "ID");

	if (id)
		(void)ostype_from_id(id);
	for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
		const char *ostype = ostype_from_id(ids[i]);
		const OstypeVersionFile *file = ostype ? ostype_version_file(ostype) : NULL;
		g_autofree char *version = NULL;

		if (file && file->parse(text, &version, warnings, NULL) == 0)
			assert(version);
	}
	return 0;
}
