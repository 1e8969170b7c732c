/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a container is doing, read from /proc, /run and the cgroup tree.
 *
 * Cheap and without liblxc, so that the agent, which must neither block nor fork, may ask on every
 * request.  A container runs as long as the abstract socket of its LXC monitor exists.  Who the
 * monitor is stands in a run-time file that the pre-start hook writes; with the start time beside
 * the pid it cannot be mistaken for another process. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

/* Whether the container's monitor listens. */
bool ct_state_running(unsigned vmid);

/* The ids of all running containers, ascending, as unsigned in an array owned by the caller. */
GArray *ct_state_list_running(void);

/* The same from the text of /proc/net/unix.  Pure. */
GArray *ct_state_parse_running(const char *proc_net_unix);

/* Makes sure that what listens for the container is a monitor of ours.  Any user of the host may make a
 * socket of that name, and who asked it where the container's processes are would enter what that user
 * wants.  -ECONNREFUSED when nobody listens, -EPERM when somebody else does. */
int ct_state_check_monitor(unsigned vmid, GError **err);

/* Numbers of a running container. */
typedef struct CtUsage {
	pid_t pid;          /* Of its init, in the host's name space. */
	uint64_t uptime_s;  /* Since init was started. */
	uint64_t mem_bytes; /* Without the cache of files. */
	uint64_t swap_bytes;
	uint64_t cpu_us; /* CPU time used since the start. */
	uint64_t disk_read_bytes, disk_write_bytes;
	uint64_t net_in_bytes, net_out_bytes; /* As the guest sees it. */
} CtUsage;

/* -ESRCH when it does not run.  What the host does not count stays 0. */
int ct_state_usage(unsigned vmid, CtUsage *ret);

/* The init process of a running container; -ESRCH. */
int ct_state_init_pid(unsigned vmid, pid_t *ret);

/* A descriptor (pidfd) of the container's monitor, readable when it has exited.  The monitor
 * outlives its socket for as long as it runs the post-stop hook: only then is the container's
 * network, mounts and cgroups cleaned up.  -ESRCH when there is none. */
int ct_state_open_monitor(unsigned vmid, int *ret_fd);

/* Remembers process pid as the monitor. */
int ct_state_set_monitor(unsigned vmid, pid_t pid);

/* Run-time file /run/atoll/ct-ID.SUFFIX of a container; owned by the caller. */
char *ct_state_dup_path(unsigned vmid, const char *suffix);

/* Removes all run-time files of a container that does not run. */
void ct_state_forget(unsigned vmid);
