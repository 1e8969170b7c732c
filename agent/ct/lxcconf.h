/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* LXC's configuration of a container on this host: the facts that lxcgen.h asks for, and the files
 * below /var/lib/lxc/CTID. */

#include <glib.h>

#include "agent/ct/section.h"
#include "base/paths.h"

/* Writes CTID's config, and rules.seccomp if it needs one, from section.  Files that would stay the
 * same are not touched.  Warnings (array of char*, may be NULL) get one sentence each.  -EINVAL names
 * the option that this host cannot satisfy. */
int lxc_conf_write(unsigned vmid, const CtSection *section, const NodeConf *node,
	GPtrArray *warnings, GError **err);

/* Removes both files; 0 when there are none. */
int lxc_conf_remove(unsigned vmid, GError **err);

/* The same in another directory than /var/lib/lxc. */
int lxc_conf_write_below(const char *directory, unsigned vmid, const CtSection *section,
	const NodeConf *node, GPtrArray *warnings, GError **err);
int lxc_conf_remove_below(const char *directory, unsigned vmid, GError **err);
