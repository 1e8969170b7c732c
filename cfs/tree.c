/* SPDX-License-Identifier: Apache-2.0 */

/* Every entry is in two indexes: by inode, and by place, which is (inode of its directory, name).
 * The index by place is ordered, so that the children of a directory are neighbours in the byte order
 * of their names; the directory itself knows nothing of them.  Rows may so be loaded in any order.
 *
 * A third index holds the guests by their id, for the rule that an id exists once.  It is kept by
 * tree_apply() and made anew by tree_check(). */

#include "cfs/tree_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "cfs/bytes.h"

/* --- Nodes and indexes ------------------------------------------------------------------------ */

TreeNode *tree_node_new(uint64_t inode, uint64_t parent, const char *name)
{
	TreeNode *node = g_new0(TreeNode, 1);

	node->inode = inode;
	node->parent = parent;
	node->name = g_strdup(name);
	return node;
}

TreeNode *tree_node_copy(const TreeNode *node)
{
	TreeNode *copy = g_memdup2(node, sizeof(*node));

	copy->name = g_strdup(node->name);
	copy->data = node->data ? g_bytes_ref(node->data) : NULL;
	copy->lease = node->lease ? g_bytes_ref(node->lease) : NULL;
	return copy;
}

TreeNode *tree_node_free(TreeNode *node)
{
	if (!node)
		return NULL;

	g_free(node->name);
	g_clear_pointer(&node->data, g_bytes_unref);
	g_clear_pointer(&node->lease, g_bytes_unref);
	g_free(node);
	return NULL;
}

static void node_destroy(void *node)
{
	tree_node_free(node);
}

static int place_compare(const void *a, const void *b, void *data)
{
	const TreeNode *left = a;
	const TreeNode *right = b;

	if (left->parent != right->parent)
		return left->parent < right->parent ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int id_compare(const void *a, const void *b, void *data)
{
	unsigned left = GPOINTER_TO_UINT(a);
	unsigned right = GPOINTER_TO_UINT(b);

	return left < right ? -1 : left > right;
}

uint64_t tree_node_size(const TreeNode *node)
{
	return node->data ? g_bytes_get_size(node->data) : 0;
}

Tree *tree_new(const TreeLimits *limits)
{
	Tree *tree;

	assert(limits);

	tree = g_new0(Tree, 1);
	tree->limits = *limits;
	tree->by_inode = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_destroy);
	tree->by_place = g_tree_new_full(place_compare, NULL, NULL, NULL);
	tree->guests = g_tree_new_full(id_compare, NULL, NULL, NULL);
	tree->root.name = g_strdup("");
	return tree;
}

Tree *tree_free(Tree *tree)
{
	if (!tree)
		return NULL;

	g_tree_destroy(tree->guests);
	g_tree_destroy(tree->by_place);
	g_hash_table_destroy(tree->by_inode);
	g_free(tree->root.name);
	g_free(tree);
	return NULL;
}

TreeNode *tree_find_inode(const Tree *tree, uint64_t inode)
{
	if (inode == TREE_ROOT_INODE)
		return (TreeNode *)&tree->root;
	return g_hash_table_lookup(tree->by_inode, &inode);
}

TreeNode *tree_find_child(const Tree *tree, uint64_t parent, const char *name)
{
	TreeNode place = {.parent = parent, .name = (char *)name};

	return g_tree_lookup(tree->by_place, &place);
}

bool tree_has_children(const Tree *tree, const TreeNode *node)
{
	/* No name is empty, so the first place behind this one is the first child. */
	TreeNode place = {.parent = node->inode, .name = (char *)""};
	GTreeNode *first = g_tree_upper_bound(tree->by_place, &place);

	return first && ((TreeNode *)g_tree_node_key(first))->parent == node->inode;
}

/* --- Guests ----------------------------------------------------------------------------------- */

/* The id in "ID.conf": decimal, without leading zeros, at most nine digits; 0 for other names. */
static unsigned parse_guest_name(const char *name)
{
	unsigned id = 0;
	unsigned n_digits = 0;

	if (name[0] == '0')
		return 0;
	for (; g_ascii_isdigit(*name) && n_digits < 9; name++, n_digits++)
		id = id * 10 + (unsigned)(*name - '0');
	return str_equal(name, ".conf") ? id : 0;
}

/* The directory nodes/NAME in which place (parent, …) would be a guest's; NULL if it is not. */
static const TreeNode *guest_node(const Tree *tree, uint64_t parent)
{
	const TreeNode *kind = tree_find_inode(tree, parent);
	const TreeNode *node, *nodes;

	if (!kind || (!str_equal(kind->name, "lxc") && !str_equal(kind->name, "qemu-server")))
		return NULL;
	node = tree_find_inode(tree, kind->parent);
	if (!node || node->inode == TREE_ROOT_INODE)
		return NULL;
	nodes = tree_find_inode(tree, node->parent);
	if (!nodes || nodes->parent != TREE_ROOT_INODE || !str_equal(nodes->name, "nodes"))
		return NULL;
	return node;
}

