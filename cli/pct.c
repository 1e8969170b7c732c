/* SPDX-License-Identifier: Apache-2.0 */
/* pct: containers of this node. */

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/terminal.h"

#define CT "/nodes/{node}/lxc/{vmid}"

/* Longest file of ssh keys. */
#define KEYS_SIZE_MAX 65536

static const char *const vmid[] = {"vmid", NULL};
static const char *const vmid_command[] = {"vmid", "command", NULL};
static const char *const vmid_template[] = {"vmid", "ostemplate", NULL};

static const char *const output_formats[] = {"text", "json", "json-pretty", NULL};

static const SchemaOption output_options[] = {
	{
		.name = "output-format",
		.type = SCHEMA_ENUM,
		.values = output_formats,
		.default_value = "text",
		.description = "How to print the answer",
	},
	{0},
};

static const SchemaOption status_options[] = {
	{
		.name = "verbose",
		.type = SCHEMA_BOOLEAN,
		.default_value = "0",
		.description = "All that is known",
	},
	{0},
};

/* The file named by --ssh-public-keys becomes its content: the agent gets no path of ours. */
static int read_keys(Args *args, GError **err)
{
	const char *path = args_get(args, "ssh-public-keys");
	g_autofree char *keys = NULL;
	int r;

	if (!path)
		return 0;
	r = file_read(path, KEYS_SIZE_MAX, &keys, NULL);
	if (r < 0)
		return err_set_errno(err, r, "cannot read ssh keys from '%s'", path);

	args_set(args, "ssh-public-keys", keys);
	return 0;
}

static int prepare_create(
	Cli *cli, const Command *command, Args *args, int *ret_status, GError **err)
{
	g_autofree char *password = NULL;
	int r;

	if (str_equal(args_get(args, "password"), "")) {
		r = terminal_ask_password("Enter password: ", &password, err);
		if (r < 0)
			return r;
		args_set(args, "password", password);
	}

	return read_keys(args, err);
}

static const Command commands[] = {
	{"config", "GET", CT "/config", vmid, 0, output_options, NULL, NULL, print_config},
	{"console", "GET", CT "/console", vmid, 0, NULL, NULL, attach_console, NULL},
	{"create", "POST", "/nodes/{node}/lxc", vmid_template, 0, NULL, NULL, prepare_create, NULL},
	{"destroy", "DELETE", CT, vmid, 0, NULL, NULL, NULL, NULL},
	{"enter", "GET", CT "/enter", vmid, 0, NULL, NULL, attach_enter, NULL},
	{"exec", "GET", CT "/exec", vmid_command, 0, NULL, NULL, attach_exec, NULL},
	{"list", "GET", "/nodes/{node}/lxc", NULL, 0, output_options, NULL, NULL, print_containers},
	{"pending", "GET", CT "/pending", vmid, 0, output_options, NULL, NULL, print_pending},
	{"reboot", "POST", CT "/status/reboot", vmid, 0, NULL, NULL, NULL, NULL},
	{"set", "PUT", CT "/config", vmid, 0, NULL, NULL, NULL, NULL},
	{"shutdown", "POST", CT "/status/shutdown", vmid, 0, NULL, NULL, NULL, NULL},
	{"start", "POST", CT "/status/start", vmid, 0, NULL, NULL, NULL, NULL},
	{"status", "GET", CT "/status/current", vmid, 0, status_options, NULL, NULL,
		print_container_status},
	{"stop", "POST", CT "/status/stop", vmid, 0, NULL, NULL, NULL, NULL},
	{"unlock", "POST", CT "/unlock", vmid, 0, NULL, NULL, NULL, NULL},
	{0},
};

static const CliProgram program = {"pct", "containers of this node", commands};

int main(int argc, char **argv)
{
	return cli_main(&program, argc, argv);
}
