/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The id map of a container: which host ids its user and group ids are.
 *
 * A privileged container has none: its ids are the host's.  An unprivileged one has the default map
 * (65536 ids from host id 100000) unless its raw `lxc.idmap` entries say otherwise; such entries
 * make any container unprivileged in effect.  Ranges of one kind never overlap, neither inside nor
 * on the host. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/section.h"

#define ID_MAP_DEFAULT_HOST  100000U
#define ID_MAP_DEFAULT_COUNT 65536U

/* The kernel takes no more ranges than this in one map. */
#define ID_MAP_RANGES_MAX 340U

typedef enum IdKind {
	ID_KIND_USER,
	ID_KIND_GROUP,
	ID_N_KINDS,
} IdKind;

typedef struct IdRange {
	uint32_t container; /* First id inside. */
	uint32_t host;      /* First id on the host. */
	uint32_t count;     /* At least 1; no range reaches UINT32_MAX, which means "no id". */
} IdRange;

typedef struct IdMap IdMap;

/* The map of a container without user namespace: every id is itself. */
IdMap *id_map_new_host(void);

/* The default map of unprivileged containers. */
IdMap *id_map_new_default(void);

/* From the values of `lxc.idmap` entries ("u 0 100000 65536").  -EINVAL names the entry that is
 * malformed or the two that conflict, or the kind that has no range at all. */
int id_map_parse(const char *const *entries, unsigned n_entries, IdMap **ret, GError **err);

/* The map in effect of a container's section. */
int id_map_from_section(const CtSection *section, IdMap **ret, GError **err);

IdMap *id_map_free(IdMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IdMap, id_map_free)

/* Whether there is no user namespace. */
bool id_map_is_host(const IdMap *map);

/* The ranges of one kind, sorted by container id, borrowed.  Empty for the host's map. */
const IdRange *id_map_ranges(const IdMap *map, IdKind kind, unsigned *ret_n);

/* Conversions; -ENOENT when the id is not mapped. */
int id_map_to_host(const IdMap *map, IdKind kind, uint32_t container_id, uint32_t *ret_host_id);
int id_map_to_container(
	const IdMap *map, IdKind kind, uint32_t host_id, uint32_t *ret_container_id);

/* Host ids of the container's root; -EINVAL when id 0 is not mapped. */
int id_map_root(const IdMap *map, uint32_t *ret_uid, uint32_t *ret_gid, GError **err);

/* Text for /proc/PID/uid_map or gid_map, one range a line; owned by the caller.  Must not be called
 * for the host's map. */
char *id_map_to_proc(const IdMap *map, IdKind kind);
