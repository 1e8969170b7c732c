/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/macro.h"
#include "tests/probe/probe.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} probes[] = {
	{"bindmount", probe_bindmount},
	{"guest-setup", probe_guest_setup},
	{"storage", probe_storage},
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 1 && i < G_N_ELEMENTS(probes); i++)
		if (str_equal(argv[1], probes[i].name))
			return probes[i].run(argc - 1, argv + 1);

	(void)fprintf(stderr, "usage: atoll-probe COMMAND …, where COMMAND is one of:\n");
	for (unsigned i = 0; i < G_N_ELEMENTS(probes); i++)
		(void)fprintf(stderr, "  %s\n", probes[i].name);
	return EXIT_FAILURE;
}
