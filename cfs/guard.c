/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"

/* How the kernel tells the guard.  SIGTERM, which a supervisor sends to all processes of a service,
 * means nothing to it. */
#define SIGNAL_DEATH SIGHUP

/* As a thread's name: at most 15 bytes. */
#define GUARD_NAME "atoll-cfs-guard"

/* How long a dead daemon may take to end when nothing holds it any more. */
#define FINISH_MS 5000

struct Guard {
	pid_t pid;
	int fd; /* A pipe to it: each byte tells whether it is armed. */
};

/* The last that the daemon said. */
static bool is_armed(int fd)
{
	char byte = 0;

	while (read(fd, &byte, 1) == 1)
		;
	return byte;
}

static void abort_connection(const char *mountpoint)
{
	/* While somebody holds it, a mount is not taken away, only its connection. */
	int fd = open(mountpoint, O_PATH | O_CLOEXEC);

	if (fd >= 0)
		(void)umount2(mountpoint, MNT_FORCE);
}

/* The life of the guard.  Its parent may seem to live on after the signal: as long as the process has
 * threads, one of them is the parent. */
static _Noreturn void guard(const char *mountpoint, pid_t daemon, int fd)
{
	siginfo_t info = {0};
	sigset_t death;

	(void)prctl(PR_SET_NAME, GUARD_NAME, 0, 0, 0);
	(void)sigemptyset(&death);
	(void)sigaddset(&death, SIGNAL_DEATH);
	if (caps_set_effective(true) < 0 || prctl(PR_SET_PDEATHSIG, SIGNAL_DEATH, 0, 0, 0) < 0)
		_exit(EXIT_FAILURE);

	/* It may have died before we asked to be told. */
	while (getppid() == daemon && info.si_pid != daemon)
		(void)sigwaitinfo(&death, &info);
	if (is_armed(fd))
		abort_connection(mountpoint);
	_exit(EXIT_SUCCESS);
}

int guard_new(const char *mountpoint, Guard **ret, GError **err)
{
	g_autoptr(Guard) made = g_new0(Guard, 1);
	pid_t daemon = getpid();
	sigset_t all, old;
	int fds[2];

	made->fd = -1;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set_errno(err, -errno, "cannot make a pipe");
	made->fd = fds[1];

	/* No signal may run the daemon's handlers in the guard, or be lost by it. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	made->pid = fork();
	if (made->pid == 0) {
		(void)close(fds[1]);
		guard(mountpoint, daemon, fds[0]);
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)close(fds[0]);
	if (made->pid < 0)
		return err_set_errno(err, -errno, "cannot make a process");

	*ret = g_steal_pointer(&made);
	return 0;
}

Guard *guard_free(Guard *guard)
{
	if (!guard)
		return NULL;

	if (guard->pid > 0) {
		(void)kill(guard->pid, SIGKILL);
		(void)waitpid(guard->pid, NULL, 0);
	}
	if (guard->fd >= 0)
		(void)close(guard->fd);
	g_free(guard);
	return NULL;
}

void guard_arm(Guard *guard, bool on)
{
	char byte = (char)on;

	if (write(guard->fd, &byte, 1) != 1)
		log_warning_errno(-errno, "The guard of the mount does not answer");
}

/* Whether the main thread of a process has ended. */
static bool is_dead(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
	g_autofree char *text = NULL;
	const char *state;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	/* Behind the name, which may have any characters in it. */
	state = strrchr(text, ')');
	return state && strlen(state) > 2 && state[2] == 'Z';
}

void guard_finish(const char *mountpoint, pid_t daemon)
{
	struct pollfd ended = {.events = POLLIN};

	if (daemon <= 0 || !is_dead(daemon))
		return;
	ended.fd = (int)syscall(SYS_pidfd_open, daemon, 0);
	if (ended.fd < 0)
		return;
	if (is_dead(daemon) && caps_set_effective(true) == 0) {
		log_notice("Ending what is left of process %d at '%s'", daemon, mountpoint);
		abort_connection(mountpoint);
		(void)caps_set_effective(false);
		(void)poll(&ended, 1, FINISH_MS);
	}
	(void)close(ended.fd);
}
