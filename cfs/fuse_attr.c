/* SPDX-License-Identifier: Apache-2.0 */

/* Attributes: owner and mode follow from the path, the rest from the tree. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* Where the locks are. */
#define LOCKS_PATH "priv/lock"

/* Length of what `.debug` says. */
#define DEBUG_SIZE 2

/* How long the length of a view is good for those who only ask for it. */
#define VIEW_LENGTH_US G_USEC_PER_SEC

/* --- Of what the tree has --------------------------------------------------------------------- */

mode_t mode_at(const StoreFs *fs, uint64_t parent, const char *name, bool directory)
{
	g_autofree char *path = tree_dup_path_at(fs_tree(fs), parent, name);
	/* What was in a directory that is gone may have been private. */
	bool private = !path || tree_path_is_private(path);

	return directory ? S_IFDIR | (private ? 0700 : 0755) : S_IFREG | (private ? 0600 : 0640);
}

static void attr_set_size(struct stat *attr, uint64_t size)
{
	attr->st_size = (off_t)size;
	attr->st_blocks = (blkcnt_t)((size + 511) / 512);
	attr->st_blksize = 4096;
}

static void attr_set_time(struct stat *attr, uint32_t time_s)
{
	attr->st_mtim.tv_sec = attr->st_ctim.tv_sec = attr->st_atim.tv_sec = time_s;
}

void attr_of_node(const StoreFs *fs, const TreeNode *node, struct stat *ret)
{
	bool directory = tree_node_is_directory(node);

	*ret = (struct stat){
		.st_ino = number_of(tree_node_inode(node)),
		.st_gid = fs->group,
		.st_nlink = 1, /* For a directory: the number of those in it is not told. */
		.st_mode = tree_node_inode(node) == TREE_ROOT_INODE
				   ? S_IFDIR | 0755
				   : mode_at(fs, tree_node_parent(node), tree_node_name(node),
					     directory),
	};
	attr_set_size(ret, directory ? 0 : g_bytes_get_size(tree_node_data(node)));
	attr_set_time(ret, tree_node_mtime_s(node));
}

void attr_of_file(const StoreFs *fs, const Node *node, struct stat *ret)
{
	const OpenFile *file = open_file_find(fs, node->inode);

	assert(file);

	*ret = (struct stat){
		.st_ino = number_of(file->inode),
		.st_gid = fs->group,
		.st_nlink = file->gone ? 0 : 1,
		.st_mode = file->mode,
	};
	/* The kernel cuts what it has cached at the length that it is told. */
	attr_set_size(ret, g_bytes_get_size(node->n_cached > 0 ? node->data : file->data));
	attr_set_time(ret, file->mtime_s);
}

double file_timeout(const StoreFs *fs, Node *node)
{
	const OpenFile *file = open_file_find(fs, node->inode);

	if (node->use == NODE_USE_WRITERS || file->gone || file->n_writers > 0 ||
		node->data != file->data)
		return 0;
	node->kept = true;
	return CACHE_S;
}

void attr_of_new(
	const StoreFs *fs, uint64_t parent, const char *name, fuse_ino_t number, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = number,
		.st_gid = fs->group,
		.st_nlink = 1,
		.st_mode = mode_at(fs, parent, name, false),
	};
	attr_set_size(ret, 0);
	attr_set_time(ret, (uint32_t)(g_get_real_time() / G_USEC_PER_SEC));
}

/* --- Of what the store makes ------------------------------------------------------------------ */

char *made_dup_target(const StoreFs *fs, Made made)
{
	assert(made_is_link(made));

	return made == MADE_LINK_LOCAL ? g_strdup_printf("nodes/%s", fs->node_name)
				       : g_strdup_printf("nodes/%s/lxc", fs->node_name);
}

GBytes *made_text(StoreFs *fs, Made made, bool draft)
{
	StoreFsView view = (StoreFsView)(made - MADE_FIRST_VIEW);
	GBytes *text = fs->backend.view(fs->backend.data, view, draft);

	fs->view_lengths[view].length = g_bytes_get_size(text);
	fs->view_lengths[view].made_us = g_get_monotonic_time();
	return text;
}

/* Who opens a view finds the length of the text that he got.  Others ask for it who may not even open
 * it, as often as they like: no text is made for them while there was one a moment ago. */
static size_t view_length(StoreFs *fs, Made made)
{
	const ViewLength *last = &fs->view_lengths[made - MADE_FIRST_VIEW];
	g_autoptr(GBytes) text = NULL;

	if (last->made_us == 0 || g_get_monotonic_time() - last->made_us >= VIEW_LENGTH_US)
		text = made_text(fs, made, true);
	return last->length;
}

