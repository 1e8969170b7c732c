/* SPDX-License-Identifier: Apache-2.0 */

/* Operations as they come from the bus and the database: what is decoded is well-formed, has this
 * one encoding, and can be applied; an operation that fails leaves the tree alone. */

#include "cfs/op.h"

#include "cfs/tree.h"
#include "tests/fuzz/fuzz.h"

static const TreeLimits limits = {.file_max = 65536, .total_max = 1048576, .entries_max = 100};

/* A tree in which the paths of the corpus lead somewhere. */
static Tree *make_tree(void)
{
	static const char *const directories[] = {
		"a", "nodes", "nodes/n1", "nodes/n1/lxc", "priv", "priv/lock"};
	Tree *tree = tree_new(&limits);

	for (unsigned i = 0; i < G_N_ELEMENTS(directories); i++) {
		g_autoptr(Op) op = op_new(OP_MKDIR, directories[i]);

		(void)tree_apply(tree, op, 1, NULL);
	}
	for (unsigned i = 0; i < 2; i++) {
		g_autoptr(Op) op = op_new(OP_CREATE, i == 0 ? "a/f" : "nodes/n1/lxc/100.conf");

		op->data = g_bytes_new_static("content", 7);
		(void)tree_apply(tree, op, 1, NULL);
	}
	return tree;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GByteArray) again = NULL;
	g_autofree char *before = NULL, *after = NULL;
	g_autoptr(Tree) tree = NULL;
	g_autoptr(Op) op = NULL;

	if (op_decode(data, size, &op) < 0)
		return 0;
	assert(op_check(op) == 0);
	again = g_byte_array_new();
	op_encode(op, again);
	assert(again->len == size && memcmp(again->data, data, size) == 0);

	tree = make_tree();
	before = tree_dup_digest(tree);
	if (tree_admit(tree, &limits, op) < 0)
		return 0;
	if (tree_apply(tree, op, 2, NULL) < 0) {
		after = tree_dup_digest(tree);
		assert(strcmp(before, after) == 0);
	}
	assert(tree_check(tree, NULL) == 0);
	return 0;
}
