/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "cfs/fuse_private.h"

const char *const made_names[MADE_N] = {
	[MADE_LINK_LOCAL] = "local",
	[MADE_LINK_LXC] = "lxc",
	[MADE_DEBUG] = ".debug",
	[MADE_FIRST_VIEW + STOREFS_VIEW_CLUSTERLOG] = ".clusterlog",
	[MADE_FIRST_VIEW + STOREFS_VIEW_MEMBERS] = ".members",
	[MADE_FIRST_VIEW + STOREFS_VIEW_STORE] = ".store",
	[MADE_FIRST_VIEW + STOREFS_VIEW_VERSION] = ".version",
	[MADE_FIRST_VIEW + STOREFS_VIEW_VMLIST] = ".vmlist",
};

Made made_by_name(uint64_t parent, const char *name)
{
	if (parent != TREE_ROOT_INODE)
		return MADE_N;
	for (unsigned i = 0; i < MADE_N; i++)
		if (str_equal(name, made_names[i]))
			return i;
	return MADE_N;
}

bool storefs_path_is_made(const char *path)
{
	size_t length = strcspn(path, "/");

	for (unsigned i = 0; i < MADE_N; i++)
		if (strncmp(path, made_names[i], length) == 0 && made_names[i][length] == '\0')
			return true;
	return false;
}

/* --- Looking ---------------------------------------------------------------------------------- */

/* Fills an entry for an answer, which counts as one look-up by the thread.  -ENOENT. */
static int look_up(
	StoreFs *fs, uint64_t parent, const char *name, pid_t thread, struct fuse_entry_param *ret)
{
	Made made = made_by_name(parent, name);
	const TreeNode *node;
	OpenFile *file;

	*ret = (struct fuse_entry_param){.entry_timeout = CACHE_S};
	if (made < MADE_N) {
		ret->ino = NUMBER_MADE + made;
		ret->attr_timeout = made_is_link(made) ? CACHE_S : 0;
		attr_of_made(fs, made, &ret->attr);
		fs_remember(fs, ret->ino);
		return 0;
	}

	node = tree_child(fs_tree(fs), parent, name);
	if (!node)
		return -ENOENT;
	if (tree_node_is_directory(node)) {
		ret->ino = fs_directory_number(fs, tree_node_inode(node));
		ret->attr_timeout = CACHE_S;
		attr_of_node(fs, node, &ret->attr);
		fs_remember(fs, ret->ino);
		return 0;
	}

	file = open_file_use(fs, tree_node_inode(node));
	if (nodes_of(fs->nodes, file->inode))
		open_file_unuse(fs, file); /* Once for all its nodes. */
	{
		Node *told = nodes_lookup(fs->nodes, file->inode, file->data, thread);

		ret->ino = told->number;
		ret->attr_timeout = ret->entry_timeout = file_timeout(fs, told);
		attr_of_file(fs, told, &ret->attr);
	}
	return 0;
}

static void run_lookup(Deferred *deferred)
{
	fs_lookup(deferred->req, deferred->number, deferred->name);
}

/* The queue in which to wait before what is under a name is looked at. */
static GQueue *name_busy(const StoreFs *fs, uint64_t parent, const char *name)
{
	const TreeNode *node = tree_child(fs_tree(fs), parent, name);

	return node ? file_busy(fs, tree_node_inode(node)) : creation_busy_name(fs, parent, name);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	StoreFs *fs = fs_of(req);
	struct fuse_entry_param entry;
	GQueue *busy;
	int r;

	if (strlen(name) > OP_NAME_MAX) {
		(void)fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	busy = name_busy(fs, inode_of(parent), name);
	if (busy) {
		(void)defer(busy, req, run_lookup, parent, name, NULL);
		return;
	}

	r = look_up(fs, inode_of(parent), name, fuse_req_ctx(req)->pid, &entry);
	if (r == -ENOENT) {
		/* Inode 0 lets the kernel remember that there is none, unless there may be one by an
		 * answer that does not name it. */
		entry = (struct fuse_entry_param){0};
		if (!creation_has_name(fs, inode_of(parent), name))
			entry.entry_timeout = CACHE_S;
	}
	(void)fuse_reply_entry(req, &entry);
}

void fs_readlink(fuse_req_t req, fuse_ino_t number)
{
	g_autofree char *target = NULL;

	if (!made_is_number(number) || !made_is_link((Made)(number - NUMBER_MADE))) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	target = made_dup_target(fs_of(req), (Made)(number - NUMBER_MADE));
	(void)fuse_reply_readlink(req, target);
}

/* --- Changing names --------------------------------------------------------------------------- */

/* Refuses what cannot be before it becomes an operation: 0, or a negative errno. */
static int check_names(const StoreFs *fs, fuse_ino_t parent, const char *name, const char *path)
{
	if (!path)
		return -ENOENT;
	if (strlen(name) > OP_NAME_MAX || strlen(path) > OP_PATH_MAX)
		return -ENAMETOOLONG;
	if (made_by_name(inode_of(parent), name) < MADE_N)
		return -EPERM;
	return fs_writable(fs);
}

static void submit_name_op(fuse_req_t req, OpType type, fuse_ino_t parent, const char *name,
	void (*finish)(Request *request, int result))
{
	StoreFs *fs = fs_of(req);
	g_autofree char *path = tree_dup_path_at(fs_tree(fs), inode_of(parent), name);
	int r = check_names(fs, parent, name, path);
	Request *request;

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	request = request_new(fs, req, finish);
	request->parent = inode_of(parent);
	request->name = g_strdup(name);
	request_submit(request, op_new(type, path));
}

static void finish_mkdir(Request *request, int result)
{
	struct fuse_entry_param entry;

	if (result == 0)
		result = look_up(request->fs, request->parent, request->name,
			fuse_req_ctx(request->req)->pid, &entry);
	if (result == 0)
		(void)fuse_reply_entry(request->req, &entry);
	else
		(void)fuse_reply_err(request->req, -result);
}

void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	submit_name_op(req, OP_MKDIR, parent, name, finish_mkdir);
}

void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	submit_name_op(req, OP_UNLINK, parent, name, finish_result);
}

static void run_rmdir(Deferred *deferred)
{
	fs_rmdir(deferred->req, deferred->number, deferred->name);
}

void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	StoreFs *fs = fs_of(req);
	const TreeNode *node = tree_child(fs_tree(fs), inode_of(parent), name);
	GQueue *busy = node ? creation_busy_directory(fs, tree_node_inode(node)) : NULL;

	if (busy) {
		(void)defer(busy, req, run_rmdir, parent, name, NULL);
		return;
	}
	submit_name_op(req, OP_RMDIR, parent, name, finish_result);
}

void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	StoreFs *fs = fs_of(req);
	g_autofree char *path = tree_dup_path_at(fs_tree(fs), inode_of(parent), name);
	g_autofree char *target = tree_dup_path_at(fs_tree(fs), inode_of(new_parent), new_name);
	Request *request;
	Op *op;
	int r;

	r = check_names(fs, parent, name, path);
	if (r == 0)
		r = check_names(fs, new_parent, new_name, target);
	if (r == 0 && (flags & ~(unsigned)RENAME_NOREPLACE))
		r = -EINVAL;
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	request = request_new(fs, req, finish_result);
	op = op_new(OP_RENAME, path);
	op->target = g_steal_pointer(&target);
	if (flags & RENAME_NOREPLACE)
		op->flags |= OP_FLAG_NOREPLACE;
	request_submit(request, op);
}
