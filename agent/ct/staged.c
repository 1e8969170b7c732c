/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/staged.h"

#include <string.h>

#include "agent/ct/formats.h"
#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

/* Options without any effect on a running container: they hold as soon as they are written. */
static const char *const immediate_options[] = {"cores", "description", "hookscript", "hostname",
	"lock", "onboot", "protection", "startup", "tags", "unused", NULL};

/* --- The list of deletes ---------------------------------------------------------------------- */

/* Entries as they are written, with '!'. */
static char **delete_entries(const CtSection *pending)
{
	return format_list_split(ct_section_get(pending, "delete") ?: "");
}

static const char *entry_key(const char *entry)
{
	return entry + (entry[0] == '!');
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
	return strcmp(entry_key(*(const char *const *)a), entry_key(*(const char *const *)b));
}

GPtrArray *ct_staged_deletes(const CtSection *pending)
{
	g_auto(GStrv) entries = delete_entries(pending);
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

	for (char **entry = entries; *entry; entry++)
		g_ptr_array_add(keys, g_strdup(entry_key(*entry)));
	g_ptr_array_sort(keys, compare_entries);
	return keys;
}

bool ct_staged_is_deleted(const CtSection *pending, const char *key)
{
	g_auto(GStrv) entries = delete_entries(pending);

	for (char **entry = entries; *entry; entry++)
		if (str_equal(entry_key(*entry), key))
			return true;
	return false;
}

bool ct_staged_is_forced(const CtSection *pending, const char *key)
{
	g_auto(GStrv) entries = delete_entries(pending);
	g_autofree char *forced = g_strconcat("!", key, NULL);

	return g_strv_contains((const char *const *)entries, forced);
}

/* Writes the list again without key, and with added (may be NULL) in its place. */
static void replace_entry(CtSection *pending, const char *key, const char *added)
{
	g_auto(GStrv) entries = delete_entries(pending);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();
	g_autofree char *joined = NULL;

	for (char **entry = entries; *entry; entry++)
		if (!str_equal(entry_key(*entry), key))
			g_ptr_array_add(kept, *entry);
	if (added)
		g_ptr_array_add(kept, (char *)added);

	g_ptr_array_sort(kept, compare_entries);
	g_ptr_array_add(kept, NULL);
	joined = g_strjoinv(",", (char **)kept->pdata);
	ct_section_set(pending, "delete", joined);
}

void ct_staged_delete(CtSection *pending, const char *key, bool force)
{
	g_autofree char *entry = g_strconcat(force ? "!" : "", key, NULL);

	ct_section_unset(pending, key);
	replace_entry(pending, key, entry);
}

void ct_staged_revert(CtSection *pending, const char *key)
{
	ct_section_unset(pending, key);
	replace_entry(pending, key, NULL);
}

void ct_staged_set(CtSection *pending, const char *key, const char *value)
{
	replace_entry(pending, key, NULL);
	ct_section_set(pending, key, value);
}

/* --- Views ------------------------------------------------------------------------------------ */

/* Keys of pending new values, owned copies, because applying changes the section. */
static GPtrArray *staged_keys(const CtSection *pending)
{
	g_autoptr(GPtrArray) all = ct_section_keys(pending);
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < all->len; i++)
		if (!str_equal(g_ptr_array_index(all, i), "delete"))
			g_ptr_array_add(keys, g_strdup(g_ptr_array_index(all, i)));
	return keys;
}

/* Whether two values of an option mean the same; one that fails its checks means only itself. */
static bool values_equal(const char *key, const char *a, const char *b)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);
	g_autofree char *canonical_a = NULL;
	g_autofree char *canonical_b = NULL;

	if (str_equal(a, b))
		return true;
	return option && schema_normalize(option, SCHEMA_FILE, a, &canonical_a, NULL) == 0 &&
	       schema_normalize(option, SCHEMA_FILE, b, &canonical_b, NULL) == 0 &&
	       str_equal(canonical_a, canonical_b);
}

