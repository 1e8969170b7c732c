/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network configuration in files of shell variables: ifcfg-NAME as Red Hat's network scripts have
 * it, and as SUSE's wicked has it, each with a file of routes beside it.  Pure; every text is owned
 * by the caller. */

#include "agent/guest/guestnames.h"
#include "agent/guest/guestnet.h"

char *ifcfg_dup_redhat(const GuestNet *net, const GuestDns *dns, const char *uuid);

/* The section in route-NAME or route6-NAME; "" when the gateway needs no route of its own. */
char *ifcfg_dup_redhat_routes(const GuestNet *net, GuestNetFamily family);

char *ifcfg_dup_suse(const GuestNet *net);

/* The section in ifroute-NAME; "" when there is no gateway. */
char *ifcfg_dup_suse_routes(const GuestNet *net);

/* text with NAME=value in place of the lines that set NAME, or at its end. */
char *ifcfg_set_variable(const char *text, const char *name, const char *value);
