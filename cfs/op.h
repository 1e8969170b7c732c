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

/* Most bytes of an encoded operation. */
#define OP_SIZE_MAX (32 + 2 * OP_PATH_MAX + OP_DATA_MAX)

typedef enum OpType {
	OP_INVALID = 0,
	OP_CREATE,  /* New regular file with content; -EEXIST when the path exists (O_EXCL is free).
		     */
	OP_MKDIR,   /* New directory. */
	OP_WRITE,   /* Bytes at an offset of an existing file; a gap is filled with zeros. */
	OP_REPLACE, /* New content for an existing file: O_TRUNC and what was written, as one. */
	OP_TRUNCATE, /* New length of an existing file. */
	OP_RENAME,   /* Atomic; replaces an existing file unless OP_FLAG_NOREPLACE. */
	OP_UNLINK,   /* Removes a regular file. */
	OP_RMDIR,    /* Removes an empty directory. */
	OP_UTIME,    /* Sets the modification time. */
	OP_BARRIER,  /* Changes nothing, path "": its place in the log is what it is for. */
	OP_N_TYPES,
} OpType;

typedef enum OpFlags {
	OP_FLAG_NOREPLACE = 1 << 0, /* OP_RENAME: -EEXIST when the target exists. */
	OP_FLAG_APPEND = 1 << 1,    /* OP_WRITE: offset is the length at the time of applying. */
} OpFlags;

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
} Op;

/* An empty operation to be filled in; strings and bytes are owned by it. */
Op *op_new(OpType type, const char *path);
Op *op_free(Op *op);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Op, op_free)

/* Whether a name may stand in the tree: UTF-8 without control characters, no slash, neither "." nor
 * "..".  0, -EINVAL, or -ENAMETOOLONG. */
int op_check_name(const char *name);

/* Whether the operation is well-formed: 0, -EINVAL, -ENAMETOOLONG, or -EFBIG.  tree_apply() relies
 * on it. */
int op_check(const Op *op);

/* Appends the encoded operation to out. */
void op_encode(const Op *op, GByteArray *out);

/* Decodes exactly size bytes into *ret, owned by the caller.  -EBADMSG for anything that
 * op_encode() could not have made (it may come from the bus or the database). */
int op_decode(const uint8_t *data, size_t size, Op **ret);
