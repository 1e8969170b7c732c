/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which file system a block device holds (libblkid).
 *
 * Only types on a short list are ever named: a guest's device is the guest's data, and a super
 * block of its making must not choose from all the file systems of the kernel. */

#include <glib.h>

/* The type's name, borrowed for ever.  -EMEDIUMTYPE when there is none that may be mounted. */
int fsprobe_type(int device_fd, const char *device, const char **ret, GError **err);
