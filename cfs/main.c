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
#include "cfs/offline.h"
#include "cfs/service.h"

typedef struct Daemon {
	GMainLoop *loop;
	int status; /* Of the process at its end. */
} Daemon;

typedef struct Arguments {
	gboolean version, debug, local, foreground;
	char *mountpoint, *database, *conf, *socket;
	char *import, *export; /* What is done instead of serving … */
	gboolean verify, accept_loss;
} Arguments;

/* How many things are asked for instead of serving. */
static unsigned n_modes(const Arguments *arguments)
{
	return (arguments->import != NULL) + (arguments->export != NULL) +
	       (arguments->verify != 0) + (arguments->accept_loss != 0);
}

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
		{"import-db", 0, 0, G_OPTION_ARG_FILENAME, &ret->import,
			"Make the database of a config.db of pmxcfs, and exit", "FILE"},
		{"export", 0, 0, G_OPTION_ARG_FILENAME, &ret->export,
			"Write the tree of the database as files below DIR (made or empty), and "
			"exit; also while it is served, and what is left of a damaged one",
			"DIR"},
		{"verify", 0, 0, G_OPTION_ARG_NONE, &ret->verify,
			"Check the database, and exit with status 0 if it is sound", NULL},
		{"accept-loss", 0, 0, G_OPTION_ARG_NONE, &ret->accept_loss,
			"Let this node vouch for what others rely on although its database is new "
			"or lost, and exit: for when the nodes that know better never come back",
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
	} else if (n_modes(ret) > 1) {
		(void)fprintf(stderr, "atoll-cfs: --import-db, --export, --verify and "
				      "--accept-loss exclude each other\n");
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

static const char *database_path(const Arguments *arguments)
{
	return arguments->database ? arguments->database : PATH_DATABASE;
}

static TreeLimits limits_of(const NodeConf *conf)
{
	return (TreeLimits){.file_max = (uint64_t)conf->file_max,
		.total_max = (uint64_t)conf->total_max,
		.entries_max = (uint64_t)conf->entries_max};
}

/* Does what is asked for instead of serving; returns the status of the process. */
static int run_offline(const Arguments *arguments)
{
	const char *database = database_path(arguments);
	g_autoptr(NodeConf) conf = NULL;
	g_autoptr(GError) err = NULL;
	TreeLimits limits;
	int r;

	r = node_conf_load(arguments->conf, &conf, &err);
	if (r == 0 && arguments->import) {
		limits = limits_of(conf);
		r = offline_import(database, arguments->import, &limits, &err);
	} else if (r == 0 && arguments->export) {
		r = offline_export(database, arguments->export, &err);
	} else if (r == 0 && arguments->verify) {
		r = offline_verify(database, &err);
	} else if (r == 0) {
		r = offline_accept_loss(database, &err);
	}
	if (r < 0)
		(void)fprintf(stderr, "atoll-cfs: %s\n", err->message);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const Arguments *arguments)
{
	Daemon daemon = {.status = EXIT_SUCCESS};
	ServiceOptions options = {
		.mountpoint = arguments->mountpoint ? arguments->mountpoint : PATH_STORE,
		.socket = arguments->socket       ? arguments->socket
			  : arguments->mountpoint ? NULL
						  : PATH_STORE_SOCKET,
		.database = database_path(arguments),
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
	if (r == 0)
		options.limits = limits_of(conf);
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
		status = n_modes(&arguments) > 0 ? run_offline(&arguments) : run(&arguments);
	}
	log_close();
	g_free(arguments.mountpoint);
	g_free(arguments.database);
	g_free(arguments.conf);
	g_free(arguments.socket);
	g_free(arguments.import);
	g_free(arguments.export);
	return status;
}
