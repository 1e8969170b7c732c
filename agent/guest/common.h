/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Steps of set-up that are the same for most families.  Each gives the same files when it runs
 * twice, and fails with one sentence that names the guest's file. */

#include "agent/guest/family.h"

/* Names and name servers. */
int common_set_hostname(GuestRun *run, GError **err); /* /etc/hostname */
int common_set_hosts(GuestRun *run, GError **err);
int common_set_dns(GuestRun *run, GError **err);

/* What must differ between two containers of one template. */
int common_reset_machine_id(GuestRun *run, GError **err);
int common_reset_machine_id_of_clone(GuestRun *run, GError **err);
int common_spread_crontabs(GuestRun *run, GError **err);

/* Access. */
int common_set_root_password(GuestRun *run, GError **err);
int common_set_ssh_keys(GuestRun *run, GError **err);
int common_set_securetty(GuestRun *run, GError **err);

int common_set_timezone(GuestRun *run, GError **err);

/* The marker by which init systems of old skip a check of the root file system. */
int common_write_fastboot(GuestRun *run, GError **err);

/* A variable in a file of the guest's shell variables, if the file is there. */
int common_set_variable(
	GuestRun *run, const char *path, const char *name, const char *value, GError **err);

/* Fixes of templates. */
int common_fix_hosts(GuestRun *run, GError **err);
int common_mask_unit(GuestRun *run, const char *unit, GError **err);

/* systemd's unit for logins on the container's terminals; nothing without that unit. */
int common_set_container_getty(GuestRun *run, GError **err);

/* The same for a systemd that may be too old to have it. */
int common_fix_old_getty(GuestRun *run, GError **err);

/* systemd's preset for the first boot; networkd: "enable", "disable" or NULL. */
int common_write_preset(GuestRun *run, const char *networkd, GError **err);

/* Warns when the guest's systemd needs a feature that is off. */
int common_check_nesting(GuestRun *run, GError **err);
