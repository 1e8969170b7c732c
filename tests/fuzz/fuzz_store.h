/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the targets of the database share: reading it as the daemon does. */

#include "cfs/replica.h"
#include "cfs/store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_dir.h"

static inline int64_t fuzz_now_ms(void *data)
{
	return 0;
}

static inline int fuzz_send(void *data, GBytes *message)
{
	return 0;
}

static inline void fuzz_persist(void *data, const ReplicaBatch *batch)
{
}

static inline void fuzz_applied(void *data, GPtrArray *changes, void *token)
{
}

static inline void fuzz_answer(void *data, void *token, int result)
{
}

static inline void fuzz_bad_message(void *data, uint32_t node, int error)
{
}

static inline void fuzz_state_changed(void *data)
{
}

/* Opens a database and makes a replica of what is in it. */
static inline void fuzz_load(const char *path)
{
	const ReplicaEnv env = {.now_ms = fuzz_now_ms,
		.send = fuzz_send,
		.persist = fuzz_persist,
		.applied = fuzz_applied,
		.answer = fuzz_answer,
		.bad_message = fuzz_bad_message,
		.state_changed = fuzz_state_changed};
	const ReplicaOptions options = {.node = 1,
		.boot = 1,
		.limits = {.file_max = 1 << 20, .total_max = 1 << 27, .entries_max = 1 << 18}};
	g_autoptr(Store) store = NULL;
	g_autoptr(ReplicaBatch) image = NULL;
	g_autoptr(Replica) replica = NULL;
	g_autofree char *digest = NULL;

	if (store_open(path, &store, NULL) < 0)
		return;
	if (store_load(store, &image, NULL) < 0)
		return;
	if (replica_new(&options, &env, image, &replica, NULL) < 0)
		return;
	digest = tree_dup_digest(replica_tree(replica));
	assert(digest);
}
