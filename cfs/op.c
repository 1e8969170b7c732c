/* SPDX-License-Identifier: Apache-2.0 */

/* Layout of an encoded operation, all numbers little-endian:
 *
 *	offset  size  what
 *	     0     1  version, 1
 *	     1     1  type (OpType)
 *	     2     1  flags (OpFlags)
 *	     3     1  0
 *	     4     4  mtime_s
 *	     8     8  inode
 *	    16     8  offset
 *	    24     2  length of path
 *	    26     2  length of target, 0 unless the type has one
 *	    28     4  length of data, 0 unless the type has some
 *	    32        path, target, data, without separators
 *
 * Every operation that op_check() accepts has exactly one encoding, and only these are decoded: two
 * nodes that compare bytes compare operations. */

#include "cfs/op.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

#define OP_VERSION 1

/* What the operations of a type have. */
typedef struct OpShape {
	uint32_t flags; /* The ones that mean something. */
	bool inode;
	bool offset;
	bool target;
	bool data;
} OpShape;

static const OpShape op_shapes[OP_N_TYPES] = {
	[OP_CREATE] = {.data = true},
	[OP_MKDIR] = {.flags = 0},
	[OP_WRITE] = {.flags = OP_FLAG_APPEND, .inode = true, .offset = true, .data = true},
	[OP_REPLACE] = {.inode = true, .data = true},
	[OP_TRUNCATE] = {.inode = true, .offset = true},
	[OP_RENAME] = {.flags = OP_FLAG_NOREPLACE, .target = true},
	[OP_UNLINK] = {.flags = 0},
	[OP_RMDIR] = {.flags = 0},
	[OP_UTIME] = {.flags = 0},
	[OP_BARRIER] = {.flags = 0},
};

Op *op_new(OpType type, const char *path)
{
	Op *op;

	assert(type > OP_INVALID && type < OP_N_TYPES);
	assert(path);

	op = g_new0(Op, 1);
	op->type = type;
	op->path = g_strdup(path);
	return op;
}

Op *op_free(Op *op)
{
	if (!op)
		return NULL;

	g_free(op->path);
	g_free(op->target);
	g_clear_pointer(&op->data, g_bytes_unref);
	g_free(op);
	return NULL;
}

static int check_name(const char *name, size_t length)
{
	if (length > OP_NAME_MAX)
		return -ENAMETOOLONG;
	if (length == 0 || (length == 1 && name[0] == '.') ||
		(length == 2 && name[0] == '.' && name[1] == '.'))
		return -EINVAL;

	for (size_t i = 0; i < length; i++)
		if ((uint8_t)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return -EINVAL;

	return g_utf8_validate(name, (gssize)length, NULL) ? 0 : -EINVAL;
}

int op_check_name(const char *name)
{
	assert(name);

	return check_name(name, strlen(name));
}

static int check_path(const char *path)
{
	if (strlen(path) > OP_PATH_MAX)
		return -ENAMETOOLONG;

	for (;;) {
		const char *end = strchrnul(path, '/');
		int r;

		r = check_name(path, (size_t)(end - path));
		if (r < 0)
			return r;
		if (*end == '\0')
			return 0;
		path = end + 1;
	}
}

int op_check(const Op *op)
{
	const OpShape *shape;
	int r;

	assert(op);

	if (op->type <= OP_INVALID || op->type >= OP_N_TYPES || !op->path)
		return -EINVAL;

	shape = &op_shapes[op->type];
	if (op->flags & ~shape->flags)
		return -EINVAL;
	if (!shape->inode && op->inode != 0)
		return -EINVAL;
	if ((!shape->offset || op->flags & OP_FLAG_APPEND) && op->offset != 0)
		return -EINVAL;
	if (shape->target != (op->target != NULL) || shape->data != (op->data != NULL))
		return -EINVAL;
	if (op->data && g_bytes_get_size(op->data) > OP_DATA_MAX)
		return -EFBIG;
	if (op->type == OP_BARRIER)
		return op->path[0] == '\0' && op->mtime_s == 0 ? 0 : -EINVAL;

	r = check_path(op->path);
	if (r < 0)
		return r;
	return op->target ? check_path(op->target) : 0;
}

void op_encode(const Op *op, GByteArray *out)
{
	gsize data_size = 0;
	const void *data = NULL;

	assert(op_check(op) == 0);
	assert(out);

	if (op->data)
		data = g_bytes_get_data(op->data, &data_size);

	bytes_put_u8(out, OP_VERSION);
	bytes_put_u8(out, (uint8_t)op->type);
	bytes_put_u8(out, (uint8_t)op->flags);
	bytes_put_u8(out, 0);
	bytes_put_u32(out, op->mtime_s);
	bytes_put_u64(out, op->inode);
	bytes_put_u64(out, op->offset);
	bytes_put_u16(out, (uint16_t)strlen(op->path));
	bytes_put_u16(out, op->target ? (uint16_t)strlen(op->target) : 0);
	bytes_put_u32(out, (uint32_t)data_size);
	bytes_put(out, op->path, strlen(op->path));
	if (op->target)
		bytes_put(out, op->target, strlen(op->target));
	bytes_put(out, data, data_size);
}

/* A string of the wire as one of C; NULL when it holds a NUL or is not there. */
static char *take_string(BytesReader *reader, size_t length)
{
	const uint8_t *bytes = bytes_get(reader, length);

	if (!bytes || memchr(bytes, '\0', length))
		return NULL;
	return g_strndup((const char *)bytes, length);
}

int op_decode(const uint8_t *data, size_t size, Op **ret)
{
	BytesReader reader = bytes_reader(data, size);
	g_autoptr(Op) op = g_new0(Op, 1);
	size_t path_size, target_size, data_size;
	const uint8_t *content;
	uint8_t version, zero;

	assert(ret);

	version = bytes_get_u8(&reader);
	op->type = (OpType)bytes_get_u8(&reader);
	op->flags = bytes_get_u8(&reader);
	zero = bytes_get_u8(&reader);
	op->mtime_s = bytes_get_u32(&reader);
	op->inode = bytes_get_u64(&reader);
	op->offset = bytes_get_u64(&reader);
	path_size = bytes_get_u16(&reader);
	target_size = bytes_get_u16(&reader);
	data_size = bytes_get_u32(&reader);
	if (reader.failed || version != OP_VERSION || zero != 0)
		return -EBADMSG;
	if (op->type <= OP_INVALID || op->type >= OP_N_TYPES)
		return -EBADMSG;

	op->path = take_string(&reader, path_size);
	if (op_shapes[op->type].target)
		op->target = take_string(&reader, target_size);
	else if (target_size != 0)
		return -EBADMSG;
	if (!op_shapes[op->type].data && data_size != 0)
		return -EBADMSG;

	content = bytes_get(&reader, data_size);
	if (!bytes_at_end(&reader))
		return -EBADMSG;
	if (op_shapes[op->type].data)
		op->data = g_bytes_new(content, data_size);
	if (op_check(op) < 0)
		return -EBADMSG;

	*ret = g_steal_pointer(&op);
	return 0;
}