void ct_staged_simplify(CtConfig *config)
{
	CtSection *current = ct_config_current(config);
	CtSection *pending = ct_config_pending(config);
	g_autoptr(GPtrArray) keys = staged_keys(pending);
	g_autoptr(GPtrArray) deletes = ct_staged_deletes(pending);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);
		const char *value = ct_section_get(current, key);

		if (value && values_equal(key, value, ct_section_get(pending, key)))
			ct_section_unset(pending, key);
	}
	for (unsigned i = 0; i < deletes->len; i++) {
		const char *key = g_ptr_array_index(deletes, i);

		if (!ct_section_get(current, key))
			replace_entry(pending, key, NULL);
	}
}

CtSection *ct_staged_dup_merged(CtConfig *config)
{
	const CtSection *current = ct_config_current(config);
	const CtSection *pending = ct_config_pending(config);
	g_autoptr(GPtrArray) old = ct_section_keys(current);
	g_autoptr(GPtrArray) staged = staged_keys(pending);
	CtSection *merged = ct_section_new();

	for (unsigned i = 0; i < old->len; i++) {
		const char *key = g_ptr_array_index(old, i);

		if (!ct_staged_is_deleted(pending, key))
			ct_section_set(merged, key, ct_section_get(current, key));
	}
	for (unsigned i = 0; i < staged->len; i++) {
		const char *key = g_ptr_array_index(staged, i);

		ct_section_set(merged, key, ct_section_get(pending, key));
	}
	return merged;
}

/* --- Volumes that are to be made -------------------------------------------------------------- */

bool ct_volume_is_request(const char *volume)
{
	const char *colon;
	const char *size;
	size_t whole;

	assert(volume);

	colon = strchr(volume, ':');
	size = colon ? colon + 1 : volume;
	whole = strspn(size, "0123456789");
	if (whole == 0)
		return false;
	if (!size[whole])
		return true;
	return size[whole] == '.' && size[whole + 1] &&
	       !size[whole + 1 + strspn(size + whole + 1, "0123456789")];
}

GPtrArray *ct_staged_requests(CtConfig *config)
{
	const CtSection *pending = ct_config_pending(config);
	g_autoptr(GPtrArray) staged = staged_keys(pending);
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < staged->len; i++) {
		const char *key = g_ptr_array_index(staged, i);
		g_autofree char *volume = ct_section_dup_volume(pending, key);

		if (volume && ct_volume_is_request(volume))
			g_ptr_array_add(keys, g_strdup(key));
	}
	return keys;
}

void ct_staged_fulfil(CtConfig *config, const char *key, const char *volid, int64_t size_bytes)
{
	CtSection *pending = ct_config_pending(config);
	const SchemaOption *option = schema_find(ct_options, key, NULL);
	g_autoptr(PropString) ps = NULL;
	g_autofree char *size = size_to_string(size_bytes);
	g_autofree char *text = NULL;
	int r;

	assert(ct_key_is_volume(key));

	r = propstring_parse(option->props, SCHEMA_FILE, ct_section_get(pending, key), &ps, NULL);
	assert(r == 0);

	propstring_set(ps, "volume", volid);
	propstring_set(ps, "size", size);
	text = propstring_to_string(ps);
	ct_section_set(pending, key, text);
}

/* --- Apply ------------------------------------------------------------------------------------ */

static bool is_immediate(const char *key)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);

	return option && g_strv_contains(immediate_options, option->name);
}

/* Whether a mounted volume, a pending one or a snapshot's is volume. */
static bool is_referenced(CtConfig *config, const char *volume)
{
	g_autoptr(GPtrArray) names = ct_config_snapshot_names(config);

	if (ct_section_uses_volume(ct_config_current(config), volume) ||
		ct_section_uses_volume(ct_config_pending(config), volume))
		return true;
	for (unsigned i = 0; i < names->len; i++)
		if (ct_section_uses_volume(
			    ct_config_snapshot(config, g_ptr_array_index(names, i)), volume))
			return true;
	return false;
}

