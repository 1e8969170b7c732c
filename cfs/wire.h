/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The messages between replicas, and their bytes.
 *
 * Each message belongs to one agreement of one view, whose id it carries; whoever is in another one
 * ignores it.  Layouts are at the top of wire.c: fixed, little-endian, the version first.  Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/replica.h"

#define WIRE_VERSION 1

/* Largest message that is read, and the part of it that a transfer may use for one piece. */
#define WIRE_SIZE_MAX  (32 * 1024 * 1024)
#define WIRE_PIECE_MAX (128 * 1024)

/* Renewals in one message. */
#define WIRE_RENEW_MAX 256

/* Bytes of a row in a list, and most rows in one. */
#define WIRE_LIST_ROW_SIZE 32
#define WIRE_LIST_ROWS_MAX (WIRE_PIECE_MAX / WIRE_LIST_ROW_SIZE)
#define WIRE_DIGEST_SIZE   16

typedef enum WireType {
	WIRE_INVALID = 0,
	WIRE_VIEW,    /* An agreement begins: everybody in it tells its state. */
	WIRE_STATE,   /* What a member has. */
	WIRE_PROMISE, /* A member's disk knows of the new epoch, and it takes part in no lower one.
		       */
	WIRE_OPS,     /* Changes of one origin; and its ACK, if it has one to say. */
	WIRE_ACK,     /* A member's disk holds the log of the epoch up to an index. */
	WIRE_PIECE,   /* A part of what the source sends to those that differ (cfs/stream.h). */
	WIRE_LIST,    /* What a member that differs has of a range of the tree. */
	WIRE_AGAIN,   /* A member that differs could make no sense of what the source sent. */
	WIRE_RENEW,   /* Renewals of locks, by one node. */
	WIRE_CONFIRM, /* A voter that has adopted the epoch has seen so many renewals in it. */
	WIRE_N_TYPES,
} WireType;

/* Names an agreement for ever: who announced it, in which run, and the how-many-eth of that run. */
typedef struct WireView {
	uint32_t node;
	uint64_t boot;
	uint64_t counter;
} WireView;

typedef struct WireState {
	uint64_t promised;
	uint64_t adopted;
	uint64_t last;
	uint64_t commit;
	uint8_t last_hash[REPLICA_HASH_SIZE];
	uint8_t commit_hash[REPLICA_HASH_SIZE];
	bool quorate;
	bool reduced;      /* Quorate although fewer than a majority are online. */
	bool trusted;      /* Counts although it has adopted no epoch (ReplicaOptions.trusted). */
	bool unsure;       /* It may tell less when it has heard all others. */
	uint32_t n_online; /* Configured nodes in corosync's membership. */
	uint32_t n_configured;
	uint32_t configured[REPLICA_NODES_MAX]; /* Ascending. */
} WireState;

/* One change inside OPS. */
typedef struct WireOp {
	uint64_t seq;
	const uint8_t *bytes; /* Encoded operation; decoded messages point into their buffer. */
	size_t size;
} WireOp;

/* One row inside LIST: what it is, without its bytes. */
typedef struct WireListRow {
	uint64_t inode;
	uint64_t version;
	uint8_t digest[WIRE_DIGEST_SIZE]; /* Of all but inode and version. */
} WireListRow;

typedef struct WireMessage {
	WireType type;
	WireView view;
	union {
		struct {
			uint32_t n_members;
			uint32_t members[REPLICA_NODES_MAX]; /* Of the bus's view, ascending … */
			uint32_t n_nodes;
			uint32_t nodes[REPLICA_NODES_MAX]; /* … and who of them takes part. */
		} announce;
		WireState state;
		struct {
			uint64_t epoch;
		} promise;
		struct {
			uint64_t epoch;
			uint64_t boot;
			bool acknowledges;     /* It is an ACK, too … */
			uint64_t acknowledged; /* … of the log up to this index, else 0. */
			uint32_t n_ops;
			WireOp ops[REPLICA_IN_FLIGHT_MAX]; /* seq ascending. */
		} ops;
		struct {
			uint64_t epoch;
			uint64_t index;
		} ack;
		struct {
			uint64_t epoch;
			uint32_t number; /* From 0 in each stream. */
			bool final;
			const uint8_t *bytes;
			size_t size;
		} piece;
		struct {
			uint64_t epoch;
			uint32_t n_tokens;
			uint64_t tokens[WIRE_RENEW_MAX]; /* None 0. */
		} renew;
		struct {
			uint64_t epoch;
			uint64_t renewals; /* Of all locks, since the epoch opened. */
		} confirm;
		struct {
			uint64_t epoch;
			uint32_t session;     /* As the source said. */
			uint64_t after;       /* Rows with inodes above this one … */
			uint64_t upto;        /* … and up to this one; UINT64_MAX: to the end. */
			uint32_t n_rows;      /* All of them … */
			const uint8_t *bytes; /* … by wire_put_list_row(), inodes ascending. */
		} list;
		struct {
			uint64_t epoch;
		} again;
	};
} WireMessage;

/* Rows of a list: appending one to bytes, and reading the i-th of a message. */
void wire_put_list_row(GByteArray *bytes, const WireListRow *row);
void wire_get_list_row(const uint8_t *bytes, uint32_t i, WireListRow *ret);

bool wire_view_equal(const WireView *a, const WireView *b);

/* The bytes of a message, owned by the caller. */
GBytes *wire_encode(const WireMessage *message);

/* Reads a message; it borrows from data.  -EBADMSG for anything that wire_encode() could not have
 * made, -EPROTONOSUPPORT for another version. */
int wire_decode(const uint8_t *data, size_t size, WireMessage *ret);