unsigned tree_guest_id(const Tree *tree, uint64_t parent, const char *name)
{
	unsigned id = parse_guest_name(name);

	return id != 0 && guest_node(tree, parent) ? id : 0;
}

static unsigned node_guest_id(const Tree *tree, const TreeNode *node)
{
	return tree_node_is_directory(node) ? 0 : tree_guest_id(tree, node->parent, node->name);
}

static void guest_of(const Tree *tree, unsigned id, const TreeNode *file, TreeGuest *ret)
{
	ret->vmid = id;
	ret->node = guest_node(tree, file->parent)->name;
	ret->container = str_equal(tree_find_inode(tree, file->parent)->name, "lxc");
	ret->version = file->version;
}

bool tree_guest(const Tree *tree, uint32_t vmid, TreeGuest *ret)
{
	const TreeNode *file = g_tree_lookup(tree->guests, GUINT_TO_POINTER(vmid));

	assert(ret);

	if (!file)
		return false;
	guest_of(tree, vmid, file, ret);
	return true;
}

void tree_each_guest(
	const Tree *tree, bool (*visit)(const TreeGuest *guest, void *data), void *data)
{
	for (GTreeNode *at = g_tree_node_first(tree->guests); at; at = g_tree_node_next(at)) {
		TreeGuest guest;

		guest_of(
			tree, GPOINTER_TO_UINT(g_tree_node_key(at)), g_tree_node_value(at), &guest);
		if (!visit(&guest, data))
			return;
	}
}

/* --- Putting entries into the indexes and taking them out ------------------------------------- */

void tree_link(Tree *tree, TreeNode *node)
{
	unsigned id = node_guest_id(tree, node);

	g_tree_insert(tree->by_place, node, node);
	tree->total_bytes += strlen(node->name) + tree_node_size(node);
	if (id != 0)
		g_tree_insert(tree->guests, GUINT_TO_POINTER(id), node);
}

void tree_unlink(Tree *tree, TreeNode *node)
{
	unsigned id = node_guest_id(tree, node);

	if (id != 0 && g_tree_lookup(tree->guests, GUINT_TO_POINTER(id)) == node)
		g_tree_remove(tree->guests, GUINT_TO_POINTER(id));
	g_tree_remove(tree->by_place, node);
	tree->total_bytes -= strlen(node->name) + tree_node_size(node);
}

void tree_insert(Tree *tree, TreeNode *node)
{
	assert(!tree_find_inode(tree, node->inode));

	g_hash_table_insert(tree->by_inode, &node->inode, node);
	tree_link(tree, node);
}

void tree_remove(Tree *tree, TreeNode *node)
{
	tree_unlink(tree, node);
	g_hash_table_remove(tree->by_inode, &node->inode);
}

void tree_set_data(Tree *tree, TreeNode *node, GBytes *data)
{
	tree->total_bytes -= tree_node_size(node);
	g_bytes_unref(node->data);
	node->data = data;
	tree->total_bytes += tree_node_size(node);
}

/* --- Paths ------------------------------------------------------------------------------------ */

int tree_find_parent(const Tree *tree, const char *path, TreeNode **ret, const char **ret_name)
{
	TreeNode *directory = (TreeNode *)&tree->root;

	for (;;) {
		const char *end = strchrnul(path, '/');
		char name[OP_NAME_MAX + 1];

		if (!tree_node_is_directory(directory))
			return -ENOTDIR;
		if (*end == '\0') {
			*ret = directory;
			*ret_name = path;
			return 0;
		}
		if ((size_t)(end - path) > OP_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, (size_t)(end - path));
		name[end - path] = '\0';
		directory = tree_find_child(tree, directory->inode, name);
		if (!directory)
			return -ENOENT;
		path = end + 1;
	}
}

int tree_find_path(const Tree *tree, const char *path, TreeNode **ret)
{
	TreeNode *directory, *node;
	const char *name;
	int r;

	r = tree_find_parent(tree, path, &directory, &name);
	if (r < 0)
		return r;
	node = tree_find_child(tree, directory->inode, name);
	if (!node)
		return -ENOENT;
	*ret = node;
	return 0;
}

/* --- Looking ---------------------------------------------------------------------------------- */

uint64_t tree_version(const Tree *tree)
{
	return tree->version;
}

const TreeNode *tree_by_inode(const Tree *tree, uint64_t inode)
{
	return tree_find_inode(tree, inode);
}

