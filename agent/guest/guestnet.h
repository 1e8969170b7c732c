/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The network interfaces of a container as the guest's files have to describe them, taken from the
 * options net0 … net31.  Pure. */

#include <stdbool.h>

#include <glib.h>

#include "agent/ct/config.h"

typedef enum GuestNetFamily {
	GUEST_NET_V4,
	GUEST_NET_V6,
	GUEST_NET_N_FAMILIES,
} GuestNetFamily;

typedef struct GuestNetAddress {
	char *mode;          /* "static", "dhcp", "manual" or "auto"; NULL: nothing configured. */
	char *address;       /* Static only: without the prefix length. */
	unsigned prefix;     /* Static only. */
	char *gateway;       /* NULL: none. */
	bool gateway_routed; /* The gateway is outside of the address's network (and not link
			      * local): it needs a route of its own. */
} GuestNetAddress;

typedef struct GuestNet {
	unsigned index; /* N of netN. */
	char *name;     /* Inside of the container. */
	GuestNetAddress addresses[GUEST_NET_N_FAMILIES];
} GuestNet;

/* The interfaces of a section that have a name, sorted by it; array of GuestNet*, owned by the
 * caller.  -EINVAL names the option. */
int guest_net_list(const CtSection *section, GPtrArray **ret, GError **err);

/* Whether the interface has an address setting in at least one family. */
bool guest_net_is_configured(const GuestNet *net);

/* The address of net0 that the guest's own name stands for: its static IPv4, else its static IPv6,
 * else NULL.  Borrowed from nets. */
const char *guest_net_primary(const GPtrArray *nets);

/* "255.255.255.0" for 24; owned by the caller. */
char *guest_net_dup_netmask(unsigned prefix);
