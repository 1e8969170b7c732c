/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/volumes.h"

#include <math.h>
#include <string.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"

/* Larger volumes are taken for a mistake: 1 PiB in GiB. */
#define SIZE_GIB_MAX (1024.0 * 1024.0)

#define GIB_IN_KIB (1024.0 * 1024.0)

GPtrArray *ct_volume_keys(const CtSection *section)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

	if (ct_section_get(section, "rootfs"))
		g_ptr_array_add(keys, g_strdup("rootfs"));
	for (unsigned i = 0; i < CT_MP_MAX; i++) {
		g_autofree char *key = g_strdup_printf("mp%u", i);

		if (ct_section_get(section, key))
			g_ptr_array_add(keys, g_steal_pointer(&key));
	}
	return keys;
}

static const SchemaOption *props_of(const char *key)
{
	if (str_equal(key, "rootfs"))
		return ct_rootfs_props;
	return g_str_has_prefix(key, "unused") ? ct_unused_props : ct_mp_props;
}

int ct_volume_parse(const CtSection *section, const char *key, PropString **ret, GError **err)
{
	const char *text = ct_section_get(section, key);
	int r;

	assert(text);

	r = propstring_parse(props_of(key), SCHEMA_FILE, text, ret, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	return 0;
}

static void collect_section(const CtSection *section, GHashTable *seen, GPtrArray *volids)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(section);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = keys->pdata[i];
		const SchemaOption *option = schema_find(ct_options, key, NULL);
		g_autoptr(PropString) props = NULL;
		const char *volume;

		if (!option ||
			(!str_equal(option->name, "rootfs") && !str_equal(option->name, "mp") &&
				!str_equal(option->name, "unused")))
			continue;
		if (ct_volume_parse(section, key, &props, NULL) < 0)
			continue;
		volume = propstring_get(props, "volume");
		if (volume && volume[0] != '/' && strchr(volume, ':') &&
			!g_hash_table_contains(seen, volume)) {
			char *volid = g_strdup(volume);

			g_hash_table_add(seen, volid);
			g_ptr_array_add(volids, volid);
		}
	}
}

GPtrArray *ct_volume_collect(CtConfig *config)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) names = ct_config_snapshot_names(config);
	GPtrArray *volids = g_ptr_array_new_with_free_func(g_free);

	collect_section(ct_config_current(config), seen, volids);
	collect_section(ct_config_pending(config), seen, volids);
	for (unsigned i = 0; i < names->len; i++)
		collect_section(ct_config_snapshot(config, names->pdata[i]), seen, volids);
	return volids;
}

int volume_request_parse(const char *volume, const char *storage, bool *ret_is_request,
	VolumeRequest *ret, GError **err)
{
	const char *colon = strchr(volume, ':');
	const char *size_text = colon ? colon + 1 : volume;
	double size_gib;

	/* Digits with an optional fraction, nothing else: "100/vm-100-disk-0.raw" is a name. */
	if (!*size_text || strspn(size_text, "0123456789.") != strlen(size_text) ||
		!g_ascii_isdigit(*size_text) || strchr(size_text, '.') != strrchr(size_text, '.')) {
		*ret_is_request = false;
		return 0;
	}

	size_gib = g_ascii_strtod(size_text, NULL);
	if (size_gib > SIZE_GIB_MAX)
		return err_set(err, ERANGE, "a volume of %s GiB is too large", size_text);

	ret->storage = colon ? g_strndup(volume, (size_t)(colon - volume)) : g_strdup(storage);
	ret->size_bytes = (uint64_t)floor(size_gib * GIB_IN_KIB) * 1024;
	*ret_is_request = true;
	return 0;
}

void volume_request_clear(VolumeRequest *request)
{
	g_clear_pointer(&request->storage, g_free);
	request->size_bytes = 0;
}
