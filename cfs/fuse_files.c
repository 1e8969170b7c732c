/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* Where the locks are. */
#define LOCKS_PATH "priv/lock"

static Handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (Handle *)(uintptr_t)fi->fh : NULL;
}

void handle_free(StoreFs *fs, Handle *handle)
{
	if (handle->truncates)
		handle->file->n_truncates--;
	if (handle->file)
		open_file_unuse(fs, handle->file);
	(void)g_hash_table_remove(fs->handles, handle);
	g_clear_pointer(&handle->view, g_bytes_unref);
	g_free(handle);
}

/* A handle for a file of the tree; NULL when it is gone. */
static Handle *handle_new(StoreFs *fs, uint64_t inode, int flags)
{
	OpenFile *file = open_file_use(fs, inode);
	Handle *handle;

	if (!file)
		return NULL;
	handle = g_new0(Handle, 1);
	(void)g_hash_table_add(fs->handles, handle);
	handle->file = file;
	if (flags & O_TRUNC) {
		handle->truncation = TRUNCATION_PENDING;
		handle->truncates = true;
		file->n_truncates++;
	}
	return handle;
}

static void fi_set_handle(struct fuse_file_info *fi, Handle *handle)
{
	fi->fh = (uintptr_t)handle;
	fi->direct_io = 1;
	fi->noflush = 1; /* Every write has been answered when close() comes. */
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void run_open(fuse_req_t req, fuse_ino_t number, const char *name, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	fs_open(req, number, fi);
}

static int open_view(StoreFs *fs, fuse_ino_t number, int flags, Handle **ret)
{
	Handle *handle;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
		return -EACCES;

	handle = g_new0(Handle, 1);
	(void)g_hash_table_add(fs->handles, handle);
	handle->view = fs->backend.view(
		fs->backend.data, (StoreFsView)(number - NUMBER_MADE - MADE_FIRST_VIEW));
	*ret = handle;
	return 0;
}

static int open_file(StoreFs *fs, uint64_t inode, int flags, Handle **ret)
{
	bool changes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
	int r = changes ? fs_writable(fs) : 0;
	Handle *handle;

	if (r < 0)
		return r;
	handle = handle_new(fs, inode, flags);
	if (!handle)
		return -ENOENT;
	*ret = handle;
	return 0;
}

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Handle *handle;
	int r;

	if (!made_is_number(number) &&
		defer(req, inode_of(number), run_open, number, NULL, 0, 0, fi))
		return;

	r = made_is_number(number) ? open_view(fs, number, fi->flags, &handle)
				   : open_file(fs, inode_of(number), fi->flags, &handle);
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fi_set_handle(fi, handle);
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(fs, handle); /* Interrupted: nothing was promised to anybody. */
}

/* Answers an open(O_CREAT) of a file that is there now; created: made by it. */
static int reply_created(
	fuse_req_t req, uint64_t parent, const char *name, struct fuse_file_info *fi, bool created)
{
	StoreFs *fs = fs_of(req);
	const TreeNode *node = tree_child(fs_tree(fs), parent, name);
	struct fuse_entry_param entry;
	Handle *handle;
	int r;

	/* What is in the way has another name: a guest exists once. */
	if (!node)
		return -EEXIST;
	if (tree_node_is_directory(node))
		return -EISDIR;
	r = open_file(
		fs, tree_node_inode(node), created ? fi->flags & ~O_TRUNC : fi->flags, &handle);
	if (r < 0)
		return r;
	r = entry_of_child(fs, parent, name, &entry);
	assert(r == 0);
	fi_set_handle(fi, handle);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		handle_free(fs, handle); /* Interrupted; nothing has been written by it. */
	return 0;
}

static void finish_create(Request *request, int result)
{
	bool created = result == 0;

	if (created || (result == -EEXIST && !(request->fi.flags & O_EXCL)))
		result = reply_created(
			request->req, request->parent, request->name, &request->fi, created);
	if (result < 0)
		(void)fuse_reply_err(request->req, -result);
}

