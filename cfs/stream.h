/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the source of an epoch sends to members that differ: items one behind the other, whose bytes
 * travel in pieces.  Who sends which item when is told at the top of replica_source.c; the layouts are
 * at the top of stream.c.  Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/bytes.h"
#include "cfs/replica.h"

/* Of the items, and of the rows in them. */
#define STREAM_VERSION 1

typedef enum StreamItemType {
	STREAM_INVALID = 0,
	STREAM_LOG,  /* First of a stream: the end of the log follows, for the members named. */
	STREAM_TREE, /* First of a stream: the tree's difference follows, for the member named. */
	STREAM_ASK,  /* The member shall list its rows behind an inode. */
	STREAM_ROW,  /* An entry of the tree as the member must have it. */
	STREAM_REMOVED, /* An entry that the member must not have. */
	STREAM_PICTURE, /* What the tree is with all that follows … */
	STREAM_ORIGIN,  /* … of which these … */
	STREAM_ENTRY,   /* … and these are part; the only items behind STREAM_LOG. */
	STREAM_N_TYPES,
} StreamItemType;

/* A member, and the index up to which its log is the source's. */
typedef struct StreamMember {
	uint32_t node;
	uint64_t common;
} StreamMember;

typedef struct StreamItem {
	StreamItemType type;
	union {
		struct {
			uint32_t n_members;
			StreamMember members[REPLICA_NODES_MAX]; /* Ascending. */
		} log;
		struct {
			uint32_t node;
			uint32_t session; /* To be told with the list. */
		} tree;
		uint64_t inode; /* STREAM_ASK: behind it; STREAM_REMOVED: this one. */
		ReplicaRow row;
		struct {
			uint64_t commit;
			uint8_t commit_hash[REPLICA_HASH_SIZE];
			uint64_t version;
			uint64_t n_entries; /* In the tree … */
			uint64_t n_bytes;   /* … and bytes of them: a check of the whole. */
		} picture;
		ReplicaOrigin origin;
		ReplicaEntry entry;
	};
} StreamItem;

/* Appends an item to out; what it points to is borrowed for the call. */
void stream_put(GByteArray *out, const StreamItem *item);

/* Reads the next item.  1: *ret is it, to be cleared with stream_item_clear().  0: its end has not
 * arrived yet; the reader is where it was.  -EBADMSG: no item begins like this.  -EPROTONOSUPPORT: the
 * stream is of a newer version. */
int stream_get(BytesReader *reader, StreamItem *ret);

/* Frees what stream_get() has put into an item. */
void stream_item_clear(StreamItem *item);
