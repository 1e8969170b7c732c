/* SPDX-License-Identifier: Apache-2.0 */

/* Names of tasks, which come from users and become paths. */

#include "agent/api/upid.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_dup_text(data, size);
	g_autofree char *path = upid_dup_log_path("/tasks", text);
	g_autofree char *again = NULL;
	g_autoptr(Upid) upid = NULL;

	assert(!path || (g_str_has_prefix(path, "/tasks/") && !strstr(path, "/../")));
	if (upid_parse(text, &upid, NULL) < 0)
		return 0;
	(void)upid_vmid(upid);
	again = upid_to_string(upid);
	assert(strcmp(again, text) == 0);
	return 0;
}
