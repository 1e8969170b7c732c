/* SPDX-License-Identifier: Apache-2.0 */

/* Content of files: opening, reading, writing, barriers. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* How long an open for writing waits for readers whose thread cannot be recognised.  They close such
 * small files at once, unless they do not get to run. */
#define PATIENCE_MS 2000
#define PATIENCE_US (PATIENCE_MS * INT64_C(1000))

/* --- Handles ---------------------------------------------------------------------------------- */

Handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (Handle *)(uintptr_t)fi->fh : NULL;
}

static bool flags_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

void handle_set_file(StoreFs *fs, Handle *handle, OpenFile *file)
{
	handle->file = file;
	handle->n_displaced = file->n_displaced;
	file->n_users++;
	if (!handle->writes)
		return;
	file->n_writers++;
	fs_forget_file(fs, file, true);
}

Handle *handle_new(StoreFs *fs, OpenFile *file, Node *node, NodeOpen how, int flags)
{
	Handle *handle = g_new0(Handle, 1);

	(void)g_hash_table_add(fs->handles, handle);
	handle->node = node;
	handle->how = how;
	handle->writes = flags_write(flags);
	if (flags & O_TRUNC)
		handle->truncation = TRUNCATION_PENDING;
	if (file)
		handle_set_file(fs, handle, file);
	if (file && !handle->writes)
		handle->text = g_bytes_ref(how == NODE_CACHED ? node->data : file->data);
	return handle;
}

/* What the kernel knows of a file counts as one user of it. */
static void unuse_if_unknown(StoreFs *fs, uint64_t inode)
{
	if (inode != 0 && !nodes_of(fs->nodes, inode))
		open_file_unuse(fs, open_file_find(fs, inode));
}

void fs_forget_node(StoreFs *fs, fuse_ino_t number, uint64_t n)
{
	const Node *node = nodes_find(fs->nodes, number);
	uint64_t inode = node ? node->inode : 0;

	nodes_forget(fs->nodes, number, n);
	unuse_if_unknown(fs, inode);
}

void fs_close_node(StoreFs *fs, Node *node, NodeOpen how)
{
	uint64_t inode = node->inode;

	nodes_close(fs->nodes, node, how);
	unuse_if_unknown(fs, inode);
}

void handle_free(StoreFs *fs, Handle *handle)
{
	OpenFile *file = handle->file;

	if (handle->creation)
		creation_abandon(handle->creation);
	if (handle->node)
		fs_close_node(fs, handle->node, handle->how);
	if (file && handle->writes)
		file->n_writers--;
	if (file)
		open_file_unuse(fs, file);
	(void)g_hash_table_remove(fs->handles, handle);
	g_clear_pointer(&handle->text, g_bytes_unref);
	g_free(handle);
}

