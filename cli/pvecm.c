/* SPDX-License-Identifier: Apache-2.0 */
/* pvecm: the cluster. */

#include "cli/command.h"
#include "cli/print.h"

static const Command commands[] = {
	{"nodes", "GET", "/cluster/status", NULL, 0, NULL, "Nodes of the cluster", NULL,
		print_cluster_nodes},
	{"status", "GET", "/cluster/status", NULL, 0, NULL, NULL, NULL, print_cluster_status},
	{0},
};

static const CliProgram program = {"pvecm", "the cluster", commands};

int main(int argc, char **argv)
{
	return cli_main(&program, argc, argv);
}