static bool is_storage_volume(const char *volume)
{
	return volume && volume[0] != '/' && !ct_volume_is_request(volume);
}

static bool is_kept_as_unused(const CtSection *current, const char *volume)
{
	for (unsigned i = 0; i < CT_UNUSED_MAX; i++) {
		g_autofree char *key = g_strdup_printf("unused%u", i);
		g_autofree char *named = ct_section_dup_volume(current, key);

		if (str_equal(named, volume))
			return true;
	}
	return false;
}

/* Takes the lowest free unusedN for volume. */
static int keep_as_unused(CtSection *current, const char *volume, GError **err)
{
	for (unsigned i = 0; i < CT_UNUSED_MAX; i++) {
		g_autofree char *key = g_strdup_printf("unused%u", i);

		if (!ct_section_get(current, key)) {
			ct_section_set(current, key, volume);
			return 0;
		}
	}
	return err_set(err, ENOSPC, "no free slot to keep volume '%s', remove unused volumes first",
		volume);
}

/* The volume that key has named until now has lost that reference. */
static int release_volume(CtConfig *config, const char *key, const char *volume, bool force,
	GPtrArray *freed, GError **err)
{
	CtSection *current = ct_config_current(config);

	if (!is_storage_volume(volume) || is_referenced(config, volume) ||
		is_kept_as_unused(current, volume))
		return 0;
	if (!g_str_has_prefix(key, "unused") && !force)
		return keep_as_unused(current, volume, err);

	g_ptr_array_add(freed, g_strdup(volume));
	return 0;
}

static int apply_delete(CtConfig *config, const char *key, GPtrArray *freed, GError **err)
{
	CtSection *current = ct_config_current(config);
	CtSection *pending = ct_config_pending(config);
	g_autofree char *volume = ct_section_dup_volume(current, key);
	bool force = ct_staged_is_forced(pending, key);

	ct_section_unset(current, key);
	replace_entry(pending, key, NULL);
	return release_volume(config, key, volume, force, freed, err);
}

static int apply_value(CtConfig *config, const char *key, GPtrArray *freed, GError **err)
{
	CtSection *current = ct_config_current(config);
	CtSection *pending = ct_config_pending(config);
	g_autofree char *old_volume = ct_section_dup_volume(current, key);
	g_autofree char *new_volume = ct_section_dup_volume(pending, key);

	if (new_volume && ct_volume_is_request(new_volume))
		return err_set(err, EINVAL, "%s: volume '%s' has not been made", key, new_volume);

	ct_section_set(current, key, ct_section_get(pending, key));
	ct_section_unset(pending, key);
	return release_volume(config, key, old_volume, false, freed, err);
}

static int apply_all(CtConfig *config, bool running, GPtrArray *freed, GError **err)
{
	g_autoptr(GPtrArray) deletes = ct_staged_deletes(ct_config_pending(config));
	g_autoptr(GPtrArray) keys = staged_keys(ct_config_pending(config));
	int r;

	for (unsigned i = 0; i < deletes->len; i++) {
		const char *key = g_ptr_array_index(deletes, i);

		r = (running && !is_immediate(key)) ? 0 : apply_delete(config, key, freed, err);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);

		r = (running && !is_immediate(key)) ? 0 : apply_value(config, key, freed, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int ct_staged_apply(CtConfig *config, bool running, GPtrArray *freed, GError **err)
{
	g_autoptr(CtSection) old_current = ct_section_new();
	g_autoptr(CtSection) old_pending = ct_section_new();
	unsigned n_freed;
	int r;

	assert(config && freed);

	n_freed = freed->len;
	ct_section_copy(old_current, ct_config_current(config));
	ct_section_copy(old_pending, ct_config_pending(config));
	ct_staged_simplify(config);
	r = apply_all(config, running, freed, err);
	if (r < 0) {
		ct_section_copy(ct_config_current(config), old_current);
		ct_section_copy(ct_config_pending(config), old_pending);
		g_ptr_array_set_size(freed, (int)n_freed);
	}
	return r;
}
