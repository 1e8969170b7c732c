/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attach.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/client_stream.h"
#include "base/err.h"
#include "base/macro.h"
#include "cli/terminal.h"

extern char **environ;

/* A parameter that is a list of texts: takes the array, which it makes text of. */
static void set_list(Args *args, const char *name, json_t *array)
{
	char *text = json_dumps(array, JSON_COMPACT);

	args_set(args, name, text);
	free(text);
	json_decref(array);
}

static void set_number(Args *args, const char *name, unsigned value)
{
	g_autofree char *text = g_strdup_printf("%u", value);

	args_set(args, name, text);
}

/* Opens the stream with the user's terminal, if there is one, at both of its ends. */
int attach_console(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	bool tty = terminal_is_interactive();
	AgentStreamOptions options = {
		.stdin_fd = STDIN_FILENO,
		.stdout_fd = STDOUT_FILENO,
		.stderr_fd = STDERR_FILENO,
		.follow_size = tty,
	};
	int r;

	if (tty) {
		TerminalSize size = terminal_size();

		args_set(args, "tty", "1");
		set_number(args, "rows", size.rows);
		set_number(args, "cols", size.cols);
		r = terminal_raw(err);
		if (r < 0)
			return r;
	}

	r = cli_stream(cli, command, args, &options, ret_status, err);
	/* Before anybody prints a reason. */
	terminal_restore();
	if (r == -E2BIG && args_get(args, "env"))
		return err_prefix(err, r, "--keep-env 0 leaves the environment out");
	return (r < 0) ? r : 1;
}

/* Variables may hold any bytes; those that are not UTF-8 cannot be sent and stay here. */
static void keep_environment(Args *args)
{
	json_t *array;

	if (!args_get_boolean(args, "keep-env", true))
		return;
	array = json_array();
	for (char **variable = environ; *variable; variable++)
		(void)json_array_append_new(array, json_string(*variable));
	set_list(args, "env", array);
}

/* Without one of its arguments a command may mean something else: all of them are sent, or none. */
static int take_command(Args *args, GError **err)
{
	const char *const *argv = args_rest(args);
	json_auto_t *array = json_array();

	for (unsigned i = 0; argv[i]; i++) {
		if (json_array_append_new(array, json_string(argv[i])) < 0)
			return err_set(err, EILSEQ, "argument %u of the command is not UTF-8", i);
	}
	set_list(args, "command", g_steal_pointer(&array));
	return 0;
}

int attach_exec(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	int r;

	r = take_command(args, err);
	if (r < 0)
		return r;
	keep_environment(args);
	return attach_console(cli, command, args, ret_status, err);
}

int attach_enter(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	keep_environment(args);
	return attach_console(cli, command, args, ret_status, err);
}
