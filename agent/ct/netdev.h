/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A container's network card: what a netN option says, as far as the host's side needs it.  Pure. */

#include <stdbool.h>

#include <glib.h>

#include "agent/ct/config.h"

typedef struct CtNetdev {
	char *name;   /* Inside the container. */
	char *bridge; /* On the host. */
	unsigned mtu; /* Bytes; 0: the bridge's. */
	bool link_down;
} CtNetdev;

/* Reads option netINDEX into *ret, owned by the caller.  -ENOENT when it is not set, -EINVAL when it
 * cannot be used ("net0: no bridge is given"). */
int ct_netdev_get(const CtSection *section, unsigned index, CtNetdev **ret, GError **err);
CtNetdev *ct_netdev_free(CtNetdev *netdev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtNetdev, ct_netdev_free)

/* The host's end of the cable, "veth100i0"; owned by the caller. */
char *ct_netdev_dup_link(unsigned vmid, unsigned index);

/* The index in such a name; -EINVAL when it is not one of this container. */
int ct_netdev_parse_link(const char *link, unsigned vmid, unsigned *ret_index);
