/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The bus of the store: a closed process group of corosync.
 *
 * Every member gets the same messages in the same order, and the changes of membership at the same
 * place between them; a member gets its own messages too.  The group is a source of the thread's
 * default main context and never blocks: what corosync does not take now stays queued and is tried
 * again.  A message may be larger than corosync allows; it travels in pieces then (cfs/pieces.h), and a change of
 * membership sweeps a message away whose pieces have not all arrived, on all members alike. */

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/pieces.h"

/* Longest message; a larger one is a bug of the sender. */
#define CPG_MESSAGE_MAX PIECES_MESSAGE_MAX

typedef struct CpgGroup CpgGroup;

typedef struct CpgHandler {
	void *data; /* Given to each function. */

	/* The members are now these nodes, in ascending order and each once; ours is one. */
	void (*view)(void *data, const uint32_t *nodes, unsigned n_nodes);

	/* A message of a member, borrowed for the call. */
	void (*message)(void *data, uint32_t node, const uint8_t *bytes, size_t size);

	/* The queue has room again after cpg_group_send() gave -EAGAIN. */
	void (*drained)(void *data);

	/* The connection to corosync is gone, and what was queued with it.  The group may be freed
	 * only after this function has returned. */
	void (*lost)(void *data);
} CpgHandler;

/* Joins the group called name.  The first view comes from the main loop.  Negative errno with
 * reason (-EAGAIN: corosync is busy, try later). */
int cpg_group_new(const char *name, const CpgHandler *handler, CpgGroup **ret, GError **err);
CpgGroup *cpg_group_free(CpgGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CpgGroup, cpg_group_free)

/* Bytes that may wait to be taken by corosync before cpg_group_send() refuses more. */
#define CPG_QUEUE_MAX (4 * 1024 * 1024)

/* Queues a message to all members; a reference is taken.  It is delivered to us as well, unless a
 * view or the loss of the connection comes between.  -EAGAIN when too much is queued already. */
int cpg_group_send(CpgGroup *group, GBytes *message);
