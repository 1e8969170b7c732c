/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Texts that decide what a guest starts: crontab, inittab, securetty, systemd units and presets.
 * Pure: each function returns the new text, owned by the caller. */

#include <stdbool.h>
#include <stdlib.h>

#include <glib.h>

/* A crontab(5) of the system with a new minute in each line of root that has a fixed one, so that
 * the containers of a template do not all start the same job at once.  One draw a changed line. */
char *crontab_spread(const char *crontab, struct drand48_data *random);

/* inittab(5) of sysvinit as Debian has it, with a getty on each of n_ttys terminals.  getty_option
 * is given to getty. */
char *inittab_set_gettys(const char *inittab, unsigned n_ttys, const char *getty_option);

/* inittab of busybox and Gentoo: entries `<id>N::respawn:<getty> 38400 ttyN` in place of those with
 * such ids, where id is a prefix like "tty" or "". */
char *inittab_set_plain_gettys(
	const char *inittab, unsigned n_ttys, const char *id, const char *getty);

/* securetty(5) with the container's terminals, whose names have the prefix tty_directory. */
char *securetty_add(const char *securetty, const char *tty_directory);

/* The unit container-getty@.service, its terminals at <tty_directory>ttyN rather than at pts/N. */
char *getty_unit_set_tty(const char *unit, const char *tty_directory);

/* The unit getty@.service of a systemd that has no container-getty@.service: its condition is made
 * one that holds in a container, which has no /dev/tty0; and the reverse otherwise. */
char *getty_unit_set_condition(const char *unit, bool container);

/* An upstart job that keeps a getty on one terminal. */
char *upstart_dup_getty(unsigned tty);

/* systemd.preset(5) for the first boot.  networkd: "enable", "disable" or NULL for no word on it.
 */
char *preset_dup_text(const char *networkd);
