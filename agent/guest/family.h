/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Distribution families: what differs from one to the next.  Each is a table of functions in a file
 * of its own, family_NAME.c, named in the list in family.c. */

#include <stdbool.h>

#include <glib.h>

#include "agent/ct/config.h"
#include "agent/guest/guest.h"
#include "agent/guest/guestnames.h"
#include "agent/guest/guestroot.h"

/* Terminals of a container that does not say how many, and at most. */
#define GUEST_TTYS_DEFAULT 2
#define GUEST_TTYS_MAX     6

typedef struct GuestFamily GuestFamily;

/* What the functions of one run share; all of it borrowed for the run. */
typedef struct GuestRun {
	const GuestRoot *root;
	const GuestSetup *setup;
	const CtSection *section;
	const GuestFamily *family;
	const char *ostype;
	const char *version; /* "" when the type has none. */
	const GuestDns *dns;
	const GPtrArray *nets; /* guest_net_list() */
	GPtrArray *warnings;
} GuestRun;

typedef int (*GuestStep)(GuestRun *run, GError **err);

struct GuestFamily {
	const char *ostype;

	/* Nothing in the guest is touched. */
	bool unmanaged;

	/* Terminals are below /dev/lxc in privileged containers. */
	bool tty_directory;

	/* Makes a fresh template fit for a container.  NULL: nothing to do. */
	GuestStep fix_template;

	/* Makes the guest's init offer a login on each terminal.  NULL: nothing to do. */
	GuestStep setup_init;

	/* Writes the guest's network configuration.  NULL: unmanaged only. */
	GuestStep setup_network;

	/* Writes the host's own name.  NULL: to /etc/hostname. */
	GuestStep set_hostname;

	/* What else must not be the same in two containers of one template.  NULL: nothing. */
	GuestStep reset_secrets;
};

/* NULL for a type that is not known. */
const GuestFamily *guest_family_find(const char *ostype);

/* "lxc/" or "": where the run's terminals are below /dev. */
const char *guest_tty_directory(const GuestRun *run);

/* The option tty, within its limits. */
unsigned guest_n_ttys(const GuestRun *run);

/* The modules. */
extern const GuestFamily guest_family_alpine;
extern const GuestFamily guest_family_archlinux;
extern const GuestFamily guest_family_centos;
extern const GuestFamily guest_family_debian;
extern const GuestFamily guest_family_devuan;
extern const GuestFamily guest_family_fedora;
extern const GuestFamily guest_family_gentoo;
extern const GuestFamily guest_family_nixos;
extern const GuestFamily guest_family_openeuler;
extern const GuestFamily guest_family_opensuse;
extern const GuestFamily guest_family_ubuntu;
extern const GuestFamily guest_family_unmanaged;
