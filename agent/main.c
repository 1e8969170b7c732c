/* SPDX-License-Identifier: Apache-2.0 */

/* atolld: the node agent.  It serves the API and supervises; the work is done by workers. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <glib-unix.h>
#include <systemd/sd-daemon.h>

#include "agent/api/agent.h"
#include "agent/api/api.h"
#include "agent/api/recovery.h"
#include "agent/api/server.h"
#include "agent/api/task.h"
#include "agent/ct/reboot.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"

#define LOCK_PATH PATH_RUN "/atolld.lock"

typedef struct Options {
	gboolean version;
	gboolean debug;
	char *program; /* NULL: the default. */
} Options;

static int options_parse(int *argc, char ***argv, Options *options, GError **err)
{
	const GOptionEntry entries[] = {
		{"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
		{"debug", 0, 0, G_OPTION_ARG_NONE, &options->debug, "Log more", NULL},
		{"worker", 0, 0, G_OPTION_ARG_FILENAME, &options->program,
			"Program that does the work (" ATOLL_LIBEXECDIR "/atoll-worker)", "PATH"},
		{0},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) reason = NULL;

	g_option_context_set_summary(context,
		"Node agent of Atoll: serves the API on " PATH_AGENT_SOCKET
		" and supervises containers.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &reason))
		return err_set(err, EINVAL, "%s", reason->message);
	if (*argc > 1)
		return err_set(err, EINVAL, "unexpected argument '%s'", (*argv)[1]);
	return 0;
}

/* One agent a node: two would start two workers for one container.  The lock is held by the open
 * descriptor and goes with the process, however it ends; workers do not inherit it. */
static int lock_instance(int *ret_fd, GError **err)
{
	auto_close int fd = -1;
	int r;

	r = file_mkdir_all(PATH_RUN, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make directory '%s'", PATH_RUN);
	fd = RET_ERRNO(open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	if (fd < 0)
		return err_set_errno(err, fd, "cannot open '%s'", LOCK_PATH);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, EBUSY, "another agent is running on this node")
			       : err_set_errno(err, -errno, "cannot lock '%s'", LOCK_PATH);
	*ret_fd = fd_steal(&fd);
	return 0;
}

static gboolean on_terminate(gpointer data)
{
	log_notice("Agent stops; tasks and containers run on");
	(void)sd_notify(0, "STOPPING=1");
	g_main_loop_quit(data);
	return G_SOURCE_CONTINUE;
}

/* The guest rebooted itself: it has stopped, and comes up with its pending changes. */
static void on_reboot(unsigned vmid, void *data)
{
	Agent *agent = data;
	json_auto_t *params = json_object();
	TaskRequest request = {
		.type = "vzstart", .vmid = vmid, .user = "root@pam", .params = params};
	g_autofree char *upid = NULL;
	g_autoptr(GError) err = NULL;

	if (task_start(agent->tasks, &request, &upid, &err) < 0)
		log_err("Cannot start CT %u again after its reboot: %s", vmid, err->message);
}

static void on_task_died(const Upid *upid, const char *text, void *data)
{
	recovery_start(data, upid->type, upid_vmid(upid), text);
}

/* Everything that can fail at the start; then serves until it is told to stop. */
static int run(Agent *agent, const NodeConf *conf, GError **err)
{
	TaskSetOptions options = {
		.directory = PATH_TASKS,
		.program = agent->program,
		.node = agent->node,
		.tasks_max = conf->tasks_max,
		.clock = agent->clock,
		.died = on_task_died,
		.data = agent,
	};
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(TaskSet) tasks = task_set_new(&options);
	g_autoptr(Server) server = NULL;
	RebootWatch *reboots = NULL;
	int r;

	agent->tasks = tasks;
	r = task_set_adopt(tasks, err);
	if (r >= 0)
		r = server_new(PATH_AGENT_SOCKET, api_serve, agent, &server, err);
	if (r >= 0)
		r = reboot_watch_new(on_reboot, agent, &reboots, err);
	if (r < 0)
		return r;
	recovery_begin(agent);

	(void)g_unix_signal_add(SIGTERM, on_terminate, loop);
	(void)g_unix_signal_add(SIGINT, on_terminate, loop);
	log_notice("Agent of node %s serves on %s", agent->node, PATH_AGENT_SOCKET);
	(void)sd_notify(0, "READY=1");
	g_main_loop_run(loop);

	recovery_end(agent);
	reboot_watch_free(reboots);
	return 0;
}

static int start(const Options *options, GError **err)
{
	g_autofree char *node = node_name_dup();
	g_autoptr(NodeConf) conf = NULL;
	auto_close int lock_fd = -1;
	Agent agent = {
		.node = node,
		.program = options->program ?: ATOLL_LIBEXECDIR "/atoll-worker",
		.clock = clock_system(),
		.store = ct_store_local(node),
	};
	int r;

	r = node_conf_load(NULL, &conf, err);
	if (r >= 0)
		r = lock_instance(&lock_fd, err);
	if (r < 0)
		return r;
	return run(&agent, conf, err);
}

int main(int argc, char **argv)
{
	Options options = {0};
	g_autoptr(GError) err = NULL;
	int r;

	r = options_parse(&argc, &argv, &options, &err);
	if (r < 0) {
		fprintf(stderr, "atolld: %s\n", err->message);
		return EXIT_FAILURE;
	}
	if (options.version) {
		printf("atolld %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}

	log_open("atolld", g_getenv("JOURNAL_STREAM") ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR);
	log_set_debug(options.debug);
	/* A client or a worker that goes away is an error of a write, not the end of the agent. */
	(void)signal(SIGPIPE, SIG_IGN);

	r = start(&options, &err);
	if (r < 0)
		log_err("Agent cannot run: %s", err->message);
	g_free(options.program);
	log_close();
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
