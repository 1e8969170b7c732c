/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where things are on a node, and what its administrator set in /etc/atoll/atoll.conf.
 *
 * Directories are fixed: two agents on one machine run in mount namespaces of their own
 * (tests/lab). What may differ from node to node is a key of atoll.conf, each with a default that
 * serves. */

#include <stdint.h>

#include <glib.h>

#define PATH_STORE         "/etc/pve"
#define PATH_DATABASE      "/var/lib/atoll/config.db"
#define PATH_STORE_SOCKET  "/run/atoll/store.sock"
#define PATH_RUN           "/run/atoll"
#define PATH_AGENT_SOCKET  "/run/atoll/agent.sock"
#define PATH_LXC           "/var/lib/lxc"
#define PATH_VZ            "/var/lib/vz"
#define PATH_TASKS         "/var/log/pve/tasks"
#define PATH_LOCK          "/run/lock/lxc"
#define PATH_CONF          "/etc/atoll/atoll.conf"
#define PATH_COROSYNC_CONF "/etc/corosync/corosync.conf"

typedef struct NodeConf {
	char *cgroup_prefix; /* [container] cgroup-prefix: put before every cgroup path, "" by
				default. */
	int64_t file_max;    /* [store] file-max: bytes in one file, default 1 MiB. */
	int64_t total_max;   /* [store] total-max: bytes in all, default 128 MiB. */
	int64_t entries_max; /* [store] entries-max: files and directories, default 262144. */
	unsigned tasks_max;  /* [agent] tasks-max: tasks at one time, default 64. */
} NodeConf;

/* Reads path (NULL: PATH_CONF); a missing file gives the defaults.  An unknown key, a wrong value
 * or a file that cannot be parsed: -EINVAL with file, key and reason. */
int node_conf_load(const char *path, NodeConf **ret, GError **err);
NodeConf *node_conf_free(NodeConf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NodeConf, node_conf_free)

/* The node's name: the first label of the kernel's host name.  Owned by the caller. */
char *node_name_dup(void);
