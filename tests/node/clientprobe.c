/* SPDX-License-Identifier: Apache-2.0 */

/* The client library from the command line, for tests of the agent:
 *
 *	clientprobe request VERB PATH [NAME=VALUE…]	prints the answer
 *	clientprobe follow UPID				prints the log as it comes
 *	clientprobe stream PATH [NAME=VALUE…]		relays standard input and output
 *
 * Exits with the command's status, or with 99 and the reason. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client.h"
#include "agent/client_stream.h"
#include "base/macro.h"

#define FAILED 99

static json_t *params_of(char **argv)
{
	json_t *params = json_object();

	for (; *argv; argv++) {
		char *equals = strchr(*argv, '=');

		assert(equals);
		*equals = '\0';
		json_object_set_new(params, *argv, json_string(equals + 1));
	}
	return params;
}

static int request(AgentClient *client, char **argv, GError **err)
{
	json_auto_t *params = params_of(argv + 2);
	json_auto_t *data = NULL;
	int r = agent_client_request(client, argv[0], argv[1], params, &data, err);

	if (r < 0)
		return r;
	(void)json_dumpf(data, stdout, JSON_ENCODE_ANY | JSON_SORT_KEYS);
	if (agent_client_warnings(client))
		(void)json_dumpf(agent_client_warnings(client), stderr, 0);
	return 0;
}

static void print_line(const char *text, void *data)
{
	printf("%s\n", text);
	(void)fflush(stdout);
}

static int follow(AgentClient *client, char **argv, GError **err)
{
	bool warnings;
	int r = agent_client_follow(client, "n1", argv[0], print_line, NULL, &warnings, err);

	if (r >= 0)
		printf("outcome: %s\n", warnings ? "warnings" : "ok");
	return r;
}

static int stream(AgentClient *client, char **argv, int *ret_status, GError **err)
{
	json_auto_t *params = params_of(argv + 1);
	const AgentStreamOptions options = {
		.stdin_fd = STDIN_FILENO,
		.stdout_fd = STDOUT_FILENO,
		.stderr_fd = STDERR_FILENO,
		.follow_size = isatty(STDIN_FILENO),
	};

	return agent_client_stream(client, argv[0], params, &options, ret_status, err);
}

int main(int argc, char **argv)
{
	g_autoptr(AgentClient) client = agent_client_new(NULL);
	g_autoptr(GError) err = NULL;
	int status = 0;
	int r;

	if (argc >= 4 && str_equal(argv[1], "request"))
		r = request(client, argv + 2, &err);
	else if (argc == 3 && str_equal(argv[1], "follow"))
		r = follow(client, argv + 2, &err);
	else if (argc >= 3 && str_equal(argv[1], "stream"))
		r = stream(client, argv + 2, &status, &err);
	else
		return FAILED;

	if (r < 0) {
		fprintf(stderr, "%s\n", err->message);
		return FAILED;
	}
	return status;
}
