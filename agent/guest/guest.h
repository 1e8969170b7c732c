/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Set-up of the guest's own files: host name, hosts, resolv.conf, network, root password and so on.
 *
 * What is done depends on the distribution family (family.h) and on the phase.  A child that has changed
 * its root to the guest's, and keeps no rights but those over files, does all file work through a
 * descriptor of that root (base/safepath.h).  Running a phase twice gives the same files.  A file NAME
 * is left alone when `.pve-ignore.NAME` stands beside it. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/config.h"

typedef enum GuestPhase {
	GUEST_PHASE_POST_CREATE,
	GUEST_PHASE_PRE_START,
	GUEST_PHASE_POST_CLONE,
	GUEST_PHASE_TEMPLATE_FIXUP,
	GUEST_PHASE_NETWORK,
	GUEST_N_PHASES,
} GuestPhase;

typedef struct GuestSetup {
	unsigned vmid;
	const char *ostype;          /* Taken instead of what is detected; NULL: detect. */
	const char *password;        /* Plain text or crypt hash; NULL: account locked on create. */
	const char *ssh_public_keys; /* Text for root's authorized_keys; NULL: none. */
	const char *host_resolv_conf; /* Text of the host's file. */
	const char *host_localtime;   /* Target of the host's /etc/localtime, or just the zone's
					 name; NULL: none. */
	unsigned root_uid,
		root_gid;     /* Host ids of the container's root, for files that are written. */
	bool ssh_host_keys;   /* Whether to make ssh host keys on create. */
	const char *uuid;     /* Of network connections, where files have one; NULL: derived from
				 vmid and interface. */
	unsigned random_seed; /* For spreading cron minutes. */
	int64_t now_s;        /* Wall time, for shadow's date of change. */
} GuestSetup;

/* Runs phase on the tree at rootfs_path.  section may be changed: `ostype` and `arch` are written
 * on create.  Warnings (array of char*) get one sentence each. */
int guest_setup(GuestPhase phase, const GuestSetup *setup, CtSection *section,
	const char *rootfs_path, GPtrArray *warnings, GError **err);

/* What is in the tree: *ret_ostype and *ret_arch are borrowed constants, *ret_version is owned by
 * the caller ("" when the family has none). */
int guest_detect(const char *rootfs_path, const char **ret_ostype, char **ret_version,
	const char **ret_arch, GPtrArray *warnings, GError **err);
