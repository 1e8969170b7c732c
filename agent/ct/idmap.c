/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/idmap.h"

#include <string.h>

#include "agent/ct/lxckeys.h"
#include "base/err.h"
#include "base/macro.h"

/* More entries than this are refused before they are looked at; neighbours are merged, so there may
 * be more entries than ranges. */
#define ENTRIES_MAX 65536U

struct IdMap {
	bool host;
	GArray *ranges[ID_N_KINDS]; /* IdRange, sorted by container id, no two adjacent. */
};

static const char *const kind_names[ID_N_KINDS] = {"user", "group"};

static IdMap *id_map_new(bool host)
{
	IdMap *map = g_new0(IdMap, 1);

	map->host = host;
	for (unsigned kind = 0; kind < ID_N_KINDS; kind++)
		map->ranges[kind] = g_array_new(FALSE, FALSE, sizeof(IdRange));
	return map;
}

IdMap *id_map_new_host(void)
{
	return id_map_new(true);
}

IdMap *id_map_new_default(void)
{
	static const IdRange range = {
		.container = 0, .host = ID_MAP_DEFAULT_HOST, .count = ID_MAP_DEFAULT_COUNT};
	IdMap *map = id_map_new(false);

	for (unsigned kind = 0; kind < ID_N_KINDS; kind++)
		g_array_append_val(map->ranges[kind], range);
	return map;
}

IdMap *id_map_free(IdMap *map)
{
	if (!map)
		return NULL;

	for (unsigned kind = 0; kind < ID_N_KINDS; kind++)
		g_clear_pointer(&map->ranges[kind], g_array_unref);
	g_free(map);
	return NULL;
}

/* --- Parse ------------------------------------------------------------------------------------ */

static int parse_entry(const char *entry, IdKind *ret_kind, IdRange *ret_range, GError **err)
{
	g_auto(GStrv) words = g_strsplit_set(entry, " \t", -1);
	uint64_t numbers[3];
	unsigned n = 0;
	bool good = str_equal(words[0], "u") || str_equal(words[0], "g");

	for (char **word = words; good && *++word;) {
		if (!**word)
			continue;
		good = n < 3 && g_ascii_string_to_unsigned(
					*word, 10, 0, UINT32_MAX - 1, &numbers[n++], NULL);
	}
	if (!good || n != 3)
		return err_set(err, EINVAL,
			"id map entry '%s' is not 'u' or 'g' and three numbers: first id in the "
			"container, first id on the host, count",
			entry);
	if (numbers[2] == 0 || numbers[0] + numbers[2] > UINT32_MAX ||
		numbers[1] + numbers[2] > UINT32_MAX)
		return err_set(err, EINVAL,
			"id map entry '%s' maps no id, or ids that do not exist", entry);

	*ret_kind = (words[0][0] == 'u') ? ID_KIND_USER : ID_KIND_GROUP;
	*ret_range = (IdRange){.container = (uint32_t)numbers[0],
		.host = (uint32_t)numbers[1],
		.count = (uint32_t)numbers[2]};
	return 0;
}

static int compare_by_container(gconstpointer a, gconstpointer b)
{
	const IdRange *x = a, *y = b;

	return (x->container > y->container) - (x->container < y->container);
}

static int compare_by_host(gconstpointer a, gconstpointer b)
{
	const IdRange *x = a, *y = b;

	return (x->host > y->host) - (x->host < y->host);
}

/* Looks for two ranges that share ids, on the host or in the container; sorted, they are
 * neighbours. */
static int check_overlap(GArray *ranges, IdKind kind, bool on_host, GError **err)
{
	g_array_sort(ranges, on_host ? compare_by_host : compare_by_container);

	for (unsigned i = 1; i < ranges->len; i++) {
		const IdRange *a = &g_array_index(ranges, IdRange, i - 1);
		const IdRange *b = &g_array_index(ranges, IdRange, i);
		uint32_t a_start = on_host ? a->host : a->container;
		uint32_t b_start = on_host ? b->host : b->container;

		if (b_start - a_start >= a->count)
			continue;
		return err_set(err, EINVAL,
			"id map entries '%c %u %u %u' and '%c %u %u %u' both map %s id %u %s",
			kind_names[kind][0], a->container, a->host, a->count, kind_names[kind][0],
			b->container, b->host, b->count, kind_names[kind], b_start,
			on_host ? "of the host" : "of the container");
	}
	return 0;
}

/* Joins neighbours that continue each other on both sides. */
static void merge_neighbours(GArray *ranges)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ranges->len; i++) {
		IdRange range = g_array_index(ranges, IdRange, i);
		IdRange *last = n > 0 ? &g_array_index(ranges, IdRange, n - 1) : NULL;

		if (last && last->container + last->count == range.container &&
			last->host + last->count == range.host)
			last->count += range.count;
		else
			g_array_index(ranges, IdRange, n++) = range;
	}
	g_array_set_size(ranges, n);
}

