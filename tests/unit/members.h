/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A fixture for tests of what members tell each other beside the log (cfs/beside.h): three of them on
 * a bus that delivers at once, but holds what is sent during a change of membership until all have
 * seen it.  A member can be cut off, refused by the bus, or not run. */

#include <stdbool.h>

#include "cfs/beside.h"
#include "tests/unit/test.h"

#define N_MEMBERS 3

typedef struct Members Members;

/* What is tested. */
typedef struct MembersKind {
	BesideType type; /* Of its messages. */
	int (*message)(void *module, uint32_t from, const uint8_t *bytes, size_t size);
	void (*view_changed)(void *module, const uint32_t *nodes, unsigned n_nodes);
} MembersKind;

typedef struct Member {
	Members *members;
	uint32_t node; /* From 1. */
	void *module;  /* Of the test; NULL: it does not run. */
	unsigned side; /* Of a cut. */
	int refuses;   /* What the bus says to it; 0: nothing. */
} Member;

struct Members {
	const MembersKind *kind;
	Member each[N_MEMBERS];
	unsigned n_sent; /* Messages that the bus took. */
	bool changing;
	GQueue held;
};

/* kind is borrowed. */
void members_init(Members *members, const MembersKind *kind);

/* BesideEnv.send of a member. */
int members_send(void *member, GBytes *message);

/* All who run are told with whom they share a side. */
void members_show_view(Members *members);
