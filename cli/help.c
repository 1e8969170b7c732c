/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

#include "agent/methods.h"
#include "base/macro.h"

static const ApiMethod *command_method(const Command *command)
{
	return command->path ? api_method_find(command->verb, command->path) : NULL;
}

static const char *command_description(const Command *command)
{
	const ApiMethod *method = command_method(command);

	if (command->description)
		return command->description;
	return method ? method->description : "";
}

void command_spec(const Command *command, ArgsSpec *ret)
{
	const ApiMethod *method = command_method(command);

	/* A command that names a method that does not exist is a bug of its table. */
	assert(!command->path || method);

	*ret = (ArgsSpec){
		.tables = {command->options, method ? method->params : NULL,
			method ? method->more : NULL, api_path_params},
		.positionals = command->positionals,
		.n_optional = command->n_optional,
	};
}

static bool is_positional(const Command *command, const char *name)
{
	return command->positionals && g_strv_contains(command->positionals, name);
}

static void print_usage(const CliProgram *program, const Command *command, FILE *out)
{
	unsigned n = command->positionals ? g_strv_length((char **)command->positionals) : 0;

	(void)fprintf(out, "%s %s", program->name, command->name);
	for (unsigned i = 0; i < n; i++)
		(void)fprintf(out, (i + command->n_optional < n) ? " <%s>" : " [<%s>]",
			command->positionals[i]);
}

static bool is_offered(const Command *command, const SchemaOption *option)
{
	return !(option->flags & (SCHEMA_HIDDEN | SCHEMA_INTERNAL)) &&
	       !is_positional(command, option->name);
}

static bool has_options(const Command *command, const ArgsSpec *spec)
{
	/* The last table is that of the path's names, which are positionals or known. */
	for (unsigned i = 0; i + 1 < ARGS_TABLES_MAX; i++)
		for (const SchemaOption *option = spec->tables[i]; option && option->name; option++)
			if (is_offered(command, option))
				return true;

	return false;
}

static void print_option(const SchemaOption *option, const char *prefix, FILE *out)
{
	g_autofree char *type = schema_type_dup_help(option);

	(void)fprintf(
		out, "  %s%s%s   %s", prefix, option->name, option->n_index ? "[n]" : "", type);
	if (option->default_value)
		(void)fprintf(out, " (default=%s)", option->default_value);
	(void)fprintf(out, "\n\t     %s\n\n", option->description ?: "");
}

static void print_options(const Command *command, const ArgsSpec *spec, FILE *out)
{
	for (unsigned i = 0; command->positionals && command->positionals[i]; i++)
		print_option(args_find(spec, command->positionals[i]), "", out);

	for (unsigned i = 0; i + 1 < ARGS_TABLES_MAX; i++)
		for (const SchemaOption *option = spec->tables[i]; option && option->name; option++)
			if (is_offered(command, option))
				print_option(option, "--", out);
}

void help_command(const CliProgram *program, const Command *command, bool options, FILE *out)
{
	ArgsSpec spec;

	command_spec(command, &spec);
	(void)fputs("USAGE: ", out);
	print_usage(program, command, out);
	(void)fputs(has_options(command, &spec) ? " [OPTIONS]\n" : "\n", out);

	if (options) {
		(void)fprintf(out, "\n  %s.\n\n", command_description(command));
		print_options(command, &spec, out);
	}
}

void help_program(const CliProgram *program, bool options, FILE *out)
{
	(void)fprintf(out, "USAGE: %s <COMMAND> [ARGS] [OPTIONS]     (%s)\n\n", program->name,
		program->description);

	for (const Command *command = program->commands; command->name; command++) {
		ArgsSpec spec;

		if (options) {
			help_command(program, command, true, out);
			continue;
		}
		command_spec(command, &spec);
		(void)fputs("       ", out);
		print_usage(program, command, out);
		(void)fputs(has_options(command, &spec) ? " [OPTIONS]\n" : "\n", out);
	}

	(void)fprintf(out, "\n       %s help [<command>] [--verbose]\n", program->name);
}
