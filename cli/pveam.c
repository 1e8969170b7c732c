/* SPDX-License-Identifier: Apache-2.0 */
/* pveam: templates. */

#include "cli/command.h"
#include "cli/print.h"

static const char *const storage[] = {"storage", NULL};

/* Templates are the volumes with this content. */
static int only_templates(
	Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	args_set(args, "content", "vztmpl");
	return 0;
}

static const Command commands[] = {
	{"list", "GET", "/nodes/{node}/storage/{storage}/content", storage, 0, NULL,
		"Templates on a storage", only_templates, print_templates},
	{0},
};

static const CliProgram program = {"pveam", "templates", commands};

int main(int argc, char **argv)
{
	return cli_main(&program, argc, argv);
}