void attr_of_made(StoreFs *fs, Made made, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = NUMBER_MADE + made,
		.st_gid = fs->group,
		.st_nlink = 1,
	};
	if (made_is_link(made)) {
		g_autofree char *target = made_dup_target(fs, made);

		ret->st_mode = S_IFLNK | 0777;
		attr_set_size(ret, strlen(target));
		return;
	}

	attr_set_time(ret, (uint32_t)(g_get_real_time() / G_USEC_PER_SEC));
	if (made == MADE_DEBUG) {
		ret->st_mode = S_IFREG | 0640;
		attr_set_size(ret, DEBUG_SIZE);
	} else {
		ret->st_mode = S_IFREG | 0440;
		attr_set_size(ret, view_length(fs, made));
	}
}

/* --- Asking ----------------------------------------------------------------------------------- */

int attr_of_number(StoreFs *fs, fuse_ino_t number, struct stat *ret)
{
	const TreeNode *node;
	const Node *file;

	if (made_is_number(number)) {
		attr_of_made(fs, (Made)(number - NUMBER_MADE), ret);
		return 0;
	}
	file = nodes_find(fs->nodes, number);
	if (file && file->inode != 0) {
		attr_of_file(fs, file, ret);
		return 0;
	}
	node = tree_by_inode(fs_tree(fs), inode_of(number));
	if (!node)
		return -ENOENT;
	attr_of_node(fs, node, ret);
	return 0;
}

static void reply_attr(fuse_req_t req, fuse_ino_t number)
{
	StoreFs *fs = fs_of(req);
	Node *node = nodes_find(fs->nodes, number);
	struct stat attr;
	double timeout;
	int r = attr_of_number(fs, number, &attr);

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	if (node)
		timeout = file_timeout(fs, node);
	else
		timeout = made_is_number(number) && !made_is_link((Made)(number - NUMBER_MADE))
				  ? 0
				  : CACHE_S;
	(void)fuse_reply_attr(req, &attr, timeout);
}

static void run_getattr(Deferred *deferred)
{
	fs_getattr(deferred->req, deferred->number, deferred_fi(deferred));
}

void fs_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	const Node *node = nodes_find(fs->nodes, number);
	GQueue *busy;

	if (node && node->inode == 0 && creation_answer_opener(fs, req, number))
		return;
	busy = node ? node_busy(fs, node) : NULL;
	if (busy)
		(void)defer(busy, req, run_getattr, number, NULL, fi);
	else
		reply_attr(req, number);
}

/* --- Setting the time ------------------------------------------------------------------------- */

static void finish_utime(Request *request, int result)
{
	if (result < 0)
		(void)fuse_reply_err(request->req, -result);
	else
		reply_attr(request->req, request->number);
}

/* The lock may be gone by it, and its attributes are those that it had. */
static void finish_lock(Request *request, int result)
{
	struct stat attr;

	if (result < 0) {
		(void)fuse_reply_err(request->req, -result);
		return;
	}
	if (attr_of_number(request->fs, request->number, &attr) < 0)
		attr = (struct stat){
			.st_ino = request->number,
			.st_mode = S_IFDIR | 0700,
			.st_gid = request->fs->group,
			.st_nlink = 1,
		};
	(void)fuse_reply_attr(request->req, &attr, 0);
}

/* What setting the time of an entry asks of its lock; NULL when it is not a lock, or is not asked
 * anything. */
static int (*lock_function(const StoreFs *fs, const TreeNode *node, int64_t mtime_s))(
	void *, uint64_t, ChangeToken *)
{
	const TreeNode *parent = tree_by_inode(fs_tree(fs), tree_node_parent(node));

	if (!tree_node_is_directory(node) || !parent ||
		parent != tree_by_path(fs_tree(fs), LOCKS_PATH))
		return NULL;
	return mtime_s == 0 ? fs->backend.lock_expire : fs->backend.lock_renew;
}

static void submit_utime(fuse_req_t req, fuse_ino_t number, int64_t mtime_s)
{
	StoreFs *fs = fs_of(req);
	const Node *file = nodes_find(fs->nodes, number);
	uint64_t inode = file ? file->inode : inode_of(number);
	const TreeNode *node = tree_by_inode(fs_tree(fs), inode);
	int (*lock)(void *data, uint64_t inode, ChangeToken *token);
	g_autofree char *path = NULL;
	Request *request;

	if (!node || inode == TREE_ROOT_INODE) {
		reply_attr(req, number); /* The root and what is gone keep no times. */
		return;
	}
	lock = lock_function(fs, node, mtime_s);
	request = request_new(fs, req, lock ? finish_lock : finish_utime);
	request->inode = inode;
	request->number = number;
	request->mtime_s = mtime_s;
	if (lock) {
		request_submit_lock(request, lock);
		return;
	}
	path = tree_node_dup_path(fs_tree(fs), node);
	request_submit(request, op_new(OP_UTIME, path));
}