const TreeNode *tree_by_path(const Tree *tree, const char *path)
{
	TreeNode *node;

	if (path[0] == '\0')
		return &tree->root;
	return tree_find_path(tree, path, &node) == 0 ? node : NULL;
}

const TreeNode *tree_child(const Tree *tree, uint64_t parent, const char *name)
{
	return tree_find_child(tree, parent, name);
}

uint64_t tree_node_inode(const TreeNode *node)
{
	return node->inode;
}

uint64_t tree_node_parent(const TreeNode *node)
{
	return node->parent;
}

uint64_t tree_node_version(const TreeNode *node)
{
	return node->version;
}

uint32_t tree_node_writer(const TreeNode *node)
{
	return node->writer;
}

uint32_t tree_node_mtime_s(const TreeNode *node)
{
	return node->mtime_s;
}

bool tree_node_is_directory(const TreeNode *node)
{
	return !node->data;
}

const char *tree_node_name(const TreeNode *node)
{
	return node->name;
}

GBytes *tree_node_data(const TreeNode *node)
{
	return node->data ? node->data : node->lease;
}

char *tree_node_dup_path(const Tree *tree, const TreeNode *node)
{
	g_autoptr(GString) path = g_string_new(node->name);

	if (node->inode == TREE_ROOT_INODE)
		return g_string_free(g_steal_pointer(&path), FALSE);

	for (node = tree_find_inode(tree, node->parent); node->inode != TREE_ROOT_INODE;
		node = tree_find_inode(tree, node->parent)) {
		g_string_prepend_c(path, '/');
		g_string_prepend(path, node->name);
	}
	return g_string_free(g_steal_pointer(&path), FALSE);
}

char *tree_dup_path_at(const Tree *tree, uint64_t parent, const char *name)
{
	const TreeNode *directory = tree_find_inode(tree, parent);
	g_autofree char *path = NULL;

	if (parent == TREE_ROOT_INODE)
		return g_strdup(name);
	if (!directory)
		return NULL;
	path = tree_node_dup_path(tree, directory);
	return g_strconcat(path, "/", name, NULL);
}

bool tree_path_is_private(const char *path)
{
	if (g_str_has_prefix(path, "nodes/")) {
		path = strchr(path + strlen("nodes/"), '/');
		if (!path)
			return false;
		path++;
	}
	return str_equal(path, "priv") || g_str_has_prefix(path, "priv/");
}

void tree_each_child(const Tree *tree, uint64_t parent, const char *after,
	bool (*visit)(const TreeNode *node, void *data), void *data)
{
	TreeNode place = {.parent = parent, .name = (char *)(after ? after : "")};

	for (GTreeNode *at = g_tree_upper_bound(tree->by_place, &place); at;
		at = g_tree_node_next(at)) {
		const TreeNode *node = g_tree_node_key(at);

		if (node->parent != parent || !visit(node, data))
			return;
	}
}

static int inode_compare(const void *a, const void *b)
{
	const TreeNode *const *left = a;
	const TreeNode *const *right = b;

	return (*left)->inode < (*right)->inode ? -1 : (*left)->inode > (*right)->inode;
}

/* All entries but the root in order of inodes; the array is the caller's. */
static GPtrArray *sorted_nodes(const Tree *tree)
{
	GPtrArray *nodes = g_ptr_array_sized_new(g_hash_table_size(tree->by_inode));
	GHashTableIter iter;
	gpointer node;

	g_hash_table_iter_init(&iter, tree->by_inode);
	while (g_hash_table_iter_next(&iter, NULL, &node))
		g_ptr_array_add(nodes, node);
	g_ptr_array_sort(nodes, inode_compare);
	return nodes;
}

void tree_each(const Tree *tree, bool (*visit)(const TreeNode *node, void *data), void *data)
{
	g_autoptr(GPtrArray) nodes = sorted_nodes(tree);

	for (unsigned i = 0; i < nodes->len; i++)
		if (!visit(g_ptr_array_index(nodes, i), data))
			return;
}

uint64_t tree_total_bytes(const Tree *tree)
{
	return tree->total_bytes;
}

uint64_t tree_total_entries(const Tree *tree)
{
	return g_hash_table_size(tree->by_inode);
}

static bool digest_node(const TreeNode *node, void *data)
{
	g_autoptr(GByteArray) row = g_byte_array_new();
	GBytes *bytes = tree_node_data(node);
	gsize size = 0;
	const void *content = bytes ? g_bytes_get_data(bytes, &size) : NULL;

	bytes_put_u64(row, node->inode);
	bytes_put_u64(row, node->parent);
	bytes_put_u64(row, node->version);
	bytes_put_u32(row, node->writer);
	bytes_put_u32(row, node->mtime_s);
	bytes_put_u8(row, tree_node_is_directory(node));
	bytes_put(row, node->name, strlen(node->name) + 1);
	bytes_put_u64(row, size);
	g_checksum_update(data, row->data, (gssize)row->len);
	if (size > 0)
		g_checksum_update(data, content, (gssize)size);
	return true;
}