void fs_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	const Tree *tree = fs_tree(fs);
	const TreeNode *directory = tree_by_inode(tree, inode_of(parent));
	g_autofree char *directory_path = NULL, *path = NULL;
	Request *request;
	int r = fs_writable(fs);

	if (made_by_name(inode_of(parent), name) < MADE_N)
		r = -EEXIST;
	else if (parent != FUSE_ROOT_ID && !directory)
		r = -ENOENT;
	else if (strlen(name) > OP_NAME_MAX)
		r = -ENAMETOOLONG;
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	if (tree_child(tree, inode_of(parent), name)) {
		r = fi->flags & O_EXCL ? -EEXIST
				       : reply_created(req, inode_of(parent), name, fi, false);
		if (r < 0)
			(void)fuse_reply_err(req, -r);
		return;
	}

	directory_path = directory ? tree_node_dup_path(tree, directory) : g_strdup("");
	path = *directory_path ? g_strconcat(directory_path, "/", name, NULL) : g_strdup(name);
	request = request_new(req, finish_create);
	request->parent = inode_of(parent);
	request->name = g_strdup(name);
	request->fi = *fi;
	{
		Op *op = op_new(OP_CREATE, path);

		op->data = g_bytes_new(NULL, 0);
		request_submit(request, op);
	}
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void run_read(fuse_req_t req, fuse_ino_t number, const char *name, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	fs_read(req, number, size, offset, fi);
}

void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	const Handle *handle = handle_of(fi);
	size_t length;
	const char *bytes;

	if (handle->file &&
		defer(req, handle->file->inode, run_read, number, NULL, size, offset, fi))
		return;

	fs->n_reads++;
	bytes = g_bytes_get_data(handle->file ? handle->file->data : handle->view, &length);
	if (handle->truncation == TRUNCATION_PENDING)
		length = 0; /* To him who opened it so, it is empty already. */
	if ((uint64_t)offset >= length)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(req, bytes + offset, MIN(size, length - (size_t)offset));
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* A change of content by a handle; carries out its truncation as well. */
static Request *content_request(fuse_req_t req, Handle *handle, OpType type, uint64_t offset,
	void (*finish)(Request *request, int result))
{
	Request *request = request_new(req, finish);

	request->file = handle->file;
	request->file->n_users++;
	request->inode = handle->file->inode;
	request->handle = handle;
	request->type = type;
	request->offset = offset;
	if (handle->truncation != TRUNCATION_NONE) {
		request->type = OP_REPLACE;
		request->clears = true;
		handle->truncation = TRUNCATION_NONE;
	}
	return request;
}

static void content_failed(Request *request)
{
	if (request->clears && request->handle)
		request->handle->truncation = TRUNCATION_FAILED;
}

static void finish_write(Request *request, int result)
{
	if (result < 0) {
		content_failed(request);
		(void)fuse_reply_err(request->req, -result);
	} else {
		(void)fuse_reply_write(request->req, request->size);
	}
}

void fs_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	Handle *handle = handle_of(fi);
	bool append = fi->flags & O_APPEND;
	Request *request;

	if (!handle->file) {
		(void)fuse_reply_err(req, EBADF);
		return;
	}
	request =
		content_request(req, handle, OP_WRITE, append ? 0 : (uint64_t)offset, finish_write);
	request->append = append;
	request->size = size;
	request->data = g_bytes_new(bytes, size);
	request_submit_content(request);
}

/* The last close of a file that was opened with O_TRUNC and not written to. */
static void finish_closing(Request *request, int result)
{
	if (result < 0)
		log_warning("Emptying inode %" G_GUINT64_FORMAT " at its close failed: %s",
			request->inode, g_strerror(-result));
	open_file_closed(request->fs, request->file);
}

void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Handle *handle = handle_of(fi);
	Request *request = NULL;

	if (handle->truncation == TRUNCATION_PENDING) {
		request = content_request(req, handle, OP_REPLACE, 0, finish_closing);
		request->req = NULL;
		request->handle = NULL;
		open_file_closing(request->file);
	}
	handle_free(fs, handle);
	(void)fuse_reply_err(req, 0);
	if (request)
		request_submit_content(request);
}

/* --- Barriers --------------------------------------------------------------------------------- */

static void submit_barrier(fuse_req_t req)
{
	request_submit(request_new(req, finish_result), op_new(OP_BARRIER, ""));
}

/* The empty file of an O_TRUNC is on the disks; now everything else. */
static void finish_fsync(Request *request, int result)
{
	if (result < 0) {
		content_failed(request);
		(void)fuse_reply_err(request->req, -result);
		return;
	}
	submit_barrier(request->req);
}

