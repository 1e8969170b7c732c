/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Status: what each node tells of itself, as keys with values, known on all nodes.
 *
 * In memory only.  A node sets its own keys, which are there at once and multicast when they change
 * (only the last value, where the bus is slow); newcomers are told all of them.  A node's keys are
 * gone when it leaves.  Versions grow with each change of a node's keys, also over its restarts.
 * Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/beside.h"

/* Bytes in a key, which are printable ASCII; bytes in a value; keys of one node; bytes in all that a
 * node tells, which every node has in memory and each newcomer is told. */
#define STATUS_KEY_MAX   127
#define STATUS_VALUE_MAX (64 * 1024)
#define STATUS_KEYS_MAX  256
#define STATUS_TOTAL_MAX (1024 * 1024)

typedef struct Status Status;

typedef struct StatusItem {
	uint32_t node;
	const char *key;
	uint64_t version;
	GBytes *value;
} StatusItem;

typedef struct StatusOptions {
	BesideEnv env;
	uint32_t node;    /* Ours. */
	uint64_t version; /* Of the last change before the first: higher in each run. */

	/* A key was set, or removed (no value).  item is borrowed for the call, which may not
	 * change the status. */
	void (*changed)(void *data, const StatusItem *item);
	void *data; /* Given to changed. */
} StatusOptions;

Status *status_new(const StatusOptions *options);
Status *status_free(Status *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Status, status_free)

/* Sets one of our keys; value NULL removes it (-ENOENT).  -EINVAL: no key; -EFBIG: the value is too
 * large; -ENOSPC: too many keys, removed ones that the
 * others have not been told of yet included, or too many bytes in all.  Nothing happens when it has that value already. */
int status_set(Status *status, const char *key, GBytes *value);

/* False when there is no such key.  What ret points to is good until the next change. */
bool status_get(const Status *status, uint32_t node, const char *key, StatusItem *ret);

/* Calls visit for each key, in order of nodes and then keys, until it returns false. */
void status_each(
	const Status *status, bool (*visit)(const StatusItem *item, void *data), void *data);

/* The bus has other members (ascending); none: we have lost it. */
void status_view_changed(Status *status, const uint32_t *nodes, unsigned n_nodes);

/* A message of type BESIDE_STATUS.  -EBADMSG when it is none, -ENOSPC when the sender has too many
 * keys; then it is ignored. */
int status_message(Status *status, uint32_t sender, const uint8_t *bytes, size_t size);

/* The bus has room again. */
void status_flush(Status *status);
