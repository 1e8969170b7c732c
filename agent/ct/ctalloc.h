/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Making the volumes that a container's configuration asks for. */

#include <stdint.h>

#include <glib.h>

#include "agent/ct/idmap.h"
#include "agent/ct/volumes.h"
#include "agent/job.h"
#include "agent/storage/storage.h"

/* Makes the volume of request for container vmid, whose root owns it.  *ret_volid is owned by the
 * caller, who has noted before what to undo (cleanup_prepare()). */
int ct_alloc(Job *job, const StorageSet *storages, unsigned vmid, const IdMap *idmap,
	const VolumeRequest *request, char **ret_volid, GError **err);
