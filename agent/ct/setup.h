/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Guest set-up (agent/guest/guest.h) with what this host has to say: its resolver configuration, its
 * time zone, the clock. */

#include <glib.h>

#include "agent/ct/config.h"
#include "agent/ct/idmap.h"
#include "agent/guest/guest.h"

/* What only the creation of a container knows; NULL for all other phases. */
typedef struct CtSecrets {
	const char *password;        /* See GuestSetup. */
	const char *ssh_public_keys; /* See GuestSetup. */
} CtSecrets;

/* Runs phase on the tree at rootfs_path.  section may be changed, warnings (array of char*) get one
 * sentence each. */
int ct_setup(unsigned vmid, GuestPhase phase, const CtSecrets *secrets, const IdMap *idmap,
	CtSection *section, const char *rootfs_path, GPtrArray *warnings, GError **err);
