/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/lxc.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>

#include "agent/ct/cgroup.h"
#include "agent/ct/state.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

/* Of the LXC log only the beginning is looked at: the first error is the cause of the others. */
#define LOG_TEXT_MAX (4 * 1024 * 1024)

/* PATH for a monitor's life: where apparmor_parser is, and newuidmap and newgidmap are not.  Those are
 * set-uid helpers meant for users without rights; where liblxc finds none, root writes the id map
 * itself: no entry in /etc/subuid is needed, and four processes less are started. */
#define PATH_WITHOUT_HELPERS "/usr/sbin:/sbin"

/* Exit statuses of a program that could not be run, as shells have them. */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

typedef struct lxc_container LxcContainer;

static LxcContainer *container_free(LxcContainer *container)
{
	if (container)
		(void)lxc_container_put(container);
	return NULL;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcContainer, container_free)

/* liblxc 5 prints its errors on standard error however quiet it is told to be.  That may be the user's
 * terminal; the reasons that count are read from the log.  Returns what unmute() needs. */
static int mute(void)
{
	auto_close int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	auto_close int saved_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	if (null_fd < 0 || saved_fd < 0 || dup2(null_fd, STDERR_FILENO) < 0)
		return -1;
	return fd_steal(&saved_fd);
}

static void unmute(int saved_fd)
{
	if (saved_fd < 0)
		return;
	(void)dup2(saved_fd, STDERR_FILENO);
	(void)close(saved_fd);
}

/* Opens a container that runs. */
static int open_container(unsigned vmid, LxcContainer **ret, GError **err)
{
	g_autofree char *name = g_strdup_printf("%u", vmid);
	g_autoptr(LxcContainer) container = NULL;
	struct lxc_log log = {.name = name, .file = "none", .level = "ERROR", .quiet = true};
	int r;

	r = ct_state_check_monitor(vmid, err);
	if (r < 0)
		return r;

	(void)lxc_log_init(&log);
	container = lxc_container_new(name, PATH_LXC);
	if (!container)
		return err_set(err, EIO, "cannot read the LXC configuration of container %u", vmid);

	*ret = g_steal_pointer(&container);
	return 0;
}

char *ct_lxc_log_reason(const char *log)
{
	/* "lxc-start 100 20261121230646.988 ERROR    conf - ../src/lxc/conf.c:f:1232 - Permission
	 * denied - Failed to create "/dev" directory": module, place, text of errno (may be
	 * missing), message. */
	const char *at = strstr(log, " ERROR ");
	g_autofree char *line = NULL;
	g_auto(GStrv) parts = NULL;

	if (!at)
		return NULL;

	line = g_strndup(at, strcspn(at, "\n"));
	parts = g_strsplit(line, " - ", 4);
	switch (g_strv_length(parts)) {
	case 4:
		return g_strdup_printf("%s: %s", parts[3], parts[2]);
	case 3:
		return g_strdup(parts[2]);
	default:
		return g_strdup(g_strstrip(line));
	}
}

/* Opens a new log, so that what is in it afterwards is about this start. */
static void open_log(const char *path, bool debug)
{
	struct lxc_log log = {
		.name = "atoll",
		.file = path,
		.level = debug ? "DEBUG" : "ERROR",
		.prefix = "atoll",
		.quiet = true,
	};

	(void)unlink(path);
	lxc_log_close();
	(void)lxc_log_init(&log);
}

int ct_lxc_start(unsigned vmid, bool debug, GError **err)
{
	g_autofree char *name = g_strdup_printf("%u", vmid);
	g_autofree char *log_path = ct_state_dup_path(vmid, "log");
	g_autofree char *log = NULL;
	g_autofree char *reason = NULL;
	g_autofree char *path = g_strdup(g_getenv("PATH"));
	g_autofree char *cgroups = ct_cgroup_dup_own();
	g_autoptr(LxcContainer) container = NULL;
	bool started;
	int saved_fd;

	open_log(log_path, debug);
	container = lxc_container_new(name, PATH_LXC);
	if (!container || !container->is_defined(container)) {
		lxc_log_close();
		return err_set(err, EIO, "cannot read the LXC configuration of container %u", vmid);
	}

	/* Our descriptors, locks among them, must not live on in the monitor. */
	if (!container->want_daemonize(container, true) ||
		!container->want_close_all_fds(container, true))
		return err_set(err, EIO, "cannot prepare the start of container %u", vmid);

	(void)g_setenv("PATH", PATH_WITHOUT_HELPERS, TRUE);
	saved_fd = mute();
	started = container->start(container, 0, NULL);
	unmute(saved_fd);
	/* liblxc has put its caller into the monitor's cgroup, which must not be in use when what a
	 * failed start has left is removed. */
	ct_cgroup_go_back(cgroups);
	if (path)
		(void)g_setenv("PATH", path, TRUE);
	else
		g_unsetenv("PATH");
	lxc_log_close();
	if (started)
		return 0;

	if (file_read(log_path, LOG_TEXT_MAX, &log, NULL) == 0)
		reason = ct_lxc_log_reason(log);
	return err_set(err, EIO, "%s", reason ? reason : "LXC gives no reason");
}

