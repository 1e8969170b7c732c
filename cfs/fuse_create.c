/* SPDX-License-Identifier: Apache-2.0 */

/* Files that are being created.
 *
 * open(O_CREAT) of a new name is answered at once, and the file is created together with the first
 * write to it: one change instead of two.  Until then it is there for nobody but the one who opened
 * it.  Whoever looks for its name on this node, or at the directory, makes it come true first and
 * waits for that; so do fsync and close.
 *
 * The kernel looks at the attributes once more within open() itself, which must not count.
 *
 * With O_EXCL it is created before the answer, so that there is one winner, and so is a guest's
 * configuration whose id is known to be taken.
 *
 * Somebody on another node may have created the name meanwhile.  The handle then is one for that
 * file, and what is written is written there, as if it had been opened a moment later. */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* Files whose creation may wait at one time; further ones are created at once. */
#define CREATIONS_MAX 256

struct Creation {
	StoreFs *fs;
	uint64_t parent; /* Inode of the directory. */
	char *name;
	int flags; /* Of open(). */
	fuse_ino_t number;
	Handle *handle; /* By which it was opened; NULL: closed. */
	pid_t opener;   /* Thread whose open() has not looked at the attributes yet; 0: it has. */
	bool under_way; /* Has been submitted. */
	bool failed;    /* Has been in vain: only the handle tries again. */
	GQueue waiting; /* Of Deferred*: for it to be there. */
};

void creation_destroy(gpointer data)
{
	Creation *creation = data;

	deferred_abandon(&creation->waiting);
	g_free(creation->name);
	g_free(creation);
}

static Creation *find_by_number(const StoreFs *fs, fuse_ino_t number)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->creations);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (((Creation *)key)->number == number)
			return key;
	return NULL;
}

static Creation *creation_new(
	StoreFs *fs, uint64_t parent, const char *name, const struct fuse_file_info *fi)
{
	Creation *creation = g_new0(Creation, 1);

	creation->fs = fs;
	creation->parent = parent;
	creation->name = g_strdup(name);
	creation->flags = fi->flags;
	creation->handle = handle_new(fs, NULL, nodes_create(fs->nodes), NODE_DIRECT, fi->flags);
	creation->number = creation->handle->node->number;
	creation->handle->creation = creation;
	g_queue_init(&creation->waiting);
	(void)g_hash_table_add(fs->creations, creation);
	return creation;
}

/* It is there, or given up: all go on with what the tree has. */
static void creation_end(Creation *creation)
{
	GQueue ready = creation->waiting;

	g_queue_init(&creation->waiting);
	if (creation->handle)
		creation->handle->creation = NULL;
	g_hash_table_remove(creation->fs->creations, creation);
	deferred_run(&ready);
}

/* The file is there: the handle and the kernel's number are its own from now. */
static void creation_bind(Creation *creation, uint64_t inode)
{
	StoreFs *fs = creation->fs;
	Handle *handle = creation->handle;
	Node *node = nodes_find(fs->nodes, creation->number);
	OpenFile *file;

	if (!node)
		return; /* Closed and forgotten already. */
	file = open_file_use(fs, inode);
	assert(file);
	if (nodes_of(fs->nodes, inode))
		open_file_unuse(fs, file); /* Once for all its nodes. */
	nodes_bind(fs->nodes, node, inode);
	if (handle)
		handle_set_file(fs, handle, file);
}

/* --- Coming true ------------------------------------------------------------------------------ */

void creation_submit(Request *request)
{
	Creation *creation = request->creation;
	g_autofree char *path =
		tree_dup_path_at(fs_tree(request->fs), creation->parent, creation->name);
	g_autoptr(GBytes) data = request_content(request);
	Op *op;

	assert(!creation->under_way);

	creation->under_way = true;
	creation->failed = false;
	if (!path || !data) {
		request_end(request, data ? -ENOENT : -EFBIG);
		return;
	}
	op = op_new(OP_CREATE, path);
	op->data = g_steal_pointer(&data);
	request_submit(request, op);
}

/* The request changes the file that somebody else has created. */
static bool turn_into_change(Request *request, Handle *handle, int *result)
{
	request->creation = NULL;
	*result = 0;
	if (!handle || !request->data)
		return true;

	request_set_handle(request, handle);
	if (request->clears)
		request->type = OP_REPLACE;
	request_submit_content(request);
	return false;
}