void fi_set_handle(struct fuse_file_info *fi, Handle *handle)
{
	fi->fh = (uintptr_t)handle;
	fi->direct_io = handle->how != NODE_CACHED;
	fi->keep_cache = handle->how == NODE_CACHED;
	/* Every write has been answered when close() comes; only a creation may be left to do. */
	fi->noflush = !handle->creation;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void run_open(Deferred *deferred)
{
	fs_open(deferred->req, deferred->number, deferred_fi(deferred));
}

static int open_made(StoreFs *fs, Made made, int flags, Handle **ret)
{
	if (made != MADE_DEBUG && flags_write(flags))
		return -EACCES;

	*ret = handle_new(fs, NULL, NULL, NODE_DIRECT, 0);
	if (made == MADE_DEBUG)
		(*ret)->text = g_bytes_new_static(log_is_debug() ? "1\n" : "0\n", 2);
	else
		(*ret)->text = made_text(fs, made, false);
	return 0;
}

/* -EAGAIN: the request has to wait for readers; waited: has done so for long enough. */
static int open_file(StoreFs *fs, Node *node, int flags, bool waited, pid_t thread, Handle **ret)
{
	OpenFile *file = open_file_find(fs, node->inode);
	NodeAccess access = NODE_READS;
	int r = flags_write(flags) ? fs_writable(fs) : 0;
	NodeOpen how;

	if (r < 0)
		return r;
	if (flags_write(flags))
		access = waited ? NODE_WRITES_NOW : NODE_WRITES;
	how = nodes_open(fs->nodes, node, file->gone ? NULL : file->data, access, thread);
	if (how == NODE_STALE || how == NODE_BUSY)
		return how == NODE_STALE ? -ESTALE : -EAGAIN;

	*ret = handle_new(fs, file, node, how, flags);
	/* Before the kernel makes the length zero.  It has this inode in use until it gets the
	 * answer, so this cannot wait for anything. */
	if (flags & O_TRUNC)
		inval_inode_now(fs->inval, node->number);
	return 0;
}

/* Lets those in who wait for readers to close a file; some may wait on. */
static void run_blocked(StoreFs *fs)
{
	GQueue blocked = fs->blocked;

	g_queue_init(&fs->blocked);
	deferred_run(&blocked);
}

static gboolean on_patience_ends(gpointer data)
{
	StoreFs *fs = data;

	fs->patience_source = 0;
	fs->patience_ended = true;
	run_blocked(fs);
	fs->patience_ended = false;
	return G_SOURCE_REMOVE;
}

static void block(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);

	if (fs->stopping) {
		(void)fuse_reply_err(req, EIO);
		return;
	}
	(void)defer(&fs->blocked, req, run_open, number, NULL, fi);
	if (!fs->patience_source)
		fs->patience_source = g_timeout_add(PATIENCE_MS, on_patience_ends, fs);
}

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Node *node = nodes_find(fs->nodes, number);
	GQueue *busy = node ? node_busy(fs, node) : NULL;
	Handle *handle;
	bool waited = fs->patience_ended || fs_waited(fs, PATIENCE_US);
	int r = -ENOENT;

	if (busy) {
		(void)defer(busy, req, run_open, number, NULL, fi);
		return;
	}

	if (made_is_number(number))
		r = open_made(fs, (Made)(number - NUMBER_MADE), fi->flags, &handle);
	else if (node && node->inode != 0)
		r = open_file(fs, node, fi->flags, waited, fuse_req_ctx(req)->pid, &handle);
	if (r == -EAGAIN) {
		block(req, number, fi);
		return;
	}
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fi_set_handle(fi, handle);
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(fs, handle); /* Interrupted: nothing was promised to anybody. */
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void run_read(Deferred *deferred)
{
	fs_read(deferred->req, deferred->number, deferred->size, deferred->offset,
		deferred_fi(deferred));
}

/* What a handle shows; borrowed. */
static GBytes *handle_text(const Handle *handle)
{
	if (handle->text)
		return handle->text;
	/* To him who opened it so, it is empty already. */
	return handle->truncation == TRUNCATION_PENDING || !handle->file ? NULL
									 : handle->file->data;
}

void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	const Handle *handle = handle_of(fi);
	GQueue *busy = handle->file && !handle->text ? file_busy(fs, handle->file->inode) : NULL;
	size_t length = 0;
	const char *bytes = NULL;
	GBytes *text;

	if (busy) {
		Deferred *deferred = defer(busy, req, run_read, number, NULL, fi);

		deferred->size = size;
		deferred->offset = offset;
		return;
	}

	fs->n_reads++;
	text = handle_text(handle);
	if (text)
		bytes = g_bytes_get_data(text, &length);
	if ((uint64_t)offset >= length)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(req, bytes + offset, MIN(size, length - (size_t)offset));
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* A change of content by a handle; carries out its truncation as well. */
static Request *content_request(fuse_req_t req, StoreFs *fs, Handle *handle, OpType type,
	uint64_t offset, void (*finish)(Request *request, int result))
{
	Request *request = request_new(fs, req, finish);

	request->type = type;
	request->offset = offset;
	if (handle->file) {
		request_set_handle(request, handle);
		if (request->clears)
			request->type = OP_REPLACE;
	} else {
		request->handle = handle;
		request->creation = handle->creation;
	}
	return request;
}