void fs_fsync(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi)
{
	Handle *handle = handle_of(fi);

	if (handle && handle->truncation == TRUNCATION_PENDING)
		request_submit_content(content_request(req, handle, OP_REPLACE, 0, finish_fsync));
	else
		submit_barrier(req);
}

void fs_fsyncdir(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi)
{
	submit_barrier(req);
}

/* --- Attributes ------------------------------------------------------------------------------- */

static void reply_attr(fuse_req_t req, fuse_ino_t number)
{
	struct stat attr;
	int r = attr_of_number(fs_of(req), number, &attr);

	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_attr(req, &attr, attr_timeout(fs_of(req), number));
}

static void finish_utime(Request *request, int result)
{
	if (result < 0)
		(void)fuse_reply_err(request->req, -result);
	else
		reply_attr(request->req, number_of(request->inode));
}

/* The lock may be gone by it, and its attributes are those that it had. */
static void finish_lock(Request *request, int result)
{
	struct stat attr;

	if (result < 0) {
		(void)fuse_reply_err(request->req, -result);
		return;
	}
	if (attr_of_number(request->fs, number_of(request->inode), &attr) < 0)
		attr = (struct stat){
			.st_ino = number_of(request->inode),
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

static void submit_utime(fuse_req_t req, uint64_t inode, int64_t mtime_s)
{
	StoreFs *fs = fs_of(req);
	const TreeNode *node = tree_by_inode(fs_tree(fs), inode);
	int (*lock)(void *data, uint64_t inode, ChangeToken *token);
	g_autofree char *path = NULL;
	Request *request;

	if (!node || inode == TREE_ROOT_INODE) {
		reply_attr(req, number_of(inode)); /* The root and what is gone keep no times. */
		return;
	}
	lock = lock_function(fs, node, mtime_s);
	request = request_new(req, lock ? finish_lock : finish_utime);
	request->inode = inode;
	request->mtime_s = mtime_s;
	if (lock) {
		request_submit_lock(request, lock);
		return;
	}
	path = tree_node_dup_path(fs_tree(fs), node);
	request_submit(request, op_new(OP_UTIME, path));
}

static void finish_truncate(Request *request, int result)
{
	if (result < 0) {
		content_failed(request);
		(void)fuse_reply_err(request->req, -result);
	} else if (request->mtime_s >= 0) {
		submit_utime(request->req, request->inode, request->mtime_s);
	} else {
		reply_attr(request->req, number_of(request->inode));
	}
}

static void submit_truncate(
	fuse_req_t req, uint64_t inode, uint64_t size, int64_t mtime_s, struct fuse_file_info *fi)
{
	Handle *handle = handle_of(fi);
	Request *request;

	if (handle && handle->file) {
		request = content_request(req, handle, OP_TRUNCATE, size, finish_truncate);
	} else {
		request = request_new(req, finish_truncate);
		request->inode = inode;
		request->type = OP_TRUNCATE;
		request->offset = size;
	}
	request->mtime_s = mtime_s;
	request_submit_content(request);
}

/* chmod and chown are asked for by programs that copy files with their attributes: what is so
 * already may be asked for, anything else is refused. */
static int check_owner_and_mode(
	const StoreFs *fs, fuse_ino_t number, const struct stat *wanted, int to_set)
{
	struct stat attr;
	int r = attr_of_number(fs, number, &attr);

	if (r < 0)
		return r;
	if ((to_set & FUSE_SET_ATTR_MODE && (wanted->st_mode & 07777) != (attr.st_mode & 07777)) ||
		(to_set & FUSE_SET_ATTR_UID && wanted->st_uid != attr.st_uid) ||
		(to_set & FUSE_SET_ATTR_GID && wanted->st_gid != attr.st_gid))
		return -EPERM;
	if (made_is_number(number) &&
		to_set & ~(FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		return -EPERM;
	return 0;
}

void fs_setattr(
	fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	int64_t mtime_s = -1;
	int r = check_owner_and_mode(fs_of(req), number, attr, to_set);

	if (r == 0 && to_set & FUSE_SET_ATTR_MTIME &&
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

	if (to_set & FUSE_SET_ATTR_SIZE)
		submit_truncate(req, inode_of(number), (uint64_t)attr->st_size, mtime_s, fi);
	else if (mtime_s >= 0)
		submit_utime(req, inode_of(number), mtime_s);
	else
		reply_attr(req, number);
}
