/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static const SchemaOption verbose_options[] = {
	{.name = "verbose", .type = SCHEMA_BOOLEAN, .description = "More detail"},
	{.name = "secret-way", .type = SCHEMA_STRING, .flags = SCHEMA_HIDDEN},
	{0},
};

static const char *const positionals[] = {"vmid", NULL};

static const Command commands[] = {
	{.name = "status",
		.verb = "GET",
		.path = "/nodes/{node}/lxc/{vmid}/status/current",
		.positionals = positionals,
		.options = verbose_options},
	{.name = "set",
		.verb = "PUT",
		.path = "/nodes/{node}/lxc/{vmid}/config",
		.positionals = positionals},
	{.name = "bare", .description = "Nothing at all"},
	{0},
};

static const CliProgram program = {"pct", "containers", commands};

/* The help's text; owned by the caller and not by GLib. */
static char *help_of(const Command *command, bool options)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	if (command)
		help_command(&program, command, options, out);
	else
		help_program(&program, options, out);
	(void)fclose(out);
	return text;
}

static void usage_names_the_arguments(void **state)
{
	char *status = help_of(&commands[0], false);
	char *bare = help_of(&commands[2], false);

	assert_string_equal(status, "USAGE: pct status <vmid> [OPTIONS]\n");
	assert_string_equal(bare, "USAGE: pct bare\n");
	free(status);
	free(bare);
}

static void options_come_from_the_tables(void **state)
{
	char *text = help_of(&commands[1], true);

	assert_non_null(strstr(text, "  --memory   <integer> (16 - "));
	assert_non_null(strstr(text, "  --net[n]   "));
	assert_non_null(strstr(text, "  --digest   "));
	assert_null(strstr(text, "--vmid"));
	free(text);
}

static void hidden_options_are_not_shown(void **state)
{
	char *text = help_of(&commands[0], true);

	assert_non_null(strstr(text, "--verbose"));
	assert_null(strstr(text, "secret-way"));
	free(text);
}

static void program_lists_its_commands(void **state)
{
	char *text = help_of(NULL, false);

	assert_non_null(strstr(text, " pct status <vmid> [OPTIONS]\n"));
	assert_non_null(strstr(text, " pct set <vmid> [OPTIONS]\n"));
	assert_non_null(strstr(text, " pct bare\n"));
	assert_null(strstr(text, "--memory"));
	free(text);

	text = help_of(NULL, true);
	assert_non_null(strstr(text, "USAGE: pct bare\n"));
	assert_non_null(strstr(text, "--memory"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_names_the_arguments),
		cmocka_unit_test(options_come_from_the_tables),
		cmocka_unit_test(hidden_options_are_not_shown),
		cmocka_unit_test(program_lists_its_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