static void submit(Request *request)
{
	if (request->creation)
		creation_submit(request);
	else
		request_submit_content(request);
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

/* What is written to `.debug`. */
static int set_debug(const char *bytes, size_t size)
{
	if (size == 0 || size > 2 || (bytes[0] != '0' && bytes[0] != '1') ||
		(size == 2 && bytes[1] != '\n'))
		return -EINVAL;

	log_set_debug(bytes[0] == '1');
	log_notice("Verbose logging is %s", bytes[0] == '1' ? "on" : "off");
	return 0;
}

static void run_write(Deferred *deferred)
{
	size_t size;
	const char *bytes = g_bytes_get_data(deferred->bytes, &size);

	fs_write(deferred->req, deferred->number, bytes, size, deferred->offset,
		deferred_fi(deferred));
}

void fs_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Handle *handle = handle_of(fi);
	bool append = fi->flags & O_APPEND;
	GQueue *busy = handle->creation ? creation_under_way(handle->creation) : NULL;
	Request *request;

	if (busy) {
		Deferred *deferred = defer(busy, req, run_write, number, NULL, fi);

		deferred->bytes = g_bytes_new(bytes, size);
		deferred->offset = offset;
		return;
	}
	if (!handle->node) {
		int r = set_debug(bytes, size);

		(void)(r < 0 ? fuse_reply_err(req, -r) : fuse_reply_write(req, size));
		return;
	}

	request = content_request(
		req, fs, handle, OP_WRITE, append ? 0 : (uint64_t)offset, finish_write);
	request->append = append;
	request->size = size;
	request->data = g_bytes_new(bytes, size);
	submit(request);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static void run_flush(Deferred *deferred)
{
	fs_flush(deferred->req, deferred->number, deferred_fi(deferred));
}

void fs_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Handle *handle = handle_of(fi);
	GQueue *busy = handle->creation ? creation_under_way(handle->creation) : NULL;

	if (busy)
		(void)defer(busy, req, run_flush, number, NULL, fi);
	else if (handle->creation)
		submit(content_request(req, fs, handle, OP_WRITE, 0, finish_result));
	else
		(void)fuse_reply_err(req, 0);
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

	if (handle->truncation == TRUNCATION_PENDING && handle->file) {
		request = content_request(NULL, fs, handle, OP_REPLACE, 0, finish_closing);
		request->handle = NULL;
		request->writes = true;
		request->file->n_writers++;
		open_file_closing(request->file);
	}
	handle_free(fs, handle);
	(void)fuse_reply_err(req, 0);
	if (request)
		request_submit_content(request);
	if (!g_queue_is_empty(&fs->blocked))
		run_blocked(fs);
}

/* --- Barriers --------------------------------------------------------------------------------- */

/* names: whether the answer may wait until the kernel has forgotten the names that are gone, too.  Who
 * syncs a directory holds its lock, for which forgetting a name in it waits. */
static void submit_barrier(StoreFs *fs, fuse_req_t req, bool names)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	Request *request;

	/* A barrier is an entry in the log of each node.  The root of the store is open to everybody; who
	 * can write nothing has nothing to make safe, and may not fill logs. */
	if (caller->uid != 0 && caller->gid != fs->group) {
		(void)fuse_reply_err(req, 0);
		return;
	}
	request = request_new(fs, req, finish_result);

	request->sees_all = names;
	request_submit(request, op_new(OP_BARRIER, ""));
}

/* The empty file of an O_TRUNC or a creation is on the disks; now everything else. */
static void finish_fsync(Request *request, int result)
{
	if (result < 0) {
		content_failed(request);
		(void)fuse_reply_err(request->req, -result);
		return;
	}
	submit_barrier(request->fs, request->req, true);
}

static void run_fsync(Deferred *deferred)
{
	fs_fsync(deferred->req, deferred->number, 0, deferred_fi(deferred));
}

void fs_fsync(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Handle *handle = handle_of(fi);
	GQueue *busy = handle && handle->creation ? creation_under_way(handle->creation) : NULL;

	if (busy)
		(void)defer(busy, req, run_fsync, number, NULL, fi);
	else if (handle && (handle->creation || handle->truncation == TRUNCATION_PENDING))
		submit(content_request(req, fs, handle, handle->creation ? OP_WRITE : OP_REPLACE, 0,
			finish_fsync));
	else
		submit_barrier(fs, req, true);
}

void fs_fsyncdir(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi)
{
	submit_barrier(fs_of(req), req, false);
}
