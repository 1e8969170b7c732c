/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fsprobe.h"

#include <blkid.h>

#include "base/err.h"
#include "base/macro.h"

static const char *const allowed_types[] = {"ext4", "ext3", "ext2", "xfs", "btrfs", NULL};

/* The one type that is there, borrowed from probe; NULL when there is none, or more than one: that is
 * as bad. */
static const char *find_type(blkid_probe probe)
{
	const char *found = NULL;

	if (blkid_do_safeprobe(probe) == 0)
		(void)blkid_probe_lookup_value(probe, "TYPE", &found, NULL);
	return found;
}

static int probe_type(blkid_probe probe, const char *device, const char **ret, GError **err)
{
	const char *found;

	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);

	/* Every type that libblkid knows is several reads all over the device, and this is part of
	 * each container's start.  The others are looked for only to tell what is there instead. */
	blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_ONLYIN, (char **)allowed_types);
	found = find_type(probe);
	for (unsigned i = 0; allowed_types[i]; i++) {
		if (str_equal(found, allowed_types[i])) {
			*ret = allowed_types[i];
			return 0;
		}
	}

	blkid_probe_reset_superblocks_filter(probe);
	blkid_reset_probe(probe);
	found = find_type(probe);
	return err_set(err, EMEDIUMTYPE, "'%s' holds no file system to mount (%s)", device,
		found ? found : "none found");
}

int fsprobe_type(int device_fd, const char *device, const char **ret, GError **err)
{
	blkid_probe probe;
	int r;

	assert(device_fd >= 0);
	assert(device);
	assert(ret);

	probe = blkid_new_probe();
	assert(probe); /* Fails only without memory. */
	if (blkid_probe_set_device(probe, device_fd, 0, 0) < 0)
		r = err_set(err, EIO, "cannot read '%s'", device);
	else
		r = probe_type(probe, device, ret, err);
	blkid_free_probe(probe);
	return r;
}
