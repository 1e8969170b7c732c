/* SPDX-License-Identifier: Apache-2.0 */

/* Layout of an encoded operation, all numbers little-endian:
 *
 *	offset  size  what
 *	     0     1  version, 2
 *	     1     1  type (OpType)
 *	     2     1  flags (OpFlags)
 *	     3     1  condition (OpCondition), plus OP_WIRE_TAKEOVER when there is a takeover
 *	     4     4  mtime_s
 *	     8     8  inode
 *	    16     8  offset
 *	    24     2  length of path
 *	    26     2  length of target, 0 unless the type has one
 *	    28     4  length of data, 0 unless the type has some
 *	    32        path, target, data, without separators
 *
 * and then, where there is one,
 *
 *	condition     u64 if_version (OP_IF_VERSION)
 *	lease         u32 ttl_s, u8 length of owner, owner (OP_LOCK)
 *	takeover      u64 token, u64 epoch, u64 renewals
 *	transaction   u8 n, n * (u32 size, operation)
 *
 * Every operation that op_check() accepts has exactly one encoding, and only these are decoded: two
 * nodes that compare bytes compare operations. */

#include "cfs/op.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

#define OP_VERSION 2

#define OP_WIRE_TAKEOVER 0x80

/* Where locks are. */
#define LOCK_DIRECTORY "priv/lock/"

/* What the operations of a type have. */
typedef struct OpShape {
	uint32_t flags; /* The ones that mean something. */
	bool place;     /* A path, and what may be asked of it. */
	bool inode;
	bool offset;
	bool target;
	bool data;
	bool lease;
	bool takeover;
	bool ops;
} OpShape;

static const OpShape op_shapes[OP_N_TYPES] = {
	[OP_CREATE] = {.place = true, .data = true},
	[OP_MKDIR] = {.place = true},
	[OP_WRITE] = {.flags = OP_FLAG_APPEND,
		.place = true,
		.inode = true,
		.offset = true,
		.data = true},
	[OP_REPLACE] = {.place = true, .inode = true, .data = true},
	[OP_TRUNCATE] = {.place = true, .inode = true, .offset = true},
	[OP_RENAME] = {.flags = OP_FLAG_NOREPLACE, .place = true, .target = true},
	[OP_UNLINK] = {.place = true},
	[OP_RMDIR] = {.place = true, .takeover = true},
	[OP_UTIME] = {.place = true},
	[OP_BARRIER] = {.place = false},
	[OP_TRANSACTION] = {.ops = true},
	[OP_LOCK] = {.place = true, .lease = true, .takeover = true},
};

static void op_destroy(void *op)
{
	op_free(op);
}

Op *op_new(OpType type, const char *path)
{
	Op *op;

	assert(type > OP_INVALID && type < OP_N_TYPES);
	assert(path);

	op = g_new0(Op, 1);
	op->type = type;
	op->path = g_strdup(path);
	if (op_shapes[type].ops)
		op->ops = g_ptr_array_new_with_free_func(op_destroy);
	return op;
}

Op *op_free(Op *op)
{
	if (!op)
		return NULL;

	g_free(op->path);
	g_free(op->target);
	g_free(op->owner);
	g_clear_pointer(&op->data, g_bytes_unref);
	g_clear_pointer(&op->ops, g_ptr_array_unref);
	g_free(op);
	return NULL;
}

void op_add(Op *transaction, Op *op)
{
	assert(transaction->type == OP_TRANSACTION);
	assert(op);

	g_ptr_array_add(transaction->ops, op);
}

/* --- Checks ----------------------------------------------------------------------------------- */

static int check_name(const char *name, size_t length)
{
	if (length > OP_NAME_MAX)
		return -ENAMETOOLONG;
	if (length == 0 || (length == 1 && name[0] == '.') ||
		(length == 2 && name[0] == '.' && name[1] == '.'))
		return -EINVAL;

	return memchr(name, '/', length) ? -EINVAL : 0;
}

int op_check_name(const char *name)
{
	assert(name);

	return check_name(name, strlen(name));
}

