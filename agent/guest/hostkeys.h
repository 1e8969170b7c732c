/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ssh host keys of a new container.  They are made on the host, where there are random numbers
 * and ssh-keygen for certain, and written by the child that sets up the guest. */

#include <glib.h>

typedef struct HostKey {
	char *path;    /* In the guest: /etc/ssh/ssh_host_ed25519_key */
	char *private; /* The files' texts. */
	char *public;
} HostKey;

/* One key of each type in use; array of HostKey*, owned by the caller.  comment goes into the
 * public ones. */
int host_keys_make(const char *comment, GPtrArray **ret, GError **err);
