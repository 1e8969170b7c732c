/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What atoll-cfs and its clients say to each other over a stream socket, and its bytes.
 *
 * A client sends requests under numbers of its own choice; each is answered once, under its number,
 * when its answer is known and not in the order of asking.  The server begins with a greeting, an
 * answer under the number 0, which says whether the client may come in, and tells events in
 * between.  Messages are decoded in place: strings and bytes point into what was read.  Layouts are
 * at the top of ipc_wire.c.  Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include <glib.h>

#include "cfs/clusterlog.h"
#include "cfs/events.h"
#include "cfs/op.h"
#include "cfs/replica.h"
#include "cfs/status.h"

#define IPC_VERSION 1

/* Largest message with its length: from one who may change, from one who may only read, and from
 * the server. */
#define IPC_REQUEST_MAX (4 * 1024 * 1024)
#define IPC_READER_MAX  (16 * 1024)
#define IPC_ANSWER_MAX  (4 * 1024 * 1024)

typedef enum IpcType {
	IPC_INVALID = 0,
	IPC_HELLO,       /* Never asked for: the greeting. */
	IPC_READ,        /* An entry of the tree with its content. */
	IPC_CHANGE,      /* An operation, or a transaction of several. */
	IPC_BARRIER,     /* Answered when all that was acknowledged anywhere before is seen here. */
	IPC_STATE,       /* Of store and cluster. */
	IPC_STATUS_SET,  /* A key of this node. */
	IPC_STATUS_GET,  /* A key of any node, with its value. */
	IPC_STATUS_LIST, /* All keys, without values. */
	IPC_SUBSCRIBE,   /* To events, under the number of the request. */
	IPC_UNSUBSCRIBE,
	IPC_LOG_WRITE, /* To the cluster log. */
	IPC_LOG_READ,
	IPC_LOCK,   /* Takes a lock. */
	IPC_RENEW,  /* Its lease. */
	IPC_UNLOCK, /* Frees it. */
	IPC_CANCEL, /* Gives up a request for a lock: that is answered with -ECANCELED, if it has not
		     * been answered yet. */
	IPC_N_TYPES,
} IpcType;

/* For messages to people. */
const char *ipc_type_to_string(IpcType type);

/* Whether a request only reads, so that the store's group may send it. */
bool ipc_type_only_reads(IpcType type);

typedef struct IpcRequest {
	IpcType type;
	uint64_t number; /* Not 0. */
	union {
		struct {
			const char *path; /* "": the root. */
		} read;
		struct {
			const uint8_t *bytes; /* Encoded operation (cfs/op.h). */
			size_t size;
		} change;
		struct {
			const char *key;
			bool remove;
			const uint8_t *bytes; /* Value. */
			size_t size;
		} status_set;
		struct {
			uint32_t node;
			const char *key;
		} status_get;
		EventFilter subscribe;
		struct {
			uint64_t number; /* Of the request that subscribed, or asked for the lock.
					  */
		} unsubscribe, cancel;
		ClusterLogEntry log_write; /* priority, user, tag and message; the rest is the
					      server's. */
		struct {
			const char *name;
			const char *owner;
			uint32_t ttl_s;
			bool wait; /* Until it becomes free, for as long as the connection lasts.
				    */
		} lock;
		struct {
			uint64_t token;
		} renew, unlock;
	};
} IpcRequest;

typedef struct IpcEntry {
	uint64_t inode;
	uint64_t version;
	uint32_t mtime_s;
	bool directory;
	const uint8_t *bytes; /* Content; of a directory the names in it, each with its NUL. */
	size_t size;
} IpcEntry;

typedef struct IpcNode {
	uint32_t id;
	bool online;      /* Its corosync runs, and is in touch with ours. */
	bool in_store;    /* Its store takes part in the agreement with ours … */
	bool catching_up; /* … but is not level yet. */
	const char *name;
} IpcNode;

typedef struct IpcState {
	uint32_t node;   /* Ours. */
	bool standalone; /* A node without a cluster. */
	bool quorate;    /* By corosync. */
	bool writable;   /* Changes are taken now. */
	uint8_t state;   /* ReplicaState. */
	uint32_t need;   /* See ReplicaStatus. */
	uint64_t epoch;
	uint64_t commit;
	uint64_t version; /* Of the tree. */
	uint32_t n_nodes;
	IpcNode nodes[REPLICA_NODES_MAX]; /* Configured ones, in the order of the configuration. */
} IpcState;

typedef struct IpcKey {
	uint32_t node;
	uint64_t version;
	uint32_t size; /* Of the value. */
	const char *key;
} IpcKey;

/* A list that is read one by one. */
typedef struct IpcList {
	uint32_t n;
	const uint8_t *bytes;
	size_t size;
} IpcList;

typedef struct IpcAnswer {
	IpcType type;    /* Of the request. */
	uint64_t number; /* Of the request; IPC_HELLO: 0. */
	int result;      /* 0 or negative errno, and then there is nothing else. */
	union {
		struct {
			bool may_change; /* Rather than only read. */
		} hello;
		IpcEntry read;
		struct {
			uint64_t version; /* Of the tree just after it. */
		} change;
		IpcState state;
		struct {
			uint64_t version;
			const uint8_t *bytes;
			size_t size;
		} status_get;
		IpcList status_list; /* ipc_list_next_key() */
		IpcList log_read;    /* ipc_list_next_entry(), the newest first. */
		struct {
			uint64_t token; /* Fencing token: grows with each taking. */
			int64_t until_ms;
		} lock;
		struct {
			int64_t until_ms; /* Until when the lease is good, by CLOCK_MONOTONIC. */
		} renew;
	};
} IpcAnswer;

typedef struct IpcEvent {
	uint64_t number; /* Of the request that subscribed. */
	Event event;
} IpcEvent;

/* What the server sends. */
typedef struct IpcReply {
	bool is_event;
	union {
		IpcAnswer answer;
		IpcEvent event;
	};
} IpcReply;

/* Whether data begins with a whole message: its bytes with its length; 0: more must be read.
 * -EMSGSIZE when it is longer than max, which may be told from its first bytes. */
ssize_t ipc_message_size(const uint8_t *data, size_t size, size_t max);

/* The bytes of a message with its length, owned by the caller. */
GBytes *ipc_encode_request(const IpcRequest *request);
GBytes *ipc_encode_answer(const IpcAnswer *answer);
GBytes *ipc_encode_event(const IpcEvent *event);

/* Reads one message with its length, exactly size bytes.  -EBADMSG for anything that could not have
 * been encoded, -EPROTONOSUPPORT for another version. */
int ipc_decode_request(const uint8_t *data, size_t size, IpcRequest *ret);
int ipc_decode_reply(const uint8_t *data, size_t size, IpcReply *ret);

/* Lists: building one, and taking the next element off its front; false at its end. */
void ipc_list_put_key(GByteArray *list, const IpcKey *key);
void ipc_list_put_entry(GByteArray *list, const ClusterLogEntry *entry);
bool ipc_list_next_key(IpcList *list, IpcKey *ret);
bool ipc_list_next_entry(IpcList *list, ClusterLogEntry *ret);
