/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/fuse_nodes.h"

#include "base/macro.h"

/* What is known of the file with an inode. */
typedef struct Family {
	GPtrArray *nodes; /* Of Node*, at least one. */
	Node *current;    /* What look-ups are told while its content is right; NULL: none. */
} Family;

/* A thread that was refused and will come again. */
typedef struct Refusal {
	bool writes;
	uint64_t number; /* That it wanted to open … */
	uint64_t told;   /* … and that it was told since; 0: none. */
} Refusal;

struct Nodes {
	uint64_t last;         /* Number given last. */
	GHashTable *by_number; /* &Node.number -> Node, which it owns. */
	GHashTable *families;  /* Inode -> Family, which it owns. */
	GHashTable *refusals;  /* Thread -> Refusal, which it owns. */
};

static void node_destroy(gpointer data)
{
	Node *node = data;

	g_clear_pointer(&node->data, g_bytes_unref);
	g_free(node);
}

static void family_destroy(gpointer data)
{
	Family *family = data;

	g_ptr_array_unref(family->nodes);
	g_free(family);
}

Nodes *nodes_new(void)
{
	Nodes *nodes = g_new0(Nodes, 1);

	nodes->last = NODES_FIRST;
	nodes->by_number = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_destroy);
	nodes->families = g_hash_table_new_full(NULL, NULL, NULL, family_destroy);
	nodes->refusals = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return nodes;
}

Nodes *nodes_free(Nodes *nodes)
{
	if (!nodes)
		return NULL;

	g_hash_table_destroy(nodes->refusals);
	g_hash_table_destroy(nodes->families);
	g_hash_table_destroy(nodes->by_number);
	g_free(nodes);
	return NULL;
}

Node *nodes_find(const Nodes *nodes, uint64_t number)
{
	return g_hash_table_lookup(nodes->by_number, &number);
}

static Family *find_family(const Nodes *nodes, uint64_t inode)
{
	return g_hash_table_lookup(nodes->families, GSIZE_TO_POINTER(inode));
}

const GPtrArray *nodes_of(const Nodes *nodes, uint64_t inode)
{
	const Family *family = find_family(nodes, inode);

	return family ? family->nodes : NULL;
}

/* --- Coming and going ------------------------------------------------------------------------- */

static Family *join_family(Nodes *nodes, Node *node)
{
	Family *family = find_family(nodes, node->inode);

	if (!family) {
		family = g_new0(Family, 1);
		family->nodes = g_ptr_array_new();
		g_hash_table_insert(nodes->families, GSIZE_TO_POINTER(node->inode), family);
	}
	g_ptr_array_add(family->nodes, node);
	return family;
}

static Node *node_new(Nodes *nodes, GBytes *data, NodeUse use)
{
	Node *node = g_new0(Node, 1);

	node->number = ++nodes->last;
	node->data = data ? g_bytes_ref(data) : NULL;
	node->use = use;
	g_hash_table_insert(nodes->by_number, &node->number, node);
	return node;
}

static void free_if_unused(Nodes *nodes, Node *node)
{
	Family *family;

	if (node->n_lookups > 0 || node->n_handles > 0)
		return;

	family = find_family(nodes, node->inode);
	if (node->inode != 0 && family) {
		if (family->current == node)
			family->current = NULL;
		(void)g_ptr_array_remove_fast(family->nodes, node);
		if (family->nodes->len == 0)
			g_hash_table_remove(nodes->families, GSIZE_TO_POINTER(node->inode));
	}
	g_hash_table_remove(nodes->by_number, &node->number);
}

void nodes_forget(Nodes *nodes, uint64_t number, uint64_t n)
{
	Node *node = nodes_find(nodes, number);

	if (!node)
		return;
	node->n_lookups -= MIN(n, node->n_lookups);
	free_if_unused(nodes, node);
}

Node *nodes_create(Nodes *nodes)
{
	Node *node = node_new(nodes, NULL, NODE_USE_WRITERS);

	node->n_lookups = 1;
	node->n_handles = 1;
	return node;
}

void nodes_bind(Nodes *nodes, Node *node, uint64_t inode)
{
	assert(node->inode == 0 && inode != 0);

	node->inode = inode;
	(void)join_family(nodes, node);
}

/* --- Looking up and opening ------------------------------------------------------------------- */