char *tree_dup_digest(const Tree *tree)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint64_t version = GUINT64_TO_LE(tree->version);

	g_checksum_update(sum, (const uint8_t *)&version, sizeof(version));
	tree_each(tree, digest_node, sum);
	return g_strdup(g_checksum_get_string(sum));
}

/* --- Loading ---------------------------------------------------------------------------------- */

int tree_put_row(Tree *tree, uint64_t inode, uint64_t parent, uint64_t version, uint32_t writer,
	uint32_t mtime_s, bool directory, const char *name, GBytes *data)
{
	TreeNode *node, *there;
	TreeLease lease;

	if (inode == TREE_ROOT_INODE || inode > version || op_check_name(name) < 0)
		return -EUCLEAN;
	if (directory ? data && !tree_lease_decode(data, &lease) : !data)
		return -EUCLEAN;
	there = tree_find_child(tree, parent, name);
	if (there && there->inode != inode)
		return -EUCLEAN;

	node = tree_find_inode(tree, inode);
	if (node)
		tree_remove(tree, node);
	node = tree_node_new(inode, parent, name);
	node->version = version;
	node->writer = writer;
	node->mtime_s = mtime_s;
	if (data)
		*(directory ? &node->lease : &node->data) = g_bytes_ref(data);
	tree_insert(tree, node);
	return 0;
}

void tree_set_version(Tree *tree, uint64_t version)
{
	tree->version = version;
}

/* Steps from an entry to the root: no path has more components than it has bytes. */
#define DEPTH_MAX OP_PATH_MAX

/* Leases and locks belong together, and locks are as taking leaves them. */
static int check_lock(const Tree *tree, const TreeNode *node, GError **err)
{
	const TreeNode *directory = tree_find_inode(tree, node->parent);
	bool lock = tree_node_is_directory(node) && tree_holds_locks(tree, directory);

	if (directory->lease)
		return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') is inside a lock",
			node->inode, node->name);
	if (lock != (node->lease != NULL))
		return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') %s", node->inode, node->name,
			lock ? "is a lock without a lease" : "has a lease but is no lock");
	if (lock && node->version != node->inode)
		return err_set(err, EUCLEAN, "lock %" PRIu64 " ('%s') was changed", node->inode,
			node->name);
	return 0;
}

static int check_node(const Tree *tree, const TreeNode *node, GError **err)
{
	const TreeNode *up = node;

	for (unsigned depth = 0; up->inode != TREE_ROOT_INODE; depth++) {
		up = tree_find_inode(tree, up->parent);
		if (!up)
			return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') has no directory",
				node->inode, node->name);
		if (!tree_node_is_directory(up))
			return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') is inside a file",
				node->inode, node->name);
		if (depth >= DEPTH_MAX)
			return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') is inside itself",
				node->inode, node->name);
	}
	if (node->version > tree->version)
		return err_set(err, EUCLEAN,
			"entry %" PRIu64 " ('%s') is of version %" PRIu64 ", the tree of %" PRIu64,
			node->inode, node->name, node->version, tree->version);
	if (tree_node_size(node) > tree->limits.file_max)
		return err_set(err, EUCLEAN, "entry %" PRIu64 " ('%s') is too large", node->inode,
			node->name);
	return check_lock(tree, node, err);
}

static int find_guests(Tree *tree, const GPtrArray *nodes, GError **err)
{
	g_tree_remove_all(tree->guests);
	for (unsigned i = 0; i < nodes->len; i++) {
		TreeNode *node = g_ptr_array_index(nodes, i);
		unsigned id = node_guest_id(tree, node);

		if (id == 0)
			continue;
		if (g_tree_lookup(tree->guests, GUINT_TO_POINTER(id)))
			return err_set(err, EUCLEAN, "guest %u is there twice", id);
		g_tree_insert(tree->guests, GUINT_TO_POINTER(id), node);
	}
	return 0;
}

int tree_check(Tree *tree, GError **err)
{
	g_autoptr(GPtrArray) nodes = sorted_nodes(tree);
	int r;

	for (unsigned i = 0; i < nodes->len; i++) {
		r = check_node(tree, g_ptr_array_index(nodes, i), err);
		if (r < 0)
			return r;
	}
	if (nodes->len > tree->limits.entries_max || tree->total_bytes > tree->limits.total_max)
		return err_set(err, EUCLEAN, "%u entries with %" PRIu64 " bytes are too many",
			nodes->len, tree->total_bytes);
	return find_guests(tree, nodes, err);
}
