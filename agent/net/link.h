/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network links of the host: bridges and the host's ends of containers' cables.  The only file that
 * knows libnl. */

#include <glib.h>

/* Longest name of a link that the kernel takes. */
#define LINK_NAME_MAX 15

/* 0 when there is a bridge of this name; -ENOENT "bridge 'X' does not exist", -EINVAL "'X' is not a
 * bridge". */
int link_require_bridge(const char *name, GError **err);

/* Removes a link, with a veth its other end too.  0 also when there is none. */
int link_delete(const char *name, GError **err);
