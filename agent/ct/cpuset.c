/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/cpuset.h"

#include <string.h>

#include "base/macro.h"

static bool parse_cpu(const char *text, unsigned *ret)
{
	uint64_t cpu;

	if (!g_ascii_string_to_unsigned(text, 10, 0, CPUSET_CPUS_MAX - 1, &cpu, NULL))
		return false;
	*ret = (unsigned)cpu;
	return true;
}

/* One CPU, or FIRST-LAST. */
static bool parse_range(char *text, unsigned *ret_first, unsigned *ret_last)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash = '\0';
	return parse_cpu(text, ret_first) && parse_cpu(dash ? dash + 1 : text, ret_last) &&
	       *ret_first <= *ret_last;
}

int cpuset_parse(const char *text, GArray **ret)
{
	g_autofree char *stripped = NULL;
	g_auto(GStrv) ranges = NULL;
	g_autoptr(GArray) cpus = g_array_new(FALSE, FALSE, sizeof(unsigned));
	bool member[CPUSET_CPUS_MAX] = {false};

	assert(text && ret);

	stripped = g_strstrip(g_strdup(text));
	ranges = g_strsplit(stripped, ",", -1);
	for (char **range = ranges; *range; range++) {
		unsigned first, last;

		if (!parse_range(*range, &first, &last))
			return -EINVAL;
		memset(member + first, true, last - first + 1);
	}

	for (unsigned cpu = 0; cpu < CPUSET_CPUS_MAX; cpu++)
		if (member[cpu])
			g_array_append_val(cpus, cpu);
	*ret = g_steal_pointer(&cpus);
	return 0;
}

char *cpuset_to_string(const GArray *cpus)
{
	GString *text = g_string_new(NULL);
	const unsigned *cpu;

	assert(cpus);

	cpu = (const unsigned *)cpus->data;
	for (unsigned i = 0, last; i < cpus->len; i = last + 1) {
		for (last = i; last + 1 < cpus->len && cpu[last + 1] == cpu[last] + 1; last++)
			;
		g_string_append_printf(text, "%s%u", i > 0 ? "," : "", cpu[i]);
		if (last > i)
			g_string_append_printf(text, "-%u", cpu[last]);
	}
	return g_string_free(text, FALSE);
}
