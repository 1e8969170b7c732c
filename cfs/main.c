/* SPDX-License-Identifier: Apache-2.0 */

/* atoll-cfs: the config store of a node, mounted at /etc/pve. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/capability.h>

#include <glib-unix.h>
#include <systemd/sd-daemon.h>

#include "base/caps.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"
#include "cfs/service.h"

typedef struct Daemon {
	GMainLoop *loop;
	int status; /* Of the process at its end. */
} Daemon;

typedef struct Arguments {
	gboolean version, debug, local, foreground;
	char *mountpoint, *database, *conf, *socket;
} Arguments;

static int parse_arguments(Arguments *ret, int argc, char **argv)
{
	const GOptionEntry entries[] = {
		{"version", 0, 0, G_OPTION_ARG_NONE, &ret->version, "Show the version", NULL},
		{"foreground", 'f', 0, G_OPTION_ARG_NONE, &ret->foreground,
			"Stay in the foreground (always so)", NULL},
		{"debug", 'd', 0, G_OPTION_ARG_NONE, &ret->debug, "Log verbosely", NULL},
		{"mount", 0, 0, G_OPTION_ARG_FILENAME, &ret->mountpoint,
			"Where to mount (default " PATH_STORE ")", "DIR"},
		{"db", 0, 0, G_OPTION_ARG_FILENAME, &ret->database,
			"The database (default " PATH_DATABASE ")", "FILE"},
		{"socket", 0, 0, G_OPTION_ARG_FILENAME, &ret->socket,
			"Where clients connect (default " PATH_STORE_SOCKET
			"; with --mount: nowhere)",
			"FILE"},
		{"conf", 0, 0, G_OPTION_ARG_FILENAME, &ret->conf,
			"Settings of the node (default " PATH_CONF ")", "FILE"},
		{"local", 'l', 0, G_OPTION_ARG_NONE, &ret->local,
			"Serve this node alone, even if it is configured as part of a cluster",
			NULL},
		G_OPTION_ENTRY_NULL,
	};
	GOptionContext *context = g_option_context_new("- serve the config store");
	g_autoptr(GError) err = NULL;
	int r = 0;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &err)) {
		(void)fprintf(stderr, "atoll-cfs: %s\n", err->message);
		r = -EINVAL;
	} else if (argc > 1) {
		(void)fprintf(stderr, "atoll-cfs: unexpected argument '%s'\n", argv[1]);
		r = -EINVAL;
	}
	g_option_context_free(context);
	return r;
}

static gboolean on_signal(gpointer data)
{
	Daemon *daemon = data;

	(void)sd_notify(0, "STOPPING=1");
	g_main_loop_quit(daemon->loop);
	return G_SOURCE_CONTINUE;
}

static void on_ready(void *data)
{
	(void)sd_notify(0, "READY=1");
}

static void on_failed(void *data)
{
	Daemon *daemon = data;

	daemon->status = EXIT_FAILURE;
	g_main_loop_quit(daemon->loop);
}

static int run(const Arguments *arguments)
{
	Daemon daemon = {.status = EXIT_SUCCESS};
	ServiceOptions options = {
		.mountpoint = arguments->mountpoint ? arguments->mountpoint : PATH_STORE,
		.database = arguments->database ? arguments->database : PATH_DATABASE,
		.socket = arguments->socket       ? arguments->socket
			  : arguments->mountpoint ? NULL
						  : PATH_STORE_SOCKET,
		.standalone =
			arguments->local || !g_file_test(PATH_COROSYNC_CONF, G_FILE_TEST_EXISTS),
		.ready = on_ready,
		.failed = on_failed,
		.data = &daemon,
	};
	g_autoptr(NodeConf) conf = NULL;
	g_autoptr(Service) service = NULL;
	g_autoptr(GError) err = NULL;
	int r;

	r = node_conf_load(arguments->conf, &conf, &err);
	if (r == 0) {
		options.limits.file_max = (uint64_t)conf->file_max;
		options.limits.total_max = (uint64_t)conf->total_max;
		options.limits.entries_max = (uint64_t)conf->entries_max;
	}
	daemon.loop = g_main_loop_new(NULL, FALSE);
	(void)g_unix_signal_add(SIGTERM, on_signal, &daemon);
	(void)g_unix_signal_add(SIGINT, on_signal, &daemon);
	if (r == 0)
		r = service_new(&options, &service, &err);
	if (r == 0) {
		g_main_loop_run(daemon.loop);
		service = service_free(service);
	} else {
		log_err("Cannot start: %s", err->message);
		daemon.status = EXIT_FAILURE;
	}
	g_main_loop_unref(daemon.loop);
	return daemon.status;
}

int main(int argc, char **argv)
{
	static const int mounting = CAP_SYS_ADMIN;
	Arguments arguments = {0};
	int r, status;

	if (parse_arguments(&arguments, argc, argv) < 0)
		return EXIT_FAILURE;
	if (arguments.version) {
		(void)printf("atoll-cfs %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}

	/* A reader that goes away is an error of a write, not the end of the store. */
	(void)signal(SIGPIPE, SIG_IGN);
	log_open("atoll-cfs", g_getenv("JOURNAL_STREAM") ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR);
	log_set_debug(arguments.debug);

	/* Only mounting and unmounting need one, and hold it meanwhile.  Before there is any other
	 * thread: capabilities are per thread. */
	r = caps_keep(&mounting, 1);
	if (r == 0)
		r = caps_set_effective(false);
	if (r < 0) {
		log_err_errno(r, "Cannot drop capabilities");
		status = EXIT_FAILURE;
	} else {
		status = run(&arguments);
	}
	log_close();
	g_free(arguments.mountpoint);
	g_free(arguments.database);
	g_free(arguments.conf);
	g_free(arguments.socket);
	return status;
}
