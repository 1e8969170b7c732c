/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cgroups of a container, on hosts with cgroup v1, v2 or both.
 *
 * Where a running container's cgroups are is asked of the kernel (/proc/PID/cgroup) and never built
 * from names: liblxc may have had to choose another name, and a controller's hierarchy may start
 * below the cgroup of the host's init.  Only for what an earlier run has left behind is there nobody
 * to ask; there the rule by which liblxc places new cgroups is applied. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

/* The directory of the cgroup of process pid for controller ("memory", "cpu", …): that of the v1
 * hierarchy with this controller, otherwise that of the v2 tree.  The inner cgroup of a container
 * (`ns`) is left: limits and sums are one level above.  *ret is owned by the caller.  *ret_version
 * is 1 or 2.  -ENOENT when there is no such hierarchy, -ESRCH when there is no such process. */
int ct_cgroup_of(pid_t pid, const char *controller, char **ret, unsigned *ret_version);

/* The path in a /proc/PID/cgroup text for controller: of the v1 hierarchy that has it, otherwise of
 * v2.  Owned by the caller; NULL when there is none.  Pure. */
char *cgroup_text_find(const char *text, const char *controller, unsigned *ret_version);

/* Removes the empty cgroup directories of container vmid that a power cut or an interrupted start
 * left in any hierarchy, below prefix ("" or a path without slashes around).  Without that, liblxc
 * refuses the name or takes another one.  The container must not be running; directories that still
 * hold processes stay, and those that containers have in common. */
void ct_cgroup_remove_leftovers(const char *prefix, unsigned vmid);

/* The cgroups that this process lives in, for ct_cgroup_go_back(); owned by the caller, NULL when they
 * cannot be read. */
char *ct_cgroup_dup_own(void);

/* Moves this process back there (NULL: stays). */
void ct_cgroup_go_back(const char *own);

/* A number from file in a cgroup directory; fallback when it cannot be read or says "max". */
uint64_t cgroup_read_number(const char *directory, const char *file, uint64_t fallback);

/* The number behind key in a file of "key number" lines; fallback when it is not there. */
uint64_t cgroup_read_key(
	const char *directory, const char *file, const char *key, uint64_t fallback);
