/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finding out which distribution, release and architecture a tree holds, from its files alone. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "agent/guest/guestroot.h"

/* *ret is a borrowed constant, "unmanaged" for a tree without any sign.  -EINVAL when os-release
 * names a distribution that is not known and nothing else helps. */
int detect_ostype(const GuestRoot *root, const char **ret, GPtrArray *warnings, GError **err);

/* The release of that type, "" when the type has none; owned by the caller.  -EINVAL when it is not
 * supported. */
int detect_version(
	const GuestRoot *root, const char *ostype, char **ret, GPtrArray *warnings, GError **err);

/* A borrowed constant; "amd64" with a warning when it cannot be told. */
const char *detect_arch(const GuestRoot *root, const char *ostype, GPtrArray *warnings);

/* The architecture in an ELF header, a borrowed constant; NULL when it is none that we know. */
const char *elf_arch(const uint8_t *header, size_t size);

/* Whether systemd is the tree's init, and its release (0: not systemd, or it cannot be told). */
bool detect_systemd_is_init(const GuestRoot *root);
unsigned detect_systemd_release(const GuestRoot *root);