bool creation_applied(Request *request, int *result)
{
	Creation *creation = request->creation;
	StoreFs *fs = request->fs;
	Handle *handle = creation->handle;
	const TreeNode *node = tree_child(fs_tree(fs), creation->parent, creation->name);
	bool adopts = *result == -EEXIST && !(creation->flags & O_EXCL) && node;
	bool finished = true;

	if (adopts && tree_node_is_directory(node)) {
		*result = -EISDIR;
		adopts = false;
	}
	creation->under_way = false;
	if (*result < 0 && !adopts) {
		GQueue ready = creation->waiting;

		creation->failed = true;
		g_queue_init(&creation->waiting);
		if (!handle) {
			g_autofree char *shown = g_strescape(creation->name, NULL);

			log_warning("Creating '%s' at its close failed: %s", shown,
				g_strerror(-*result));
			creation_end(creation);
			request->creation = NULL;
		}
		deferred_run(&ready);
		return true;
	}

	assert(node);
	if (handle && !adopts)
		handle->truncation = TRUNCATION_NONE;
	creation_bind(creation, tree_node_inode(node));
	if (adopts && !request->given_up)
		finished = turn_into_change(request, handle, result);
	creation_end(creation);
	return finished;
}

static void force(Creation *creation)
{
	Request *request;

	if (creation->under_way || creation->failed)
		return;
	/* While it is open it can come true later, and nobody needs to wait now. */
	if (creation->handle && fs_writable(creation->fs) < 0)
		return;
	request = request_new(creation->fs, NULL, finish_nothing);
	request->creation = creation;
	creation_submit(request);
}

void creation_abandon(Creation *creation)
{
	/* Nobody is told whether it succeeds; a close that could wait has waited. */
	creation->handle = NULL;
	if (creation->failed && !creation->under_way)
		creation_end(creation);
	else
		force(creation);
}

bool creation_answer_opener(const StoreFs *fs, fuse_req_t req, fuse_ino_t number)
{
	Creation *creation = find_by_number(fs, number);
	struct stat attr;

	if (!creation || creation->opener == 0 || creation->opener != fuse_req_ctx(req)->pid)
		return false;
	creation->opener = 0;
	attr_of_new(fs, creation->parent, creation->name, number, &attr);
	(void)fuse_reply_attr(req, &attr, 0);
	return true;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

GQueue *creation_under_way(Creation *creation)
{
	return creation->under_way ? &creation->waiting : NULL;
}

static bool has_name(const Creation *creation, uint64_t parent, const char *name)
{
	return creation->parent == parent && str_equal(creation->name, name);
}

bool creation_has_name(const StoreFs *fs, uint64_t parent, const char *name)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->creations);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (has_name(key, parent, name))
			return true;
	return false;
}

/* Makes those that match come true; the queue of one of them. */
static GQueue *wait_for(const StoreFs *fs, uint64_t parent, const char *name, const Node *node)
{
	g_autoptr(GList) creations = g_hash_table_get_keys(fs->creations);
	GQueue *queue = NULL;

	for (GList *link = creations; link; link = link->next) {
		Creation *creation = link->data;

		if (node ? creation->number != node->number
			 : (name ? !has_name(creation, parent, name) : creation->parent != parent))
			continue;
		force(creation);
		/* What failed at once is gone if it was closed; it is not, as that waits for
		 * nothing. */
		if (creation->under_way)
			queue = &creation->waiting;
	}
	return queue;
}

GQueue *creation_busy_name(const StoreFs *fs, uint64_t parent, const char *name)
{
	return wait_for(fs, parent, name, NULL);
}

GQueue *creation_busy_node(const StoreFs *fs, const Node *node)
{
	return node->inode == 0 ? wait_for(fs, 0, NULL, node) : NULL;
}

GQueue *creation_busy_directory(const StoreFs *fs, uint64_t directory)
{
	return wait_for(fs, directory, NULL, NULL);
}

void creations_give_up(StoreFs *fs, int64_t before_us)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->creations);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		deferred_give_up(&((Creation *)key)->waiting, before_us);
}

/* --- Opening ---------------------------------------------------------------------------------- */

