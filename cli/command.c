/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <gio/gio.h>
#include <glib-unix.h>

#include "agent/client.h"
#include "agent/methods.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/paths.h"
#include "cli/help.h"
#include "cli/owner.h"
#include "cli/print.h"

struct Cli {
	AgentClient *client;
	char *node; /* Of the request. */
};

/* The name inside "{name}" at text; NULL when there is none.  Owned by the caller. */
static char *placeholder_dup(const char *text)
{
	const char *end = (*text == '{') ? strchr(text, '}') : NULL;

	return end ? g_strndup(text + 1, (gsize)(end - text - 1)) : NULL;
}

char *cli_path_dup(const char *pattern, const char *node, const Args *args)
{
	GString *path = g_string_new(NULL);

	while (*pattern) {
		g_autofree char *name = placeholder_dup(pattern);
		const char *value;

		if (!name) {
			g_string_append_c(path, *pattern++);
			continue;
		}
		value = str_equal(name, "node") ? node : args_get(args, name);
		g_string_append_uri_escaped(path, value ?: "", NULL, false);
		pattern += strlen(name) + 2;
	}

	return g_string_free(path, FALSE);
}

/* What is sent beside the path. */
typedef struct Params {
	json_t *object;
	const char *pattern;
	const SchemaOption *not_sent; /* The command's own options. */
} Params;

static void add_param(const char *name, const char *value, void *data)
{
	Params *params = data;
	g_autofree char *placeholder = g_strdup_printf("{%s}", name);

	if (!strstr(params->pattern, placeholder) && !schema_find(params->not_sent, name, NULL))
		(void)json_object_set_new(params->object, name, json_string(value));
}

static int request(Cli *cli, const char *verb, const char *pattern, const SchemaOption *not_sent,
	const Args *args, json_t **ret_data, GError **err)
{
	g_autofree char *path = cli_path_dup(pattern, cli->node, args);
	json_auto_t *object = json_object();
	Params params = {object, pattern, not_sent};

	args_each(args, add_param, &params);
	return agent_client_request(cli->client, verb, path, object, ret_data, err);
}

int cli_stream(Cli *cli, const Command *command, const Args *args,
	const AgentStreamOptions *options, int *ret_status, GError **err)
{
	g_autofree char *path = cli_path_dup(command->path, cli->node, args);
	json_auto_t *object = json_object();
	Params params = {object, command->path, command->options};

	args_each(args, add_param, &params);
	return agent_client_stream(cli->client, path, object, options, ret_status, err);
}

static void print_line(const char *text, void *data)
{
	printf("%s\n", text);
	/* Progress is to be seen as it comes, through a pipe too. */
	(void)fflush(stdout);
}

/* A task that is being followed. */
typedef struct Followed {
	Cli *cli;
	const char *upid;
	bool abort_asked;
} Followed;

/* The user wants the task to stop, not just to stop watching it: it would go on, and hold the container's
 * lock.  It says itself when it has; who asks again does not want to wait for that. */
static gboolean on_interrupt(gpointer data)
{
	Followed *followed = data;
	g_autofree char *upid = g_uri_escape_string(followed->upid, NULL, false);
	g_autofree char *path = g_strdup_printf("/nodes/%s/tasks/%s", followed->cli->node, upid);
	g_autoptr(GError) error = NULL;

	if (followed->abort_asked)
		_exit(CLI_FAILED);
	followed->abort_asked = true;
	if (agent_client_request(followed->cli->client, "DELETE", path, NULL, NULL, &error) < 0)
		(void)fprintf(stderr, "cannot stop the task: %s\n", error->message);
	return G_SOURCE_CONTINUE;
}

static int follow(Cli *cli, const json_t *upid, GError **err)
{
	Followed followed = {.cli = cli, .upid = json_string_value(upid)};
	unsigned interrupt, terminate;
	bool warnings;
	int r;

	if (!followed.upid)
		return err_set(err, EIO, "the agent's answer has no task id");

	interrupt = g_unix_signal_add(SIGINT, on_interrupt, &followed);
	terminate = g_unix_signal_add(SIGTERM, on_interrupt, &followed);
	r = agent_client_follow(
		cli->client, cli->node, followed.upid, print_line, NULL, &warnings, err);
	g_source_remove(interrupt);
	g_source_remove(terminate);
	return r;
}

static void print_answer(const Command *command, const json_t *data, const Args *args)
{
	const char *format = args_get(args, "output-format");

	if (format && !str_equal(format, "text"))
		print_json(data, str_equal(format, "json-pretty"));
	else if (command->print)
		command->print(data, args);
}

static void print_warnings(Cli *cli)
{
	json_t *warning;
	size_t i;

	json_array_foreach(agent_client_warnings(cli->client), i, warning)
		(void)fprintf(stderr, "WARN: %s\n", json_string_value(warning) ?: "");
}