/* --- Setting the length ----------------------------------------------------------------------- */

static void finish_truncate(Request *request, int result)
{
	if (result < 0) {
		if (request->clears && request->handle)
			request->handle->truncation = TRUNCATION_FAILED;
		(void)fuse_reply_err(request->req, -result);
	} else if (request->mtime_s >= 0) {
		submit_utime(request->req, request->number, request->mtime_s);
	} else {
		reply_attr(request->req, request->number);
	}
}

/* By a handle, or by name: then the node is opened for as long as it lasts, as the kernel takes the
 * new length for all who have it open. */
static int truncate_request(
	fuse_req_t req, Node *node, const struct fuse_file_info *fi, Request **ret)
{
	StoreFs *fs = fs_of(req);
	OpenFile *file = open_file_find(fs, node->inode);
	Handle *handle = handle_of(fi);
	Request *request;
	int r;

	r = fs_writable(fs);
	if (r < 0)
		return r;
	if ((!handle || !handle->writes) &&
		nodes_open(fs->nodes, node, file->gone ? NULL : file->data, NODE_WRITES_NOW,
			fuse_req_ctx(req)->pid) == NODE_STALE)
		return -ESTALE;

	request = request_new(fs, req, finish_truncate);
	if (handle && handle->writes) {
		request_set_handle(request, handle);
	} else {
		request_set_file(request, file);
		request->node = node;
		request->writes = true;
		file->n_writers++;
		fs_forget_file(fs, file, true);
	}
	*ret = request;
	return 0;
}

static void submit_truncate(fuse_req_t req, fuse_ino_t number, uint64_t size, int64_t mtime_s,
	const struct fuse_file_info *fi)
{
	Node *node = nodes_find(fs_of(req)->nodes, number);
	Request *request;
	int r = -EISDIR;

	if (node)
		r = truncate_request(req, node, fi, &request);
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	request->type = request->clears ? OP_REPLACE : OP_TRUNCATE;
	request->offset = size;
	request->number = number;
	request->mtime_s = mtime_s;
	request_submit_content(request);
}

/* chmod and chown are asked for by programs that copy files with their attributes: what is so
 * already may be asked for, anything else is refused. */
static int check_owner_and_mode(
	StoreFs *fs, fuse_ino_t number, const struct stat *wanted, int to_set)
{
	struct stat attr;
	int r = attr_of_number(fs, number, &attr);
	int allowed = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;

	if (r < 0)
		return r;
	if ((to_set & FUSE_SET_ATTR_MODE && (wanted->st_mode & 07777) != (attr.st_mode & 07777)) ||
		(to_set & FUSE_SET_ATTR_UID && wanted->st_uid != attr.st_uid) ||
		(to_set & FUSE_SET_ATTR_GID && wanted->st_gid != attr.st_gid))
		return -EPERM;
	if (number == NUMBER_MADE + MADE_DEBUG)
		allowed |= FUSE_SET_ATTR_SIZE; /* Its length follows from what it says. */
	return made_is_number(number) && to_set & ~allowed ? -EPERM : 0;
}

static void run_setattr(Deferred *deferred)
{
	fs_setattr(deferred->req, deferred->number, &deferred->attr, deferred->to_set,
		deferred_fi(deferred));
}

void fs_setattr(
	fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	const Node *node = nodes_find(fs->nodes, number);
	GQueue *busy = node ? creation_busy_node(fs, node) : NULL;
	int64_t mtime_s = -1;
	int r;

	if (busy) {
		Deferred *deferred = defer(busy, req, run_setattr, number, NULL, fi);

		deferred->attr = *attr;
		deferred->to_set = to_set;
		return;
	}

	r = check_owner_and_mode(fs, number, attr, to_set);
	if (r == 0 && to_set & FUSE_SET_ATTR_MTIME && !(to_set & FUSE_SET_ATTR_MTIME_NOW) &&
		(attr->st_mtim.tv_sec < 0 || attr->st_mtim.tv_sec > UINT32_MAX))
		r = -EINVAL;
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		mtime_s = g_get_real_time() / G_USEC_PER_SEC;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		mtime_s = attr->st_mtim.tv_sec;

	if (to_set & FUSE_SET_ATTR_SIZE && !made_is_number(number))
		submit_truncate(req, number, (uint64_t)attr->st_size, mtime_s, fi);
	else if (mtime_s >= 0)
		submit_utime(req, number, mtime_s);
	else
		reply_attr(req, number);
}
