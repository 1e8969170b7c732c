/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file storage.cfg, and what is known about types of storages.
 *
 *	dir: local
 *		path /var/lib/vz
 *		content vztmpl,rootdir
 *
 *	nfs: pool
 *		disable
 *		…
 *
 * A section is `TYPE: ID` and indented `key value` lines, ended by an empty line or the next
 * section. `disable` has no value.  Lines that start with '#' are skipped and lost on writing.
 *
 * Pure: text to sections and back.  Sections of types that this version does not know are kept as
 * they are, so that writing the file does not destroy what a newer version has put there; what can
 * be used is storage.h's question. */

#include <stdbool.h>

#include <glib.h>

#include "agent/storage/storage.h"
#include "base/schema.h"

/* Files larger than this, and more sections than this, are not read. */
#define STORAGE_CFG_SIZE_MAX     (1024 * 1024)
#define STORAGE_CFG_SECTIONS_MAX 1024

/* What a type of storage is.  Key lists are NULL-terminated names of storage_properties[]. */
typedef struct StorageType {
	const char *name;
	const char *const *required;
	const char *const *optional; /* Besides those that every type has. */
	unsigned default_content;    /* StorageContent bits. */
	bool shared;                 /* By its nature the same content on all nodes. */
} StorageType;

/* All properties of all types. */
extern const SchemaOption storage_properties[];

/* NULL: not known. */
const StorageType *storage_type_find(const char *name);

/* Whether storages of this type have the property. */
bool storage_type_has(const StorageType *type, const char *key);

typedef struct StorageSection {
	char *type;
	char *id;
	GTree *properties; /* char* to char*, both owned; flags have the value "1". */
} StorageSection;

StorageSection *storage_section_new(const char *type, const char *id);
StorageSection *storage_section_free(StorageSection *section);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageSection, storage_section_free)

/* The value in canonical form; borrowed, NULL when it is not set. */
const char *storage_section_get(const StorageSection *section, const char *key);
void storage_section_set(StorageSection *section, const char *key, const char *value);

/* The sections of text in its order; the array owns them and is the caller's.  What cannot be read
 * is left out; what is left out or looks wrong is appended to warnings (array of char*, may be
 * NULL), one sentence each. */
GPtrArray *storage_cfg_parse(const char *text, GPtrArray *warnings);

/* The text of sections (array of StorageSection*), owned by the caller. */
char *storage_cfg_print(const GPtrArray *sections);

/* Storage ids: a letter, then letters, digits, '.', '_' and '-', at least two characters, the last
 * a letter or digit. */
bool storage_id_is_valid(const char *id);

/* "vztmpl,rootdir" as StorageContent bits; words that are not known are skipped and appended to
 * unknown (array of char*, may be NULL). */
unsigned storage_content_parse(const char *list, GPtrArray *unknown);
