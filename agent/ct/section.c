/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/section.h"

#include <string.h>

#include "agent/ct/options.h"
#include "base/macro.h"
#include "base/propstring.h"

struct CtSection {
	GTree *options; /* char * key → char * value, both owned. */
	GPtrArray *raw; /* CtRawEntry *, owned. */
};

static int compare_keys(gconstpointer a, gconstpointer b, gpointer data)
{
	return strcmp(a, b);
}

static void raw_entry_free(gpointer data)
{
	CtRawEntry *entry = data;

	g_free(entry->key);
	g_free(entry->value);
	g_free(entry);
}

CtSection *ct_section_new(void)
{
	CtSection *section = g_new0(CtSection, 1);

	section->options = g_tree_new_full(compare_keys, NULL, g_free, g_free);
	section->raw = g_ptr_array_new_with_free_func(raw_entry_free);
	return section;
}

CtSection *ct_section_free(CtSection *section)
{
	if (!section)
		return NULL;

	g_clear_pointer(&section->options, g_tree_unref);
	g_clear_pointer(&section->raw, g_ptr_array_unref);
	g_free(section);
	return NULL;
}

const char *ct_section_get(const CtSection *section, const char *key)
{
	assert(section && key);

	return g_tree_lookup(section->options, key);
}

void ct_section_set(CtSection *section, const char *key, const char *value)
{
	g_autofree char *text = NULL;

	assert(section && key && value);

	/* One form for a description, however it came in: as lines, each with its end. */
	if (str_equal(key, "description"))
		text = g_strconcat(
			value, (!*value || g_str_has_suffix(value, "\n")) ? "" : "\n", NULL);
	else
		text = g_strstrip(g_strdup(value));

	if (*text)
		g_tree_replace(section->options, g_strdup(key), g_steal_pointer(&text));
	else
		g_tree_remove(section->options, key);
}

void ct_section_unset(CtSection *section, const char *key)
{
	assert(section && key);

	g_tree_remove(section->options, key);
}

static const char *default_value(const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);

	assert(option);
	return option->default_value ?: "0";
}

long long ct_section_get_integer(const CtSection *section, const char *key)
{
	const char *value = ct_section_get(section, key);
	int64_t number;

	if (value && g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &number, NULL))
		return number;
	return g_ascii_strtoll(default_value(key), NULL, 10);
}

double ct_section_get_number(const CtSection *section, const char *key)
{
	const char *value = ct_section_get(section, key);
	char *end = NULL;
	double number = value ? g_ascii_strtod(value, &end) : 0;

	if (value && g_ascii_isdigit(*value) && !*end)
		return number;
	return g_ascii_strtod(default_value(key), NULL);
}

bool ct_section_get_boolean(const CtSection *section, const char *key)
{
	const char *value = ct_section_get(section, key);
	int r = value ? schema_parse_boolean(value) : -EINVAL;

	return r < 0 ? str_equal(default_value(key), "1") : r;
}

static gboolean append_key(gpointer key, gpointer value, gpointer data)
{
	g_ptr_array_add(data, key);
	return FALSE;
}

GPtrArray *ct_section_keys(const CtSection *section)
{
	GPtrArray *keys = g_ptr_array_new();

	assert(section);

	g_tree_foreach(section->options, append_key, keys);
	return keys;
}

const GPtrArray *ct_section_raw(const CtSection *section)
{
	assert(section);

	return section->raw;
}

void ct_section_add_raw(CtSection *section, const char *key, const char *value)
{
	CtRawEntry *entry;

	assert(section && key && value);

	entry = g_new0(CtRawEntry, 1);
	entry->key = g_strdup(key);
	entry->value = g_strstrip(g_strdup(value));
	g_ptr_array_add(section->raw, entry);
}

bool ct_section_has_raw(const CtSection *section, const char *key)
{
	assert(section && key);

	for (unsigned i = 0; i < section->raw->len; i++) {
		const CtRawEntry *entry = g_ptr_array_index(section->raw, i);

		if (str_equal(entry->key, key))
			return true;
	}
	return false;
}

void ct_section_clear(CtSection *section)
{
	assert(section);

	g_tree_remove_all(section->options);
	g_ptr_array_set_size(section->raw, 0);
}

static gboolean copy_option(gpointer key, gpointer value, gpointer data)
{
	g_tree_insert(data, g_strdup(key), g_strdup(value));
	return FALSE;
}

void ct_section_copy(CtSection *to, const CtSection *from)
{
	assert(to && from && to != from);

	ct_section_clear(to);
	g_tree_foreach(from->options, copy_option, to->options);
	for (unsigned i = 0; i < from->raw->len; i++) {
		const CtRawEntry *entry = g_ptr_array_index(from->raw, i);

		ct_section_add_raw(to, entry->key, entry->value);
	}
}

bool ct_section_is_empty(const CtSection *section)
{
	assert(section);

	return g_tree_nnodes(section->options) == 0 && section->raw->len == 0;
}

/* The table of a volume option's keys, NULL for other options. */
static const SchemaOption *volume_props(const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);

	if (!option || !(option->props == ct_rootfs_props || option->props == ct_mp_props ||
			       option->props == ct_unused_props))
		return NULL;
	return option->props;
}

bool ct_key_is_volume(const char *key)
{
	assert(key);

	return volume_props(key);
}

char *ct_section_dup_volume(const CtSection *section, const char *key)
{
	const SchemaOption *props = volume_props(key);
	const char *value = ct_section_get(section, key);
	g_autoptr(PropString) ps = NULL;

	if (!props || !value || propstring_parse(props, SCHEMA_FILE, value, &ps, NULL) < 0)
		return NULL;
	return g_strdup(propstring_get(ps, "volume"));
}

bool ct_section_uses_volume(const CtSection *section, const char *volume)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(section);

	assert(volume);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);
		g_autofree char *named = g_str_has_prefix(key, "unused")
						 ? NULL
						 : ct_section_dup_volume(section, key);

		if (str_equal(named, volume))
			return true;
	}
	return false;
}
