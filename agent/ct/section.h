/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One section of a container's configuration: options, raw LXC entries in order, and a description.
 *
 * A section only holds text.  What options there are and what they may be is the schema's business
 * (agent/ct/options.h); values are checked before they are set, but those that come from a file are
 * kept even when they fail. */

#include <stdbool.h>

#include <glib.h>

typedef struct CtSection CtSection;

CtSection *ct_section_new(void);
CtSection *ct_section_free(CtSection *section);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtSection, ct_section_free)

/* Options of a section as text: booleans are "1" or "0", otherwise what was set or stands in the
 * file.  "description" is one of them, decoded, each line ended by a newline; so is "env", its
 * variables separated by newlines.  Returned strings are borrowed until the next change of the
 * section.  NULL: not set. */
const char *ct_section_get(const CtSection *section, const char *key);

/* value is taken as it is, but for white space around it.  An empty one is the same as none. */
void ct_section_set(CtSection *section, const char *key, const char *value);
void ct_section_unset(CtSection *section, const char *key);

/* With the schema's default where the option is not set or is no number; 0 without a default. */
long long ct_section_get_integer(const CtSection *section, const char *key);
double ct_section_get_number(const CtSection *section, const char *key);
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

/* Whether there is a raw entry with this key. */
bool ct_section_has_raw(const CtSection *section, const char *key);

/* Empties a section, or makes it a copy of another one. */
void ct_section_clear(CtSection *section);
void ct_section_copy(CtSection *to, const CtSection *from);
bool ct_section_is_empty(const CtSection *section);

/* Whether key is an option that names a volume: rootfs, mpN, unusedN. */
bool ct_key_is_volume(const char *key);

/* The volume that such an option names ("local:100/vm-100-disk-0.raw", "/srv/data", "local:8"),
 * owned by the caller.  NULL when it is not set, cannot be understood, or is another option. */
char *ct_section_dup_volume(const CtSection *section, const char *key);

/* Whether rootfs or one of the mpN names volume. */
bool ct_section_uses_volume(const CtSection *section, const char *volume);
