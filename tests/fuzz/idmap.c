/* SPDX-License-Identifier: Apache-2.0 */

/* Maps of user ids and sets of processors, a line of the input each. */

#include "agent/ct/idmap.h"

#include "agent/ct/cpuset.h"
#include "tests/fuzz/fuzz.h"

static void try_cpuset(const char *text)
{
	g_autoptr(GArray) cpus = NULL, again = NULL;
	g_autofree char *canonical = NULL;
	int r;

	if (cpuset_parse(text, &cpus) < 0)
		return;
	canonical = cpuset_to_string(cpus);
	r = cpuset_parse(canonical, &again);
	assert(r == 0 && again->len == cpus->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_dup_text(data, size);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 400);
	g_autoptr(IdMap) map = NULL;
	uint32_t uid, gid, back;

	try_cpuset(text);
	if (id_map_parse((const char *const *)lines, g_strv_length(lines), &map, NULL) < 0)
		return 0;
	if (id_map_root(map, &uid, &gid, NULL) == 0 &&
		id_map_to_container(map, ID_KIND_USER, uid, &back) == 0)
		assert(back == 0);
	return 0;
}
