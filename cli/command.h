/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program of sub-commands as a table, and what is the same for all of them: finding the command,
 * parsing its arguments, help, sending its request, following its task, exit status.
 *
 * A command is an API method, the order of its positional arguments, and a function that prints what was
 * answered.  The node in the method's path is the one that its container is on, or else the one that the
 * program runs on. */

#include <jansson.h>

#include <glib.h>

#include "agent/client_stream.h"
#include "base/schema.h"
#include "cli/args.h"

/* Exit status of a failed command and of wrong usage, as scripts know it. */
#define CLI_FAILED 255

typedef struct Cli Cli;
typedef struct Command Command;

struct Command {
	const char *name; /* "create"; NULL ends a table. */
	const char *verb; /* The API's method … */
	const char *path; /* … NULL: prepare does all of it. */
	const char *const
		*positionals; /* Names of parameters in order, NULL-terminated; NULL: none. */
	unsigned n_optional;  /* How many of the last of them may be missing. */
	const SchemaOption *options; /* The command's own, not sent to the agent; NULL: none. */
	const char *description;     /* For help; NULL: the method's. */

	/* Called before the request, to complete or change the arguments.  NULL: nothing to do.
	 * Returns 0 to go on; 1 when the command is done, with *ret_status its exit status; or a
	 * negative errno with the reason. */
	int (*prepare)(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err);

	/* Prints what was answered; NULL: nothing is printed.  Not called for tasks. */
	void (*print)(const json_t *data, const Args *args);
};

typedef struct CliProgram {
	const char *name;        /* "pct" */
	const char *description; /* "containers" */
	const Command *commands;
} CliProgram;

/* A method's path with {node} and the names from args filled in.  Owned by the caller. */
char *cli_path_dup(const char *pattern, const char *node, const Args *args);

/* Opens the stream that the command's path names and relays until its end; *ret_status is the exit
 * status of the program at its other end. */
int cli_stream(Cli *cli, const Command *command, const Args *args,
	const AgentStreamOptions *options, int *ret_status, GError **err);

/* A program's main. */
int cli_main(const CliProgram *program, int argc, char **argv);
