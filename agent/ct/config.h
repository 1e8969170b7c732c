/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Configuration of a container: what /etc/pve/nodes/NODE/lxc/CTID.conf says.
 *
 * Pure: text to object and back.  A file that we wrote gives the same bytes after parse and print;
 * unknown keys of valid shape and values that fail a check are reported and kept.  The grammar is
 * at the top of config.c.  A configuration has a current section, a pending one, and snapshots by
 * name; each is a CtSection: options, raw LXC entries in order, and a description. */

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

/* Files larger than this are refused before they are parsed. */
#define CT_CONFIG_SIZE_MAX (1024 * 1024)

typedef struct CtConfig CtConfig;
typedef struct CtSection CtSection;

CtConfig *ct_config_new(void);
CtConfig *ct_config_free(CtConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtConfig, ct_config_free)

/* Parses text into *ret, owned by the caller.  What is wrong but kept or dropped is appended as one
 * sentence each to warnings (array of char*, may be NULL).  strict: the first of them is -EINVAL.
 */
int ct_config_parse(const char *text, size_t size, bool strict, CtConfig **ret, GPtrArray *warnings,
	GError **err);

/* The file's text, owned by the caller.  -EINVAL when a value has a newline. */
int ct_config_print(const CtConfig *config, char **ret, GError **err);

/* SHA-1 of a file's text as hex, owned by the caller: the `digest` of the API. */
char *ct_config_dup_digest(const char *text, size_t size);

/* Sections are borrowed from the configuration. */
CtSection *ct_config_current(CtConfig *config);
CtSection *ct_config_pending(CtConfig *config);
CtSection *ct_config_snapshot(CtConfig *config, const char *name);     /* NULL: none. */
CtSection *ct_config_add_snapshot(CtConfig *config, const char *name); /* Must not exist. */
void ct_config_remove_snapshot(CtConfig *config, const char *name);
GPtrArray *ct_config_snapshot_names(CtConfig *config); /* Sorted char*; owned by the caller. */

/* Options of a section as text in canonical form; "description" is one of them, decoded.  Returned
 * strings are borrowed until the next change of the section.  NULL: not set. */
const char *ct_section_get(const CtSection *section, const char *key);
void ct_section_set(CtSection *section, const char *key, const char *value);
void ct_section_unset(CtSection *section, const char *key);

/* With the schema's default where the option is not set. */
long long ct_section_get_integer(const CtSection *section, const char *key);
bool ct_section_get_boolean(const CtSection *section, const char *key);

/* Keys in byte order, borrowed strings in an array that the caller frees. */
GPtrArray *ct_section_keys(const CtSection *section);

/* Raw LXC entries, in order. */
typedef struct CtRawEntry {
	char *key;
	char *value;
} CtRawEntry;

const GPtrArray *ct_section_raw(const CtSection *section); /* Of CtRawEntry*, borrowed. */
void ct_section_add_raw(CtSection *section, const char *key, const char *value);