static int finish_kind(GArray *ranges, IdKind kind, GError **err)
{
	int r;

	if (ranges->len == 0)
		return err_set(err, EINVAL, "id map has no %s ids", kind_names[kind]);

	r = check_overlap(ranges, kind, true, err);
	if (r < 0)
		return r;
	r = check_overlap(ranges, kind, false, err);
	if (r < 0)
		return r;

	merge_neighbours(ranges);
	if (ranges->len > ID_MAP_RANGES_MAX)
		return err_set(err, EINVAL,
			"id map has %u ranges of %s ids, the kernel takes at most %u", ranges->len,
			kind_names[kind], ID_MAP_RANGES_MAX);
	return 0;
}

int id_map_parse(const char *const *entries, unsigned n_entries, IdMap **ret, GError **err)
{
	g_autoptr(IdMap) map = id_map_new(false);
	int r;

	assert(entries || n_entries == 0);
	assert(ret);

	if (n_entries > ENTRIES_MAX)
		return err_set(err, EINVAL, "id map has more than %u entries", ENTRIES_MAX);

	for (unsigned i = 0; i < n_entries; i++) {
		IdRange range;
		IdKind kind = ID_N_KINDS;

		r = parse_entry(entries[i], &kind, &range, err);
		if (r < 0)
			return r;
		g_array_append_val(map->ranges[kind], range);
	}
	for (unsigned kind = 0; kind < ID_N_KINDS; kind++) {
		r = finish_kind(map->ranges[kind], kind, err);
		if (r < 0)
			return r;
	}

	*ret = g_steal_pointer(&map);
	return 0;
}

int id_map_from_section(const CtSection *section, IdMap **ret, GError **err)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new();
	const GPtrArray *raw;

	assert(section && ret);

	raw = ct_section_raw(section);
	for (unsigned i = 0; i < raw->len; i++) {
		const CtRawEntry *entry = g_ptr_array_index(raw, i);

		if (lxc_key_is(entry->key, "lxc.idmap"))
			g_ptr_array_add(entries, entry->value);
	}
	if (entries->len > 0)
		return id_map_parse((const char *const *)entries->pdata, entries->len, ret, err);

	*ret = ct_section_get_boolean(section, "unprivileged") ? id_map_new_default()
							       : id_map_new_host();
	return 0;
}

/* --- Use -------------------------------------------------------------------------------------- */

bool id_map_is_host(const IdMap *map)
{
	assert(map);

	return map->host;
}

const IdRange *id_map_ranges(const IdMap *map, IdKind kind, unsigned *ret_n)
{
	assert(map && kind < ID_N_KINDS && ret_n);

	*ret_n = map->ranges[kind]->len;
	return (const IdRange *)map->ranges[kind]->data;
}

int id_map_to_host(const IdMap *map, IdKind kind, uint32_t container_id, uint32_t *ret_host_id)
{
	const IdRange *ranges;
	unsigned n;

	assert(ret_host_id);

	ranges = id_map_ranges(map, kind, &n);
	if (map->host) {
		*ret_host_id = container_id;
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (container_id >= ranges[i].container &&
			container_id - ranges[i].container < ranges[i].count) {
			*ret_host_id = ranges[i].host + (container_id - ranges[i].container);
			return 0;
		}

	return -ENOENT;
}

int id_map_to_container(const IdMap *map, IdKind kind, uint32_t host_id, uint32_t *ret_container_id)
{
	const IdRange *ranges;
	unsigned n;

	assert(ret_container_id);

	ranges = id_map_ranges(map, kind, &n);
	if (map->host) {
		*ret_container_id = host_id;
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (host_id >= ranges[i].host && host_id - ranges[i].host < ranges[i].count) {
			*ret_container_id = ranges[i].container + (host_id - ranges[i].host);
			return 0;
		}

	return -ENOENT;
}

int id_map_root(const IdMap *map, uint32_t *ret_uid, uint32_t *ret_gid, GError **err)
{
	uint32_t uid, gid;

	assert(ret_uid && ret_gid);

	if (id_map_to_host(map, ID_KIND_USER, 0, &uid) < 0)
		return err_set(err, EINVAL, "id map has no user id for root");
	if (id_map_to_host(map, ID_KIND_GROUP, 0, &gid) < 0)
		return err_set(err, EINVAL, "id map has no group id for root");

	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

char *id_map_to_proc(const IdMap *map, IdKind kind)
{
	GString *text = g_string_new(NULL);
	const IdRange *ranges;
	unsigned n;

	assert(map && !map->host);

	ranges = id_map_ranges(map, kind, &n);
	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(
			text, "%u %u %u\n", ranges[i].container, ranges[i].host, ranges[i].count);
	return g_string_free(text, FALSE);
}
