/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Operations on the tree, and their bytes.
 *
 * An operation is what one client wants done at once: replace the content of a file, create,
 * remove, rename.  It names everything by path, carries its own time (replicated logic asks no
 * clock), and is applied by tree_apply() with the same result on every node.  Encoded operations
 * are what the log holds and what travels on the bus; the layout is at the top of op.c.  Pure. */

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* Longest path below the root and longest name, in bytes, as POSIX has them. */
#define OP_PATH_MAX 4096
#define OP_NAME_MAX 255

/* Most bytes that one operation carries, and longest file that one makes.  Smaller limits are
 * configuration (TreeLimits). */
#define OP_DATA_MAX (16 * 1024 * 1024)

/* Operations in one transaction. */
#define OP_TRANSACTION_MAX 16

/* Leases of locks: the text that names an owner, in bytes, and the time to live. */
#define OP_OWNER_MAX 255
#define OP_TTL_MIN_S 1
#define OP_TTL_MAX_S 3600

/* Most bytes of an encoded operation: OP_DATA_MAX is for all operations of a transaction together. */
#define OP_HEAD_MAX (64 + 2 * OP_PATH_MAX + OP_OWNER_MAX)
#define OP_SIZE_MAX ((OP_TRANSACTION_MAX + 1) * OP_HEAD_MAX + OP_DATA_MAX)

typedef enum OpType {
	OP_INVALID = 0,
	OP_CREATE,  /* New regular file with content; -EEXIST when the path exists (O_EXCL is free).
		     */
	OP_MKDIR,   /* New directory. */
	OP_WRITE,   /* Bytes at an offset of an existing file; a gap is filled with zeros. */
	OP_REPLACE, /* New content for an existing file: O_TRUNC and what was written, as one. */
	OP_TRUNCATE,    /* New length of an existing file. */
	OP_RENAME,      /* Atomic; replaces an existing file unless OP_FLAG_NOREPLACE. */
	OP_UNLINK,      /* Removes a regular file. */
	OP_RMDIR,       /* Removes an empty directory. */
	OP_UTIME,       /* Sets the modification time. */
	OP_BARRIER,     /* Changes nothing, path "": its place in the log is what it is for. */
	OP_TRANSACTION, /* Several operations, path "": they apply in order, all of them or none. */
	OP_LOCK, /* Takes a lock: makes a directory priv/lock/NAME with a lease; -EEXIST when it
			 * is held. */
	OP_N_TYPES,
} OpType;

typedef enum OpFlags {
	OP_FLAG_NOREPLACE = 1 << 0, /* OP_RENAME: -EEXIST when the target exists. */
	OP_FLAG_APPEND = 1 << 1,    /* OP_WRITE: offset is the length at the time of applying. */
} OpFlags;

/* What must be true of the entry at the path when it is the operation's turn. */
typedef enum OpCondition {
	OP_IF_ANY = 0,
	OP_IF_ABSENT,  /* There is none, else -EEXIST. */
	OP_IF_VERSION, /* It is of version if_version, else -ESTALE; -ENOENT when there is none. */
	OP_N_CONDITIONS,
} OpCondition;

/* The lock that is to be taken away from who has it, and what the taker saw of its renewals
 * (ReplicaLease).  The replica drops the operation with -ESTALE when the lock has been renewed since;
 * the tree refuses it with -ESTALE when the lock is another one by now. */
typedef struct OpTakeover {
	uint64_t token; /* 0: this is no takeover. */
	uint64_t epoch;
	uint64_t renewals;
} OpTakeover;

typedef struct Op {
	OpType type;
	uint32_t flags;   /* OpFlags. */
	uint32_t mtime_s; /* Wall time at the origin. */
	uint64_t inode;  /* OP_WRITE, OP_REPLACE, OP_TRUNCATE: the file must still be this one, else
			  * -ENOENT; 0: any. */
	uint64_t offset; /* OP_WRITE: where; OP_TRUNCATE: new length. */
	char *path;      /* Without leading slash, components separated by one slash. */
	char *target;    /* OP_RENAME: the new path; otherwise NULL. */
	GBytes *data;    /* OP_CREATE, OP_WRITE, OP_REPLACE: the bytes; otherwise NULL. */
	OpCondition condition; /* Of the entry at path; OP_BARRIER and OP_TRANSACTION have none. */
	uint64_t if_version;   /* OP_IF_VERSION. */
	char *owner;           /* OP_LOCK: text without control characters, perhaps empty. */
	uint32_t ttl_s;        /* OP_LOCK. */
	OpTakeover takeover;   /* OP_LOCK: takes the place of that lock; OP_RMDIR: removes it. */
	GPtrArray *
		ops; /* OP_TRANSACTION: Op, owned; 1 to OP_TRANSACTION_MAX, none of them a transaction,
			 * a barrier or a takeover. */
} Op;

/* An empty operation to be filled in; strings and bytes are owned by it. */
Op *op_new(OpType type, const char *path);
Op *op_free(Op *op);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Op, op_free)

/* Puts an operation at the end of a transaction, which owns it from then. */
void op_add(Op *transaction, Op *op);

/* Whether a name may stand in the tree: any bytes but a slash, neither "." nor "..".  0, -EINVAL, or
 * -ENAMETOOLONG. */
int op_check_name(const char *name);

/* Whether a text may name an owner of a lock: UTF-8 without control characters, at most OP_OWNER_MAX
 * bytes.  0, -EINVAL or -ENAMETOOLONG. */
int op_check_owner(const char *owner);

/* The name of the lock whose place a path is ("priv/lock/NAME"), as a part of path; NULL: it is no
 * such place. */
const char *op_lock_name(const char *path);

/* Whether the operation is well-formed: 0, -EINVAL, -ENAMETOOLONG, or -EFBIG.  tree_apply() relies
 * on it. */
int op_check(const Op *op);

/* Appends the encoded operation to out. */
void op_encode(const Op *op, GByteArray *out);

/* Decodes exactly size bytes into *ret, owned by the caller.  -EBADMSG for anything that
 * op_encode() could not have made (it may come from the bus or the database). */
int op_decode(const uint8_t *data, size_t size, Op **ret);
