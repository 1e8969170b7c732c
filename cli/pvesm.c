/* SPDX-License-Identifier: Apache-2.0 */
/* pvesm: storages and volumes. */

#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "cli/command.h"
#include "cli/print.h"

static const char *const storage[] = {"storage", NULL};
static const char *const volume[] = {"volume", NULL};

/* The API's path names the storage too, which is the part before the colon. */
static int storage_of_volume(
	Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	const char *volid = args_get(args, "volume");
	const char *colon = strchr(volid, ':');
	g_autofree char *name = colon ? g_strndup(volid, (gsize)(colon - volid)) : NULL;

	if (!colon || colon == volid || !colon[1])
		return err_set(err, EINVAL, "unable to parse volume id '%s'", volid);

	args_set(args, "storage", name);
	return 0;
}

static const Command commands[] = {
	{"list", "GET", "/nodes/{node}/storage/{storage}/content", storage, 0, NULL, NULL, NULL,
		print_volumes},
	{"path", "GET", "/nodes/{node}/storage/{storage}/content/{volume}", volume, 0, NULL,
		"Path of a volume on this node", storage_of_volume, print_path},
	{"status", "GET", "/nodes/{node}/storage", NULL, 0, NULL, NULL, NULL, print_storages},
	{0},
};

static const CliProgram program = {"pvesm", "storages and volumes", commands};

int main(int argc, char **argv)
{
	return cli_main(&program, argc, argv);
}
