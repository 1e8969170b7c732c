/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of guest set-up that touches the guest's files.  guest.c runs it in a child process that
 * is confined to the guest's root; tests run it on a plain directory. */

#include <glib.h>

#include "agent/guest/guest.h"
#include "agent/guest/guestroot.h"

/* What a tree holds. */
typedef struct GuestFound {
	const char *ostype; /* Borrowed constants. */
	const char *arch;
	char *version;
	bool has_ssh; /* Whether ssh host keys have a place to go to. */
} GuestFound;

void guest_found_clear(GuestFound *found);

/* Finds out what is in the tree; forced_ostype (NULL: none) overrides what its files say. */
int guest_child_detect(const GuestRoot *root, const char *forced_ostype, GuestFound *ret,
	GPtrArray *warnings, GError **err);

/* Runs a phase.  host_keys (of HostKey*) may be NULL. */
int guest_child_setup(const GuestRoot *root, GuestPhase phase, const GuestSetup *setup,
	const CtSection *section, const GuestFound *found, const GPtrArray *host_keys,
	GPtrArray *warnings, GError **err);
