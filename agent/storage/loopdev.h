/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Loop devices: image files as block devices.
 *
 * Devices are made with autoclear: the kernel detaches the file when the last user (descriptor or
 * mount) goes, so that nothing is left even when every process of ours dies.  An image that is
 * attached already is not attached again, because two devices would be two caches over one file. */

#include <stdbool.h>

#include <glib.h>

/* Attaches image_fd (borrowed) to a loop device, or finds the one that it is attached to.  *ret_fd
 * keeps the device: close it once something is mounted.  *ret_path is "/dev/loopN", owned by the
 * caller.  A device that was found may be writable though read_only is asked for, but not the other
 * way round (-EROFS). */
int loop_attach(int image_fd, bool read_only, int *ret_fd, char **ret_path, GError **err);
