/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* LXC's configuration of a container, made from its section and from facts about the host.
 *
 * Pure: what is asked of the host comes through LxcHost, so that a configuration for any host can be
 * made and tested on any other.  Raw entries of the container come last and win over ours.  Keys and
 * their order follow the table in the reference of `pct`, "Generated LXC configuration"; on hosts
 * with cgroup v1 controllers the same limits are written in v1 keys. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/section.h"

typedef struct LxcHost LxcHost;

/* A device node of the host. */
typedef struct LxcDevice {
	bool block; /* Otherwise a character device. */
	unsigned major, minor;
} LxcDevice;

/* Facts about a host.  Everything is borrowed. */
struct LxcHost {
	void *data; /* The implementation's own state. */

	bool cgroup_v2;            /* Controllers are in the v2 tree.  Hybrid hosts count as v1. */
	bool swap_accounting;      /* v1: there is memory.memsw.limit_in_bytes. */
	const unsigned *cpus;      /* CPUs that may be used, ascending … */
	unsigned n_cpus;           /* … and how many; at least 1. */
	const char *cgroup_prefix; /* Below which containers' cgroups are; "": the root. */
	const char *lxc_directory; /* PATH_LXC. */
	const char *hook;          /* Program that is run as hook. */
	const char *include_directory; /* Of LXC's own configuration files. */
	const char *common_seccomp;    /* Text of LXC's common.seccomp. */
	const char *seccomp_proxy; /* Address of a proxy for system calls, "unix:…"; NULL: none. */
	bool apparmor;             /* The kernel enforces AppArmor profiles. */
	bool apparmor_abi4;        /* They may have rules for mqueue and userns. */

	/* Whether include_directory has a file called name. */
	bool (*has_include)(const LxcHost *host, const char *name);

	/* MTU of a bridge; 0 when there is no such bridge. */
	unsigned (*bridge_mtu)(const LxcHost *host, const char *bridge);

	/* What device node path is; negative errno. */
	int (*device)(const LxcHost *host, const char *path, LxcDevice *ret);

	/* A number drawn from [0, n). */
	unsigned (*random_below)(const LxcHost *host, unsigned n);
};

typedef struct LxcGenerated {
	char *config;        /* Text for DIRECTORY/CTID/config. */
	char *seccomp;       /* Text for DIRECTORY/CTID/rules.seccomp, NULL: no such file. */
	GPtrArray *warnings; /* char *, one sentence each. */
} LxcGenerated;

/* *ret is owned by the caller.  -EINVAL names the option that this host or LXC cannot satisfy. */
int lxc_generate(unsigned vmid, const CtSection *section, const LxcHost *host, LxcGenerated **ret,
	GError **err);

LxcGenerated *lxc_generated_free(LxcGenerated *generated);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcGenerated, lxc_generated_free)
