/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The volumes that a container's configuration names: rootfs, mpN, unusedN.  Pure.
 *
 * A volume is a directory or device of the host ("/srv/data"), a volume of a storage
 * ("local:100/vm-100-disk-0.raw"), or, in a request only, one that is still to be made
 * ("local:8", "8": size in GiB). */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/config.h"
#include "base/propstring.h"

/* The keys of a section's mounted volumes in the order of mounting: rootfs, mp0, mp1, …; owned
 * strings in an array that the caller frees. */
GPtrArray *ct_volume_keys(const CtSection *section);

/* The parts of a volume's option; owned by the caller. */
int ct_volume_parse(const CtSection *section, const char *key, PropString **ret, GError **err);

/* Every storage volume that any section of config names, each once; owned strings in an array that
 * the caller frees. */
GPtrArray *ct_volume_collect(CtConfig *config);

/* A volume that is to be made. */
typedef struct VolumeRequest {
	char *storage;
	uint64_t size_bytes; /* Whole KiB; 0: a directory. */
} VolumeRequest;

/* Whether volume asks for a new one: then *ret (cleared by the caller) says which.  storage serves
 * for a bare size.  -ERANGE when the size is beyond all limits. */
int volume_request_parse(const char *volume, const char *storage, bool *ret_is_request,
	VolumeRequest *ret, GError **err);
void volume_request_clear(VolumeRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeRequest, volume_request_clear)