/* What kill and shutdown ask of the monitor; *ret_done is its answer.  A container that has just ended
 * by itself has done what is wanted. */
static int ask_monitor(
	unsigned vmid, bool (*ask)(LxcContainer *container), bool *ret_done, GError **err)
{
	g_autoptr(LxcContainer) container = NULL;
	int saved_fd, r;

	r = open_container(vmid, &container, err);
	if (r == -ECONNREFUSED) {
		g_clear_error(err);
		*ret_done = true;
		return 0;
	}
	if (r < 0)
		return r;
	saved_fd = mute();
	*ret_done = ask(container);
	unmute(saved_fd);
	return 0;
}

static bool ask_to_stop(LxcContainer *container)
{
	return container->stop(container);
}

static bool ask_to_shut_down(LxcContainer *container)
{
	return container->shutdown(container, 0);
}

int ct_lxc_kill(unsigned vmid, GError **err)
{
	bool done;
	int r;

	r = ask_monitor(vmid, ask_to_stop, &done, err);
	if (r < 0)
		return r;
	return done ? 0 : err_set(err, EIO, "cannot stop container %u", vmid);
}

int ct_lxc_shutdown(unsigned vmid, GError **err)
{
	bool done;
	int r;

	r = ask_monitor(vmid, ask_to_shut_down, &done, err);
	if (r < 0)
		return r;
	return done ? 0 : err_set(err, EIO, "cannot ask container %u to shut down", vmid);
}

/* Runs inside the container, in a child of ours.  What it prints goes to the user. */
static int run_inside(void *payload)
{
	char **argv = payload;

	/* Our parent is the one who waits for us, and dies only when it is killed. */
	(void)prctl(PR_SET_PDEATHSIG, SIGHUP);
	(void)execvp(argv[0], argv);
	fprintf(stderr, "cannot run '%s': %s\n", argv[0], g_strerror(errno));
	return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

static bool streams_are_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

int ct_lxc_attach(unsigned vmid, const CtLxcCommand *command, int *ret_status, GError **err)
{
	g_autoptr(LxcContainer) container = NULL;
	g_autofree char *term = g_strdup_printf("TERM=%s", g_getenv("TERM") ?: "linux");
	char *extra_env[] = {term, NULL};
	lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
	pid_t pid, waited;
	int status;
	int r;

	r = open_container(vmid, &container, err);
	if (r < 0)
		return r;

	options.env_policy = command->keep_env ? LXC_ATTACH_KEEP_ENV : LXC_ATTACH_CLEAR_ENV;
	options.initial_cwd = (char *)"/root";
	if (streams_are_terminal()) {
		options.attach_flags |= LXC_ATTACH_TERMINAL;
		options.extra_env_vars = extra_env;
	}

	/* With a terminal this returns when the program has ended, otherwise at once. */
	if (command->argv)
		r = container->attach(container, run_inside, (void *)command->argv, &options, &pid);
	else
		r = container->attach(container, lxc_attach_run_shell, NULL, &options, &pid);
	if (r < 0)
		return err_set(err, EIO, "cannot enter container %u", vmid);

	while ((waited = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {
		if (command->aborted && *command->aborted)
			(void)kill(pid, SIGHUP);
	}
	if (waited < 0)
		return err_set_errno(err, -errno, "cannot wait for the program");

	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int ct_lxc_console(unsigned vmid, int tty, char escape, GError **err)
{
	g_autoptr(LxcContainer) container = NULL;
	int r;

	assert(escape >= 'a' && escape <= 'z');

	r = open_container(vmid, &container, err);
	if (r < 0)
		return r;
	if (container->console(container, tty, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO,
		    escape - 'a' + 1) < 0)
		return err_set(err, EIO, "cannot connect to the console of container %u", vmid);
	return 0;
}
