/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network configuration of Gentoo's netifrc: /etc/conf.d/net.  Pure. */

#include "agent/guest/guestnet.h"

/* The section in the file for all interfaces (guest_net_list()), owned by the caller. */
char *netifrc_dup_text(const GPtrArray *nets);
