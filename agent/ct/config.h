/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Configuration of a container: what /etc/pve/nodes/NODE/lxc/CTID.conf says.
 *
 * Pure: text to object and back.  A file that we wrote gives the same bytes after parse and print;
 * unknown keys of valid shape and values that fail a check are reported and kept.  The grammar is
 * at the top of config.c.  A configuration has a current section, a pending one, and snapshots by
 * name (agent/ct/section.h). */

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "agent/ct/section.h"

/* Files larger than this are refused before they are parsed. */
#define CT_CONFIG_SIZE_MAX (1024 * 1024)

typedef struct CtConfig CtConfig;

CtConfig *ct_config_new(void);
CtConfig *ct_config_free(CtConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtConfig, ct_config_free)

/* Parses text into *ret, owned by the caller.  What is wrong but kept or dropped is appended as one
 * sentence each to warnings (array of char*, may be NULL).  strict: the first of them is -EINVAL.
 * -EFBIG for a text larger than CT_CONFIG_SIZE_MAX. */
int ct_config_parse(const char *text, size_t size, bool strict, CtConfig **ret, GPtrArray *warnings,
	GError **err);

/* The file's text, owned by the caller.  -EINVAL when a value has a newline. */
int ct_config_print(const CtConfig *config, char **ret, GError **err);

/* SHA-1 of a file's text as hex, owned by the caller: the `digest` of the API. */
char *ct_config_dup_digest(const char *text, size_t size);

/* Sections are borrowed from the configuration.  The pending one has the options that wait to be
 * applied, and in `delete` the names of those that wait to be removed (agent/ct/staged.h). */
CtSection *ct_config_current(CtConfig *config);
CtSection *ct_config_pending(CtConfig *config);
CtSection *ct_config_snapshot(CtConfig *config, const char *name);     /* NULL: none. */
CtSection *ct_config_add_snapshot(CtConfig *config, const char *name); /* Must not exist. */
void ct_config_remove_snapshot(CtConfig *config, const char *name);
GPtrArray *ct_config_snapshot_names(
	const CtConfig *config); /* Sorted char*; owned by the caller. */

/* A letter, then one or more letters, digits, '_' and '-'; at most 40 in all. */
bool ct_snapshot_name_valid(const char *name);