static int run(Cli *cli, const Command *command, Args *args, GError **err)
{
	const ApiMethod *method;
	json_auto_t *data = NULL;
	int status = 0;
	int r = 0;

	if (command->prepare)
		r = command->prepare(cli, command, args, &status, err);
	if (r < 0)
		return r;
	if (r > 0)
		return status;

	r = request(cli, command->verb, command->path, command->options, args, &data, err);
	if (r < 0)
		return r;

	method = api_method_find(command->verb, command->path);
	if (method->kind == API_TASK)
		return follow(cli, data, err);
	print_warnings(cli);
	print_answer(command, data, args);
	return 0;
}

/* The command of this name, or the only one that begins with it. */
static const Command *find_command(const CliProgram *program, const char *name)
{
	const Command *found = NULL;

	for (const Command *command = program->commands; command->name; command++) {
		if (str_equal(command->name, name))
			return command;
		if (!g_str_has_prefix(command->name, name))
			continue;
		if (found)
			return NULL;
		found = command;
	}

	return found;
}

static int run_help(const CliProgram *program, int argc, char **argv)
{
	static const SchemaOption options[] = {
		{.name = "verbose", .type = SCHEMA_BOOLEAN},
		{.name = "command", .type = SCHEMA_STRING},
		{0},
	};
	static const char *const positionals[] = {"command", NULL};
	const ArgsSpec spec = {{options}, positionals, 1};
	const Command *command;
	g_autoptr(Args) args = NULL;
	g_autoptr(GError) error = NULL;

	if (args_parse(&spec, argc, argv, &args, &error) < 0) {
		(void)fprintf(stderr, "%s\nUSAGE: %s help [<command>] [--verbose]\n",
			error->message, program->name);
		return CLI_FAILED;
	}
	if (!args_get(args, "command")) {
		help_program(program, args_get_boolean(args, "verbose", false), stdout);
		return 0;
	}

	command = find_command(program, args_get(args, "command"));
	if (!command) {
		(void)fprintf(stderr, "no such command '%s'\n", args_get(args, "command"));
		return CLI_FAILED;
	}
	help_command(program, command, true, stdout);
	return 0;
}

/* The node that the request is about: where its container is, or else this one. */
static char *target_node_dup(const Command *command, const Args *args)
{
	bool about_container = command->path && strstr(command->path, "{vmid}");
	char *owner = about_container ? owner_find(args_get(args, "vmid")) : NULL;

	return owner ?: node_name_dup();
}

/* Whether the user has to write the command in another way: what the parser or the agent's check of
 * parameters says, but not what is wrong with a container. */
static bool is_usage_error(bool parsed, const GError *error)
{
	return !parsed || g_str_has_prefix(error->message, "400 ");
}

static int run_command(const CliProgram *program, const Command *command, int argc, char **argv)
{
	Cli cli = {0};
	ArgsSpec spec;
	g_autoptr(Args) args = NULL;
	g_autoptr(GError) error = NULL;
	bool parsed;
	int r;

	command_spec(command, &spec);
	r = args_parse(&spec, argc, argv, &args, &error);
	parsed = r == 0;
	if (parsed) {
		cli.client = agent_client_new(NULL);
		cli.node = target_node_dup(command, args);
		r = run(&cli, command, args, &error);
		cli.client = agent_client_free(cli.client);
		g_free(cli.node);
	}

	if (r < 0) {
		(void)fflush(stdout);
		(void)fprintf(stderr, "%s\n", error->message);
		if (is_usage_error(parsed, error))
			help_command(program, command, false, stderr);
		return CLI_FAILED;
	}
	return r;
}

static int run_program(const CliProgram *program, int argc, char **argv)
{
	const Command *command;

	if (argc < 2) {
		(void)fprintf(stderr, "no command specified\n");
		help_program(program, false, stderr);
		return CLI_FAILED;
	}
	if (str_equal(argv[1], "--version")) {
		printf("%s %s\n", program->name, PACKAGE_VERSION);
		return 0;
	}
	if (str_equal(argv[1], "help") || str_equal(argv[1], "--help") || str_equal(argv[1], "-h"))
		return run_help(program, argc - 2, argv + 2);

	command = find_command(program, argv[1]);
	if (!command) {
		(void)fprintf(stderr, "unknown command '%s %s'\n", program->name, argv[1]);
		help_program(program, false, stderr);
		return CLI_FAILED;
	}
	if (argc > 2 && (str_equal(argv[2], "--help") || str_equal(argv[2], "-h"))) {
		help_command(program, command, true, stdout);
		return 0;
	}

	return run_command(program, command, argc - 2, argv + 2);
}

/* When nobody reads the output any more, SIGPIPE is to end us as any other program.  GLib ignores it from
 * the first socket on, although it asks for none when it writes to sockets itself. */
static void keep_sigpipe(void)
{
	struct sigaction inherited;

	assert(sigaction(SIGPIPE, NULL, &inherited) == 0);
	(void)g_type_class_ref(G_TYPE_SOCKET);
	assert(sigaction(SIGPIPE, &inherited, NULL) == 0);
}

int cli_main(const CliProgram *program, int argc, char **argv)
{
	int status;

	assert(program && argc > 0);

	keep_sigpipe();
	status = run_program(program, argc, argv);
	/* A full disk behind a redirection must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "cannot write the output: %s\n", g_strerror(errno));
		return CLI_FAILED;
	}
	return status;
}
