/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fsprobe.h"

#include <blkid.h>

#include "base/err.h"
#include "base/macro.h"

static const char *const allowed_types[] = {"ext4", "ext3", "ext2", "xfs", "btrfs", NULL};

int fsprobe_type(int device_fd, const char *device, const char **ret, GError **err)
{
	const char *found = NULL;
	blkid_probe probe;
	int r;

	assert(device_fd >= 0);
	assert(device);
	assert(ret);

	probe = blkid_new_probe();
	assert(probe); /* Fails only without memory. */
	if (blkid_probe_set_device(probe, device_fd, 0, 0) < 0) {
		r = err_set(err, EIO, "cannot read '%s'", device);
	} else {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
		/* Only these: every other type that libblkid knows is several reads all over the
		 * device, and this is part of each container's start. */
		blkid_probe_filter_superblocks_type(
			probe, BLKID_FLTR_ONLYIN, (char **)allowed_types);
		/* Safe: more than one signature is as bad as none. */
		if (blkid_do_safeprobe(probe) == 0)
			(void)blkid_probe_lookup_value(probe, "TYPE", &found, NULL);
		r = -EMEDIUMTYPE;
		for (unsigned i = 0; allowed_types[i]; i++)
			if (str_equal(found, allowed_types[i])) {
				*ret = allowed_types[i];
				r = 0;
			}
		if (r < 0)
			r = err_set(err, EMEDIUMTYPE, "'%s' holds no file system to mount (%s)",
				device, found ? found : "none found");
	}
	blkid_free_probe(probe);
	return r;
}