static Node *current_node(Nodes *nodes, uint64_t inode, GBytes *data)
{
	Family *family = find_family(nodes, inode);
	Node *node = family ? family->current : NULL;

	if (node && node->data == data)
		return node;

	node = node_new(nodes, data, NODE_USE_FREE);
	node->inode = inode;
	join_family(nodes, node)->current = node;
	return node;
}

Node *nodes_lookup(Nodes *nodes, uint64_t inode, GBytes *data, pid_t thread)
{
	Refusal *refusal = g_hash_table_lookup(nodes->refusals, GINT_TO_POINTER(thread));
	Node *node;

	assert(inode != 0 && data);

	/* A writer gets a number that no reader will open before. */
	if (refusal && refusal->writes) {
		node = node_new(nodes, data, NODE_USE_WRITERS);
		node->inode = inode;
		(void)join_family(nodes, node);
	} else {
		node = current_node(nodes, inode, data);
	}
	if (refusal) {
		refusal->told = node->number;
		if (!refusal->writes)
			node->use = NODE_USE_READERS;
	}
	node->n_lookups++;
	return node;
}

void nodes_moved(Nodes *nodes, uint64_t inode)
{
	Family *family = find_family(nodes, inode);

	if (!family)
		return;
	family->current = NULL;
	for (unsigned i = 0; i < family->nodes->len; i++)
		((Node *)g_ptr_array_index(family->nodes, i))->moved = true;
}

/* Nobody but recognised threads is expected to come again. */
static NodeOpen refuse(Nodes *nodes, const Node *node, pid_t thread, bool writes)
{
	Refusal *refusal;

	if (thread == 0)
		return NODE_STALE;

	refusal = g_new0(Refusal, 1);
	refusal->writes = writes;
	refusal->number = node->number;
	g_hash_table_insert(nodes->refusals, GINT_TO_POINTER(thread), refusal);
	return NODE_STALE;
}

/* Whether the thread was refused this very node, or sent to it: no name that it found before is
 * behind that. */
static bool is_known_to_want(const Refusal *refusal, const Node *node)
{
	return refusal && (refusal->number == node->number || refusal->told == node->number);
}

static NodeOpen open_to_write(Nodes *nodes, Node *node, const GBytes *data, const Refusal *refusal,
	bool waits, pid_t thread)
{
	Family *family = find_family(nodes, node->inode);

	if ((!data || node->moved) && !is_known_to_want(refusal, node))
		return refuse(nodes, node, thread, true);
	if (!refusal && thread != 0 && (node->n_cached > 0 || node->use == NODE_USE_READERS))
		return refuse(nodes, node, thread, true);

	node->use = NODE_USE_WRITERS;
	if (family && family->current == node)
		family->current = NULL;
	return thread == 0 && waits && node->n_cached > 0 ? NODE_BUSY : NODE_DIRECT;
}

static NodeOpen open_to_read(
	Nodes *nodes, Node *node, const GBytes *data, const Refusal *refusal, pid_t thread)
{
	/* A content that was right when this same open() looked up the name will do, even if
	 * there is a newer one already. */
	bool right = node->data == data || (refusal && refusal->told == node->number);

	if (right && node->data && node->use != NODE_USE_WRITERS)
		return NODE_CACHED;
	return refusal || thread == 0 ? NODE_DIRECT : refuse(nodes, node, thread, false);
}

NodeOpen nodes_open(Nodes *nodes, Node *node, GBytes *data, NodeAccess access, pid_t thread)
{
	g_autofree Refusal *refusal = NULL;
	NodeOpen how;

	(void)g_hash_table_steal_extended(
		nodes->refusals, GINT_TO_POINTER(thread), NULL, (gpointer *)&refusal);
	how = access == NODE_READS
		      ? open_to_read(nodes, node, data, refusal, thread)
		      : open_to_write(nodes, node, data, refusal, access == NODE_WRITES, thread);
	if (how == NODE_STALE || how == NODE_BUSY)
		return how;
	node->n_handles++;
	if (how == NODE_CACHED)
		node->n_cached++;
	return how;
}

void nodes_close(Nodes *nodes, Node *node, NodeOpen how)
{
	assert(how == NODE_CACHED || how == NODE_DIRECT);
	assert(node->n_handles > 0);

	node->n_handles--;
	if (how == NODE_CACHED) {
		assert(node->n_cached > 0);
		node->n_cached--;
	}
	free_if_unused(nodes, node);
}
