/* SPDX-License-Identifier: Apache-2.0 */

/* Leases: what the row of a lock's directory carries in the place of content.
 *
 *	offset  size  what
 *	     0     1  version, 1
 *	     1     4  ttl_s, little-endian
 *	     5        owner, with a NUL behind it */

#include "cfs/tree_internal.h"

#include <string.h>

#include "base/macro.h"
#include "cfs/bytes.h"

#define LEASE_VERSION    1
#define LEASE_HEAD_BYTES 5

GBytes *tree_lease_encode(const char *owner, uint32_t ttl_s)
{
	GByteArray *out = g_byte_array_new();

	assert(op_check_owner(owner) == 0);
	assert(ttl_s >= OP_TTL_MIN_S && ttl_s <= OP_TTL_MAX_S);

	bytes_put_u8(out, LEASE_VERSION);
	bytes_put_u32(out, ttl_s);
	bytes_put(out, owner, strlen(owner) + 1);
	return g_byte_array_free_to_bytes(out);
}

bool tree_lease_decode(GBytes *bytes, TreeLease *ret)
{
	gsize size;
	const uint8_t *data = g_bytes_get_data(bytes, &size);
	BytesReader reader = bytes_reader(data, size);
	uint8_t version = bytes_get_u8(&reader);
	uint32_t ttl_s = bytes_get_u32(&reader);
	const char *owner = (const char *)data + LEASE_HEAD_BYTES;

	if (reader.failed || version != LEASE_VERSION || ttl_s < OP_TTL_MIN_S ||
		ttl_s > OP_TTL_MAX_S)
		return false;
	/* The NUL must be the last byte, and the only one. */
	if (reader.left == 0 || memchr(owner, '\0', reader.left) != owner + reader.left - 1)
		return false;
	if (op_check_owner(owner) < 0)
		return false;
	ret->owner = owner;
	ret->ttl_s = ttl_s;
	return true;
}

bool tree_node_lease(const TreeNode *node, TreeLease *ret)
{
	if (!node->lease)
		return false;
	if (!tree_lease_decode(node->lease, ret))
		g_assert_not_reached();
	ret->token = node->inode;
	return true;
}

/* The directory of all locks; NULL when it is not there. */
static const TreeNode *lock_directory(const Tree *tree)
{
	const TreeNode *private = tree_find_child(tree, TREE_ROOT_INODE, "priv");

	return private ? tree_find_child(tree, private->inode, "lock") : NULL;
}

bool tree_holds_locks(const Tree *tree, const TreeNode *directory)
{
	return directory->inode != TREE_ROOT_INODE && directory == lock_directory(tree);
}

void tree_each_lock(const Tree *tree, bool (*visit)(const TreeNode *node, void *data), void *data)
{
	const TreeNode *directory = lock_directory(tree);

	if (directory)
		tree_each_child(tree, directory->inode, NULL, visit, data);
}
