/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the guest is called and whom it asks for names: texts of hosts, hostname and resolv.conf.
 * Pure. */

#include <glib.h>

#include "agent/ct/config.h"

/* Name servers that are taken from the host at most: what resolv.conf(5) knows. */
#define GUEST_NAMESERVERS_MAX 3

typedef struct GuestDns {
	char **search;  /* Domains, NULL-terminated. */
	char **servers; /* Addresses, NULL-terminated. */
} GuestDns;

/* From the options searchdomain and nameserver; what is not set comes from the host's resolv.conf
 * (its text, NULL: none). */
GuestDns *guest_dns_new(const CtSection *section, const char *host_resolv_conf);
GuestDns *guest_dns_free(GuestDns *dns);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestDns, guest_dns_free)

/* Text of the section in resolv.conf, owned by the caller. */
char *guest_resolv_dup_text(const GuestDns *dns);

/* The first label of the option hostname, "localhost" without one; owned by the caller. */
char *guest_name_dup_label(const CtSection *section);

/* Text of the section in hosts.  old is the file's present text (NULL: none), primary the guest's
 * own address (NULL: none). */
char *guest_hosts_dup_section(
	const char *old, const CtSection *section, const GuestDns *dns, const char *primary);

/* Text of hosts without the line that templates of linuxcontainers.org have for a name of theirs;
 * owned by the caller. */
char *guest_hosts_drop_template_name(const char *hosts);
