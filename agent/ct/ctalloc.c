/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/ctalloc.h"

#include "base/macro.h"

int ct_alloc(Job *job, const StorageSet *storages, unsigned vmid, const IdMap *idmap,
	const VolumeRequest *request, char **ret_volid, GError **err)
{
	VolumeSpec spec = {.vmid = vmid, .size_bytes = request->size_bytes};
	uint32_t uid, gid;
	int r;

	if (job_aborted(job))
		return job_abort_error(job, err);
	r = id_map_root(idmap, &uid, &gid, err);
	if (r < 0)
		return r;
	spec.root_uid = uid;
	spec.root_gid = gid;
	r = volume_alloc(storages, request->storage, &spec, ret_volid, err);
	if (r < 0)
		return r;
	job_log(job, "Made volume '%s'", *ret_volid);
	return 0;
}