/* Of a handle and its number the kernel has not been told. */
static void drop_handle(StoreFs *fs, Handle *handle)
{
	fuse_ino_t number = handle->node->number;

	handle_free(fs, handle);
	fs_forget_node(fs, number, 1);
}

/* Answers an open(O_CREAT). */
static void reply_created(fuse_req_t req, StoreFs *fs, uint64_t parent, const char *name,
	Handle *handle, struct fuse_file_info *fi)
{
	Node *node = handle->node;
	struct fuse_entry_param entry = {.ino = node->number};

	if (node->inode != 0)
		attr_of_file(fs, node, &entry.attr);
	else
		attr_of_new(fs, parent, name, node->number, &entry.attr);
	fi_set_handle(fi, handle);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		drop_handle(fs, handle); /* Interrupted. */
}

/* The opener was told of an error. */
static void drop_created(Request *request)
{
	drop_handle(request->fs, request->handle);
}

static void finish_create(Request *request, int result)
{
	if (result == 0) {
		reply_created(request->req, request->fs, request->parent, request->name,
			request->handle, &request->fi);
	} else {
		(void)fuse_reply_err(request->req, -result);
		drop_created(request);
	}
}

/* Whether a name is that of the configuration of a guest that exists, perhaps elsewhere. */
static bool is_known_guest(const StoreFs *fs, const char *name)
{
	TreeGuest guest;
	char *end;
	unsigned long vmid = strtoul(name, &end, 10);

	return vmid > 0 && vmid <= UINT32_MAX && str_equal(end, ".conf") &&
	       tree_guest(fs_tree(fs), (uint32_t)vmid, &guest);
}

/* What would make the creation fail now: better said by open() than by write(). */
static int check_creation(const StoreFs *fs, const char *path)
{
	g_autoptr(Op) op = op_new(OP_CREATE, path);
	int r = fs_writable(fs);

	if (r < 0)
		return r;
	op->data = g_bytes_new(NULL, 0);
	r = op_check(op);
	return r < 0 ? r : tree_admit(fs_tree(fs), &fs->limits, op);
}

static int check_name(const StoreFs *fs, uint64_t parent, const char *name, int flags)
{
	const TreeNode *there = tree_child(fs_tree(fs), parent, name);
	const TreeNode *directory = tree_by_inode(fs_tree(fs), parent);
	g_autofree char *path = tree_dup_path_at(fs_tree(fs), parent, name);
	TreeLease lease;

	if (!path)
		return -ENOENT;
	if (strlen(name) > OP_NAME_MAX)
		return -ENAMETOOLONG;
	if (made_by_name(parent, name) < MADE_N || (there && flags & O_EXCL))
		return -EEXIST;
	if (there)
		return tree_node_is_directory(there) ? -EISDIR : fs_writable(fs);
	if (directory && tree_node_lease(directory, &lease))
		return -EPERM; /* In locks there is nothing. */
	return check_creation(fs, path);
}

static void run_create(Deferred *deferred)
{
	fs_create(deferred->req, deferred->number, deferred->name, 0, deferred_fi(deferred));
}

void fs_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	uint64_t directory = inode_of(parent);
	const TreeNode *there = tree_child(fs_tree(fs), directory, name);
	GQueue *busy = there ? file_busy(fs, tree_node_inode(there))
			     : creation_busy_name(fs, directory, name);
	bool waits = g_hash_table_size(fs->creations) < CREATIONS_MAX && !(fi->flags & O_EXCL) &&
		     !is_known_guest(fs, name);
	Creation *creation;
	Request *request;
	int r;

	if (busy) {
		(void)defer(busy, req, run_create, parent, name, fi);
		return;
	}
	r = check_name(fs, directory, name, fi->flags);
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}

	creation = creation_new(fs, directory, name, fi);
	if (there) { /* Since the kernel has looked for it. */
		Handle *handle = creation->handle;

		creation_bind(creation, tree_node_inode(there));
		creation_end(creation);
		reply_created(req, fs, directory, name, handle, fi);
	} else if (waits) {
		creation->opener = fuse_req_ctx(req)->pid;
		reply_created(req, fs, directory, name, creation->handle, fi);
	} else {
		request = request_new(fs, req, finish_create);
		request->dropped = drop_created;
		request->creation = creation;
		request->handle = creation->handle;
		request->parent = directory;
		request->name = g_strdup(name);
		request->fi = *fi;
		creation_submit(request);
	}
}
