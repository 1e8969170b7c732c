/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Checks and canonical forms of values that are more than a number or a word: addresses, names,
 * lists, paths.  All are pure and fit SchemaOption.check (0, or -EINVAL with a reason that does not
 * name the option) or SchemaOption.canonical (new text from a value that passed its check). */

#include <glib.h>

/* Network. */
int format_mac(const char *value, GError **err);         /* Unicast. */
int format_ipv4(const char *value, GError **err);        /* An address. */
int format_ipv6(const char *value, GError **err);        /* An address. */
int format_ipv4_config(const char *value, GError **err); /* CIDR, dhcp or manual. */
int format_ipv6_config(const char *value, GError **err); /* CIDR, auto, dhcp or manual. */
int format_interface(const char *value, GError **err);   /* Name of an interface or bridge. */
int format_vlan_list(const char *value, GError **err);   /* N;N;… */
int format_dns_name(const char *value, GError **err);
int format_dns_name_list(const char *value, GError **err);
int format_nameserver_list(const char *value, GError **err);

/* Volumes, files and devices. */
int format_volume(const char *value, GError **err);        /* Volume, path or STORAGE:SIZE. */
int format_volume_id(const char *value, GError **err);     /* STORAGE:NAME only. */
int format_guest_path(const char *value, GError **err);    /* Without "." and "..". */
int format_mount_target(const char *value, GError **err);  /* Where a volume is mounted. */
int format_device_path(const char *value, GError **err);   /* Below /dev. */
int format_octal_mode(const char *value, GError **err);    /* 0NNN */
int format_mount_options(const char *value, GError **err); /* List with semicolons. */
int format_mount_types(const char *value, GError **err);   /* File systems, with semicolons. */
int format_mount_idmap(const char *value, GError **err);   /* passthrough, or exceptions. */
int format_size(const char *value, GError **err);

/* The rest. */
int format_tags(const char *value, GError **err);
int format_timezone(const char *value, GError **err);
int format_command_line(const char *value, GError **err);
int format_environment(const char *value, GError **err); /* NAME=VALUE, one a line. */
int format_ssh_keys(const char *value, GError **err);    /* A file authorized_keys. */

char *canonical_tags(const char *value);       /* Lower case, each once, sorted, joined by ";". */
char *canonical_space_list(const char *value); /* Joined by one space. */
char *canonical_size(const char *value);       /* Largest binary unit that divides evenly. */

/* The parts of a list, without empty ones; separators are commas, semicolons and white space.
 * Owned by the caller. */
char **format_list_split(const char *value);
