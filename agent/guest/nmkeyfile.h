/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network configuration of NetworkManager: nm-settings-keyfile(5).  Pure. */

#include "agent/guest/guestnames.h"
#include "agent/guest/guestnet.h"

/* Text of NAME.nmconnection, owned by the caller. */
char *nmkeyfile_dup_text(const GuestNet *net, const GuestDns *dns, const char *uuid);