int op_check_owner(const char *owner)
{
	assert(owner);

	if (strlen(owner) > OP_OWNER_MAX)
		return -ENAMETOOLONG;
	if (!g_utf8_validate(owner, -1, NULL))
		return -EINVAL;
	for (const char *at = owner; *at; at = g_utf8_next_char(at))
		if (g_unichar_iscntrl(g_utf8_get_char(at)))
			return -EINVAL;
	return 0;
}

const char *op_lock_name(const char *path)
{
	const char *name;

	assert(path);

	if (!g_str_has_prefix(path, LOCK_DIRECTORY))
		return NULL;
	name = path + strlen(LOCK_DIRECTORY);
	return name[0] == '\0' || strchr(name, '/') ? NULL : name;
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

static int check_condition(const Op *op)
{
	if (op->condition >= OP_N_CONDITIONS)
		return -EINVAL;
	if (!op_shapes[op->type].place && op->condition != OP_IF_ANY)
		return -EINVAL;
	return op->condition != OP_IF_VERSION && op->if_version != 0 ? -EINVAL : 0;
}

static int check_lease(const Op *op)
{
	if (!op_shapes[op->type].lease)
		return op->owner || op->ttl_s != 0 ? -EINVAL : 0;
	if (!op->owner || !op_lock_name(op->path) || op->ttl_s < OP_TTL_MIN_S ||
		op->ttl_s > OP_TTL_MAX_S)
		return -EINVAL;
	return op_check_owner(op->owner);
}

static int check_takeover(const Op *op)
{
	if (op->takeover.token == 0)
		return op->takeover.epoch != 0 || op->takeover.renewals != 0 ? -EINVAL : 0;
	return op_shapes[op->type].takeover && op_lock_name(op->path) ? 0 : -EINVAL;
}

static int check_ops(const Op *transaction)
{
	uint64_t size = 0;

	if (op_shapes[transaction->type].ops != (transaction->ops != NULL))
		return -EINVAL;
	if (!transaction->ops)
		return 0;
	if (transaction->ops->len < 1 || transaction->ops->len > OP_TRANSACTION_MAX)
		return -EINVAL;

	for (guint i = 0; i < transaction->ops->len; i++) {
		const Op *op = g_ptr_array_index(transaction->ops, i);
		int r;

		if (op->type == OP_TRANSACTION || op->type == OP_BARRIER || op->takeover.token != 0)
			return -EINVAL;
		r = op_check(op);
		if (r < 0)
			return r;
		size += op->data ? g_bytes_get_size(op->data) : 0;
	}
	return size > OP_DATA_MAX ? -EFBIG : 0;
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
	r = check_condition(op);
	if (r < 0)
		return r;
	r = check_ops(op);
	if (r < 0)
		return r;
	if (!shape->place && (op->path[0] != '\0' || op->mtime_s != 0))
		return -EINVAL;

	r = shape->place ? check_path(op->path) : 0;
	if (r < 0)
		return r;
	r = check_lease(op);
	if (r < 0)
		return r;
	r = check_takeover(op);
	if (r < 0)
		return r;
	return op->target ? check_path(op->target) : 0;
}

/* --- Encoding --------------------------------------------------------------------------------- */

static void put_lease(const Op *op, GByteArray *out)
{
	bytes_put_u32(out, op->ttl_s);
	bytes_put_u8(out, (uint8_t)strlen(op->owner));
	bytes_put(out, op->owner, strlen(op->owner));
}

static void put_takeover(const Op *op, GByteArray *out)
{
	bytes_put_u64(out, op->takeover.token);
	bytes_put_u64(out, op->takeover.epoch);
	bytes_put_u64(out, op->takeover.renewals);
}

static void put_ops(const Op *transaction, GByteArray *out)
{
	bytes_put_u8(out, (uint8_t)transaction->ops->len);
	for (guint i = 0; i < transaction->ops->len; i++) {
		g_autoptr(GByteArray) op = g_byte_array_new();

		op_encode(g_ptr_array_index(transaction->ops, i), op);
		bytes_put_u32(out, op->len);
		bytes_put(out, op->data, op->len);
	}
}

static void put_extras(const Op *op, GByteArray *out)
{
	if (op->condition == OP_IF_VERSION)
		bytes_put_u64(out, op->if_version);
	if (op_shapes[op->type].lease)
		put_lease(op, out);
	if (op->takeover.token != 0)
		put_takeover(op, out);
	if (op_shapes[op->type].ops)
		put_ops(op, out);
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
	bytes_put_u8(out, (uint8_t)(op->condition | (op->takeover.token ? OP_WIRE_TAKEOVER : 0)));
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
	put_extras(op, out);
}

/* --- Decoding --------------------------------------------------------------------------------- */

/* A string of the wire as one of C; NULL when it holds a NUL or is not there. */
static char *take_string(BytesReader *reader, size_t length)
{
	const uint8_t *bytes = bytes_get(reader, length);

	if (!bytes || memchr(bytes, '\0', length))
		return NULL;
	return g_strndup((const char *)bytes, length);
}

static int decode(const uint8_t *data, size_t size, bool nested, Op **ret);

static int get_ops(BytesReader *reader, GPtrArray *ops)
{
	uint8_t n_ops = bytes_get_u8(reader);

	if (n_ops > OP_TRANSACTION_MAX)
		return -EBADMSG;

	for (uint8_t i = 0; i < n_ops; i++) {
		size_t size = bytes_get_u32(reader);
		const uint8_t *bytes = bytes_get(reader, size);
		Op *op;
		int r;

		if (!bytes)
			return -EBADMSG;
		r = decode(bytes, size, true, &op);
		if (r < 0)
			return r;
		g_ptr_array_add(ops, op);
	}
	return 0;
}

static int get_extras(BytesReader *reader, bool takeover, Op *op)
{
	if (op->condition == OP_IF_VERSION)
		op->if_version = bytes_get_u64(reader);
	if (op_shapes[op->type].lease) {
		op->ttl_s = bytes_get_u32(reader);
		op->owner = take_string(reader, bytes_get_u8(reader));
	}
	if (takeover) {
		op->takeover.token = bytes_get_u64(reader);
		op->takeover.epoch = bytes_get_u64(reader);
		op->takeover.renewals = bytes_get_u64(reader);
		if (op->takeover.token == 0)
			return -EBADMSG;
	}
	return op->ops ? get_ops(reader, op->ops) : 0;
}

static int decode(const uint8_t *data, size_t size, bool nested, Op **ret)
{
	BytesReader reader = bytes_reader(data, size);
	g_autoptr(Op) op = g_new0(Op, 1);
	size_t path_size, target_size, data_size;
	const uint8_t *content;
	uint8_t version, extras;
	int r;

	version = bytes_get_u8(&reader);
	op->type = (OpType)bytes_get_u8(&reader);
	op->flags = bytes_get_u8(&reader);
	extras = bytes_get_u8(&reader);
	op->condition = (OpCondition)(extras & ~OP_WIRE_TAKEOVER);
	op->mtime_s = bytes_get_u32(&reader);
	op->inode = bytes_get_u64(&reader);
	op->offset = bytes_get_u64(&reader);
	path_size = bytes_get_u16(&reader);
	target_size = bytes_get_u16(&reader);
	data_size = bytes_get_u32(&reader);
	if (size > 0 && version > OP_VERSION)
		return -EPROTONOSUPPORT;
	if (reader.failed || version != OP_VERSION)
		return -EBADMSG;
	if (op->type <= OP_INVALID || op->type >= OP_N_TYPES || (nested && op_shapes[op->type].ops))
		return -EBADMSG;

	op->path = take_string(&reader, path_size);
	if (op_shapes[op->type].target)
		op->target = take_string(&reader, target_size);
	else if (target_size != 0)
		return -EBADMSG;
	if (!op_shapes[op->type].data && data_size != 0)
		return -EBADMSG;

	content = bytes_get(&reader, data_size);
	if (reader.failed)
		return -EBADMSG;
	if (op_shapes[op->type].data)
		op->data = g_bytes_new(content, data_size);
	if (op_shapes[op->type].ops)
		op->ops = g_ptr_array_new_with_free_func(op_destroy);
	r = get_extras(&reader, extras & OP_WIRE_TAKEOVER, op);
	if (r < 0)
		return r;
	if (!bytes_at_end(&reader) || op_check(op) < 0)
		return -EBADMSG;

	*ret = g_steal_pointer(&op);
	return 0;
}

int op_decode(const uint8_t *data, size_t size, Op **ret)
{
	assert(data || size == 0);
	assert(ret);

	return decode(data, size, false, ret);
}
