/* SPDX-License-Identifier: Apache-2.0 */

/* tests/sim/cfs [--seeds A-B | --minutes M | --trace SEED]: runs each seed twice and compares the
 * traces.  Speaks TAP; a failing run says its seed, and the seed alone repeats it.
 *
 * Seeds run in a child, so that an assertion of the code under test is one finding among others, and
 * what was counted until then is kept. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define SEEDS_DEFAULT "1-300"

/* So many seeds are certain to meet everything. */
#define COVERAGE_SEEDS_MIN 300

/* More of the same is of no use. */
#define FINDINGS_MAX 10

/* New seeds are above those that people write down. */
#define NEW_SEED_MIN 1000000

typedef struct Options {
	char *seeds;
	int minutes;
	char *trace;
	gboolean once;
} Options;

static void options_clear(Options *options)
{
	g_free(options->seeds);
	g_free(options->trace);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* What parent and children share. */
typedef struct Progress {
	uint64_t next;  /* The seed that runs, or the one to go on with. */
	uint64_t n_run; /* Seeds that have run to their end. */
	SimFigures total;
} Progress;

static bool parse_seeds(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
	char *end;

	*ret_first = g_ascii_strtoull(text, &end, 10);
	*ret_last = *end == '-' ? g_ascii_strtoull(end + 1, &end, 10) : *ret_first;
	return *end == '\0' && end != text && *ret_first <= *ret_last && *ret_last < UINT64_MAX;
}

static void run_seed(Progress *progress, uint64_t seed, bool once)
{
	SimFigures ignored = {0};
	uint64_t trace = sim_run(seed, false, &progress->total);

	if (!once && sim_run(seed, false, &ignored) != trace) {
		printf("# seed %" G_GUINT64_FORMAT ": [trace] runs differently twice\n", seed);
		fflush(stdout);
		abort();
	}
	progress->n_run++;
}

/* Runs seeds up to last, or until the time has come, in a child.  False when one has failed. */
static bool run_child(Progress *progress, uint64_t last, int64_t until_us, bool once)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child < 0)
		g_error("cannot fork: %s", g_strerror(errno));
	if (child == 0) {
		for (; progress->next <= last && g_get_monotonic_time() < until_us;
			progress->next++)
			run_seed(progress, progress->next, once);
		_exit(0);
	}
	if (waitpid(child, &status, 0) < 0)
		g_error("cannot wait for a child: %s", g_strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Returns the number of seeds that failed. */
static unsigned run_seeds(Progress *progress, uint64_t last, int64_t until_us, bool once)
{
	unsigned n_findings = 0;

	while (!run_child(progress, last, until_us, once)) {
		n_findings++;
		printf("# replay with: tests/sim/cfs --trace %" G_GUINT64_FORMAT "\n",
			progress->next);
		progress->next++;
		if (n_findings >= FINDINGS_MAX || once)
			break;
	}
	return n_findings;
}

static void print_figures(const Progress *progress, unsigned n_findings)
{
	const SimFigures *total = &progress->total;

	printf("# %" G_GUINT64_FORMAT " seeds, %.1f simulated hours, %u findings\n",
		progress->n_run, (double)total->simulated_ms / 3600000, n_findings);
	printf("# changes: acknowledged %" G_GUINT64_FORMAT ", refused %" G_GUINT64_FORMAT
	       ", read-only %" G_GUINT64_FORMAT ", unknown %" G_GUINT64_FORMAT
	       "; reads behind barriers %" G_GUINT64_FORMAT "\n",
		total->acknowledged, total->refused, total->read_only, total->unknown,
		total->barriers);
	printf("# messages %" G_GUINT64_FORMAT ", epochs %" G_GUINT64_FORMAT
	       ", transfers of logs %" G_GUINT64_FORMAT ", of trees %" G_GUINT64_FORMAT
	       ", failed batches %" G_GUINT64_FORMAT ", repeated entries %" G_GUINT64_FORMAT "\n",
		total->messages, total->epochs, total->logs, total->trees, total->failed_batches,
		total->repeated);
	printf("# locks: taken %" G_GUINT64_FORMAT ", renewed %" G_GUINT64_FORMAT
	       ", takeovers tried %" G_GUINT64_FORMAT "\n",
		total->locks, total->renewals, total->takeovers);
	for (SimFault fault = 0; fault < SIM_N_FAULTS; fault++)
		printf("# %s: %" G_GUINT64_FORMAT "\n", sim_fault_to_string(fault),
			total->faults[fault]);
}

/* A green run in which nothing happened has shown nothing. */
static bool did_everything(const SimFigures *total)
{
	for (SimFault fault = 0; fault < SIM_N_FAULTS; fault++)
		if (total->faults[fault] == 0)
			return false;
	return total->acknowledged > 0 && total->refused > 0 && total->read_only > 0 &&
	       total->unknown > 0 && total->barriers > 0 && total->logs > 0 && total->trees > 0 &&
	       total->locks > 0 && total->renewals > 0 && total->takeovers > 0 &&
	       total->epochs > 0 && total->failed_batches > 0;
}

static int report(const Progress *progress, unsigned n_findings)
{
	bool all = did_everything(&progress->total);

	print_figures(progress, n_findings);
	printf("%sok 1 - every promise is kept, twice alike\n", n_findings > 0 ? "not " : "");
	if (n_findings == 0 && progress->n_run < COVERAGE_SEEDS_MIN)
		printf("ok 2 # SKIP so few seeds need not meet everything\n");
	else
		printf("%sok 2 - every kind of fault and outcome occurred\n", all ? "" : "not ");
	return n_findings == 0 && (all || progress->n_run < COVERAGE_SEEDS_MIN) ? 0 : 1;
}

static bool parse_options(int *argc, char ***argv, Options *ret)
{
	const GOptionEntry entries[] = {
		{"seeds", 's', 0, G_OPTION_ARG_STRING, &ret->seeds, "Seeds to run, " SEEDS_DEFAULT,
			"A-B"},
		{"minutes", 'm', 0, G_OPTION_ARG_INT, &ret->minutes, "Run new seeds for so long",
			"M"},
		{"trace", 't', 0, G_OPTION_ARG_STRING, &ret->trace, "Say what happens in a run",
			"SEED"},
		{"once", 'o', 0, G_OPTION_ARG_NONE, &ret->once,
			"Run each seed once only, until one fails", NULL},
		G_OPTION_ENTRY_NULL,
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) err = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (g_option_context_parse(context, argc, argv, &err))
		return true;
	fprintf(stderr, "%s\n", err->message);
	return false;
}

int main(int argc, char **argv)
{
	g_auto(Options) options = {0};
	int64_t until_us = INT64_MAX;
	SimFigures ignored = {0};
	Progress *progress;
	uint64_t last;

	if (!parse_options(&argc, &argv, &options))
		return 2;
	progress = mmap(
		NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		g_error("cannot map memory: %s", g_strerror(errno));
	if (!parse_seeds(options.trace   ? options.trace
			 : options.seeds ? options.seeds
					 : SEEDS_DEFAULT,
		    &progress->next, &last)) {
		fprintf(stderr, "seeds are FIRST-LAST\n");
		return 2;
	}
	if (options.trace) {
		sim_run(progress->next, true, &ignored);
		return 0;
	}
	printf("1..2\n");
	if (options.minutes > 0) {
		progress->next = NEW_SEED_MIN + (uint64_t)g_get_real_time();
		last = UINT64_MAX - 1;
		until_us = g_get_monotonic_time() + options.minutes * (int64_t)60000000;
		printf("# seeds from %" G_GUINT64_FORMAT "\n", progress->next);
	}
	return report(progress, run_seeds(progress, last, until_us, options.once));
}
