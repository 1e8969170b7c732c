/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /etc/network/interfaces of ifupdown: rewriting the stanzas of the interfaces that the container's
 * configuration describes, and nothing else.  Pure. */

#include <stdbool.h>

#include <glib.h>

typedef enum InterfacesFlags {
	INTERFACES_CIDR = 1 << 0,      /* "address A/len" instead of "address A" and "netmask M". */
	INTERFACES_V6_STATIC = 1 << 1, /* IPv6 knows no dhcp and auto: they become manual. */
} InterfacesFlags;

/* The new text, owned by the caller; NULL when no interface of nets (guest_net_list()) has an address
 * setting: then the file is left alone.  old is the present text, "" when there is no file. */
char *interfaces_rewrite(const char *old, const GPtrArray *nets, unsigned flags);
