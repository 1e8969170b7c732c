/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The container runtime: the only file that knows liblxc.
 *
 * Only for workers and never for the agent itself: liblxc forks, waits and keeps state per process.
 * A container's LXC configuration is PATH_LXC/ID/config and must be there.  The monitor that a
 * start leaves behind is a process of its own session, in a cgroup of its own, with none of our
 * descriptors: it outlives the worker and the agent. */

#include <signal.h>
#include <stdbool.h>

#include <glib.h>

/* Starts container vmid and returns when its init runs.  debug: the LXC log holds everything, not
 * only errors (run-time file "log").  On failure the reason is what liblxc put down first. */
int ct_lxc_start(unsigned vmid, bool debug, GError **err);

/* Kills all processes of the container. */
int ct_lxc_kill(unsigned vmid, GError **err);

/* Asks the container's init to shut down, and does not wait. */
int ct_lxc_shutdown(unsigned vmid, GError **err);

/* What runs inside a container, on the caller's standard streams. */
typedef struct CtLxcCommand {
	const char *const *argv; /* NULL-terminated; NULL: the shell of the container's root. */
	bool keep_env;           /* The caller's environment goes along. */
	const volatile sig_atomic_t *aborted; /* Not 0: the user has gone.  NULL: never. */
} CtLxcCommand;

/* Runs command in the running container to its end.  A user who goes takes it along: it gets SIGHUP,
 * as from a terminal that is gone, when *aborted is set and when the caller dies.  When the standard streams are a terminal, it
 * gets a terminal of the container's own, so that `tty` and job control work inside.  *ret_status
 * is its exit status, or 128 and the number of the signal that killed it. */
int ct_lxc_attach(unsigned vmid, const CtLxcCommand *command, int *ret_status, GError **err);

/* Connects the caller's terminal with the container's console (tty 0), its tty of that number, or any
 * free one (-1), until the user types escape ('a' for Ctrl-a) and then q, or the container stops. */
int ct_lxc_console(unsigned vmid, int tty, char escape, GError **err);

/* The first error in an LXC log; owned by the caller, NULL when there is none.
 * Pure. */
char *ct_lxc_log_reason(const char *log);
