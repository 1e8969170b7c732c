/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A container's network cards (netN) as far as the host's side needs to know them.  Pure. */

#include <glib.h>

#include "agent/ct/config.h"

/* The bridge that option netINDEX names, owned by the caller.  -ENOENT when it is not set, -EINVAL
 * when it cannot be used ("net0: no bridge is given"). */
int ct_netdev_dup_bridge(const CtSection *section, unsigned index, char **ret_bridge, GError **err);

/* -EINVAL when netINDEX calls its interface in the container as another one does. */
int ct_netdev_check_name(const CtSection *section, unsigned index, GError **err);

/* The host's end of the cable, "veth100i0"; owned by the caller. */
char *ct_netdev_dup_link(unsigned vmid, unsigned index);
