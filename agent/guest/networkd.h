/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network configuration of systemd-networkd: systemd.network(5).  Pure. */

#include "agent/guest/guestnet.h"

/* Text of /etc/systemd/network/NAME.network, owned by the caller. */
char *networkd_dup_text(const GuestNet *net);
