/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What members tell each other beside the log: status (cfs/status.h) and cluster log
 * (cfs/clusterlog.h).
 *
 * The messages share the bus with those of cfs/wire.h, and their first two bytes, version and type;
 * they belong to no agreement.  What they carry lives in memory only and is told anew to whoever
 * comes, so that a message that a change of membership swept away is not missed.  Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/wire.h"

typedef enum BesideType {
	BESIDE_FIRST = 64, /* Lower types are the replica's. */
	BESIDE_STATUS = BESIDE_FIRST,
	BESIDE_LOG,
} BesideType;

/* The type of a message that is not for the replica, known to us or not; otherwise 0. */
static inline unsigned beside_type(const uint8_t *bytes, size_t size)
{
	if (size < 2 || bytes[0] != WIRE_VERSION || bytes[1] < BESIDE_FIRST)
		return 0;
	return bytes[1];
}

/* How both reach the bus and those who watch. */
typedef struct BesideEnv {
	void *data; /* Given to send. */

	/* Multicasts to the view.  0, or a negative errno: it is to be tried again when the bus has
	 * room (-EAGAIN), or not before the next change of membership (any other). */
	int (*send)(void *data, GBytes *message);
} BesideEnv;

/* Most bytes of ours that are under way, but for the message that goes over it.  The replica's
 * messages wait in the same queue, and shall not wait for long. */
#define BESIDE_UNDER_WAY_MAX (64 * 1024)

/* What is sent and has not come back.  At a change of membership nothing is any more, since
 * everything is told anew. */
typedef struct BesideFlow {
	size_t under_way;
} BesideFlow;

/* 0: a message may be sent; -EAGAIN: not before some have come back. */
int beside_flow_check(const BesideFlow *flow);
void beside_flow_sent(BesideFlow *flow, size_t size);
void beside_flow_back(BesideFlow *flow, size_t size);

/* Whether a node is in an ascending array of uint32_t. */
bool beside_contains(const GArray *nodes, uint32_t node);

/* Whether a membership (ascending) has somebody who was not in the one before. */
bool beside_has_newcomers(const GArray *before, const uint32_t *nodes, unsigned n_nodes);

/* Who speaks to newcomers for those who came to this membership together with us: the lowest of
 * them. */
uint32_t beside_speaker(
	const GArray *before, const uint32_t *nodes, unsigned n_nodes, uint32_t self);

/* Makes before what nodes is. */
void beside_remember(GArray *before, const uint32_t *nodes, unsigned n_nodes);
