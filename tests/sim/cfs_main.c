/* SPDX-License-Identifier: Apache-2.0 */

/* tests/sim/cfs [--seeds A-B] [--verbose]: runs each seed twice and compares the traces.  Speaks
 * TAP; a failing run says its seed, and the seed alone repeats it. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define SEEDS_DEFAULT "1-150"

/* So many seeds are certain to meet everything. */
#define COVERAGE_SEEDS_MIN 150

/* What to say when an assertion of the code under test ends the run. */
static char last_words[64];

static void say_last_words(int signal_number)
{
	/* Nothing can be done when even this fails. */
	if (write(STDOUT_FILENO, last_words, strlen(last_words)) < 0)
		_exit(2);
}

static bool parse_seeds(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
	char *end;

	*ret_first = g_ascii_strtoull(text, &end, 10);
	*ret_last = *end == '-' ? g_ascii_strtoull(end + 1, &end, 10) : *ret_first;
	return *end == '\0' && end != text && *ret_first <= *ret_last;
}

static void print_figures(const SimFigures *total)
{
	printf("# acknowledged %" G_GUINT64_FORMAT ", refused %" G_GUINT64_FORMAT
	       ", read-only %" G_GUINT64_FORMAT ", unknown %" G_GUINT64_FORMAT "\n",
		total->acknowledged, total->refused, total->read_only, total->unknown);
	printf("# partitions %" G_GUINT64_FORMAT ", crashes %" G_GUINT64_FORMAT
	       ", pauses %" G_GUINT64_FORMAT ", failed batches %" G_GUINT64_FORMAT
	       ", lost disks %" G_GUINT64_FORMAT "\n",
		total->partitions, total->crashes, total->pauses, total->disk_faults,
		total->disks_lost);
	printf("# transfers %" G_GUINT64_FORMAT ", epochs adopted %" G_GUINT64_FORMAT
	       ", messages %" G_GUINT64_FORMAT "\n",
		total->transfers, total->epochs, total->messages);
}

/* A green run in which nothing happened has shown nothing. */
static bool did_everything(const SimFigures *total)
{
	return total->acknowledged > 0 && total->refused > 0 && total->read_only > 0 &&
	       total->unknown > 0 && total->partitions > 0 && total->crashes > 0 &&
	       total->pauses > 0 && total->disk_faults > 0 && total->disks_lost > 0 &&
	       total->transfers > 0 && total->epochs > 0;
}

int main(int argc, char **argv)
{
	g_autofree char *seeds = NULL;
	gboolean verbose = FALSE;
	const GOptionEntry entries[] = {
		{"seeds", 's', 0, G_OPTION_ARG_STRING, &seeds, "Seeds to run, " SEEDS_DEFAULT,
			"A-B"},
		{"verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "Say what happens", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) err = NULL;
	SimFigures total = {0};
	uint64_t first, last;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &err) ||
		!parse_seeds(seeds ? seeds : SEEDS_DEFAULT, &first, &last)) {
		fprintf(stderr, "%s\n", err ? err->message : "seeds are FIRST-LAST");
		return 2;
	}

	(void)signal(SIGABRT, say_last_words);
	printf("1..2\n");
	fflush(stdout);
	for (uint64_t seed = first; seed <= last; seed++) {
		SimFigures ignored = {0};
		uint64_t trace;

		g_snprintf(last_words, sizeof(last_words),
			"not ok 1 - seed %" G_GUINT64_FORMAT "\n", seed);
		trace = sim_run(seed, verbose, &total);
		if (sim_run(seed, false, &ignored) != trace) {
			printf("not ok 1 - seed %" G_GUINT64_FORMAT " runs differently twice\n",
				seed);
			return 1;
		}
	}
	print_figures(&total);
	printf("ok 1 - seeds %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
	       " keep every promise, twice alike\n",
		first, last);
	if (last - first + 1 < COVERAGE_SEEDS_MIN) {
		printf("ok 2 # SKIP so few seeds need not meet every fault\n");
		return 0;
	}
	printf("%sok 2 - every kind of fault and outcome occurred\n",
		did_everything(&total) ? "" : "not ");
	return did_everything(&total) ? 0 : 1;
}
