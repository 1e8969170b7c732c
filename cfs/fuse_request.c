/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/macro.h"
#include "cfs/fuse_private.h"

/* How often a change is tried anew because its file got another name before it was applied.  Each
 * time somebody else has renamed the file in between. */
#define TRIES_MAX 16

/* How long a caller waits at most, whatever it waits for: a caller that waits for a file system cannot
 * even be killed.  The replica answers sooner what it has no view for; this is for changes that no disk
 * takes, as when all are full.  And how often it is looked for. */
#define OVERDUE_US       (10 * G_USEC_PER_SEC)
#define OVERDUE_LOOK_S   1
#define OVERDUE_GRACE_US (OVERDUE_US - OVERDUE_LOOK_S * G_USEC_PER_SEC)

/* --- Open files ------------------------------------------------------------------------------- */

OpenFile *open_file_find(const StoreFs *fs, uint64_t inode)
{
	return g_hash_table_lookup(fs->files, GSIZE_TO_POINTER(inode));
}

void open_file_update(const StoreFs *fs, OpenFile *file, const TreeNode *node)
{
	struct stat attr;

	attr_of_node(fs, node, &attr);
	file->mode = attr.st_mode;
	file->mtime_s = tree_node_mtime_s(node);
	if (file->data == tree_node_data(node))
		return;
	g_clear_pointer(&file->data, g_bytes_unref);
	file->data = g_bytes_ref(tree_node_data(node));
}

OpenFile *open_file_use(StoreFs *fs, uint64_t inode)
{
	OpenFile *file = open_file_find(fs, inode);
	const TreeNode *node;

	if (!file) {
		node = tree_by_inode(fs_tree(fs), inode);
		if (!node || tree_node_is_directory(node))
			return NULL;
		file = g_new0(OpenFile, 1);
		file->inode = inode;
		open_file_update(fs, file, node);
		g_queue_init(&file->waiting);
		g_hash_table_insert(fs->files, GSIZE_TO_POINTER(inode), file);
	}
	file->n_users++;
	return file;
}

void open_file_unuse(StoreFs *fs, OpenFile *file)
{
	assert(file->n_users > 0);

	if (--file->n_users > 0)
		return;

	/* A close that is not committed is a user. */
	assert(g_queue_is_empty(&file->waiting));
	g_hash_table_remove(fs->files, GSIZE_TO_POINTER(file->inode));
	g_bytes_unref(file->data);
	g_free(file);
}

/* --- Since when somebody waits ---------------------------------------------------------------- */

/* Since when the caller waits whose request is being handled, which may have waited before. */
static int64_t asked_us(const StoreFs *fs)
{
	return fs->asked_us != 0 ? fs->asked_us : g_get_monotonic_time();
}

/* Sets that for what follows; returns what it was. */
static int64_t set_asked(StoreFs *fs, int64_t since_us)
{
	int64_t outer_us = fs->asked_us;

	fs->asked_us = since_us;
	return outer_us;
}

bool fs_waited(const StoreFs *fs, int64_t wait_us)
{
	return fs->asked_us != 0 && g_get_monotonic_time() - fs->asked_us >= wait_us;
}

/* --- Waiting for other changes ---------------------------------------------------------------- */

Deferred *defer(GQueue *queue, fuse_req_t req, void (*run)(Deferred *deferred), fuse_ino_t number,
	const char *name, const struct fuse_file_info *fi)
{
	Deferred *deferred = g_new0(Deferred, 1);

	deferred->req = req;
	deferred->since_us = asked_us(fs_of(req));
	deferred->run = run;
	deferred->number = number;
	deferred->name = g_strdup(name);
	deferred->has_fi = fi != NULL;
	if (fi)
		deferred->fi = *fi;
	g_queue_push_tail(queue, deferred);
	return deferred;
}

static void deferred_free(Deferred *deferred)
{
	g_clear_pointer(&deferred->bytes, g_bytes_unref);
	g_free(deferred->name);
	g_free(deferred);
}

void deferred_run(GQueue *queue)
{
	Deferred *deferred;

	while ((deferred = g_queue_pop_head(queue))) {
		StoreFs *fs = fs_of(deferred->req);
		int64_t outer_us = set_asked(fs, deferred->since_us);

		deferred->run(deferred);
		(void)set_asked(fs, outer_us);
		deferred_free(deferred);
	}
}

void deferred_abandon(GQueue *queue)
{
	Deferred *deferred;

	while ((deferred = g_queue_pop_head(queue))) {
		(void)fuse_reply_err(deferred->req, EIO);
		deferred_free(deferred);
	}
}

void deferred_give_up(GQueue *queue, int64_t before_us)
{
	GList *next;

	/* Not in order: who waits again has waited before. */
	for (GList *link = queue->head; link; link = next) {
		Deferred *deferred = link->data;

		next = link->next;
		if (deferred->since_us >= before_us)
			continue;
		g_queue_delete_link(queue, link);
		(void)fuse_reply_err(deferred->req, EIO);
		deferred_free(deferred);
	}
}

GQueue *file_busy(const StoreFs *fs, uint64_t inode)
{
	OpenFile *file = open_file_find(fs, inode);

	return file && file->n_closing > 0 ? &file->waiting : NULL;
}

GQueue *node_busy(const StoreFs *fs, const Node *node)
{
	return node->inode != 0 ? file_busy(fs, node->inode) : creation_busy_node(fs, node);
}

void open_file_closing(OpenFile *file)
{
	file->n_closing++;
}

void open_file_closed(StoreFs *fs, OpenFile *file)
{
	GQueue ready;

	assert(file->n_closing > 0);

	if (--file->n_closing > 0)
		return;

	/* What runs may close the file again, and wait anew. */
	ready = file->waiting;
	g_queue_init(&file->waiting);
	deferred_run(&ready);
}

/* --- Requests --------------------------------------------------------------------------------- */

static void request_free(Request *request)
{
	g_hash_table_remove(request->fs->requests, request);
	if (request->node)
		fs_close_node(request->fs, request->node, NODE_DIRECT);
	if (request->writes)
		request->file->n_writers--;
	if (request->file)
		open_file_unuse(request->fs, request->file);
	g_clear_pointer(&request->data, g_bytes_unref);
	g_free(request->name);
	g_free(request);
}

static void request_done(Request *request, int result)
{
	StoreFs *fs = request->fs;
	int64_t outer_us =
		set_asked(fs, request->since_us); /* For what is asked next for the caller. */

	if (!request->given_up)
		request->finish(request, result);
	else if (request->dropped)
		request->dropped(request);
	(void)set_asked(fs, outer_us);
	request_free(request);
}

/* Whether the answer must wait until the kernel has forgotten what it had of the file: he who is
 * answered, and all on this node, shall see the change.  Nobody may wait so who holds the lock of a
 * directory. */
static bool must_wait(Request *request, int result)
{
	const OpenFile *file = open_file_find(request->fs, request->inode);

	if (result < 0 || !request->req || request->given_up || (!file && !request->sees_all))
		return false;
	request->told_at = request->sees_all ? inval_place(request->fs->inval) : file->told_at;
	return !inval_done(request->fs->inval, request->told_at);
}

void requests_unpark(StoreFs *fs)
{
	Request *request;

	while ((request = g_queue_peek_head(&fs->parked)) &&
		inval_done(fs->inval, request->told_at)) {
		(void)g_queue_pop_head(&fs->parked);
		request_done(request, 0);
	}
}

void request_end(Request *request, int result)
{
	if (request->creation && !creation_applied(request, &result))
		return;
	if (must_wait(request, result))
		g_queue_push_tail(&request->fs->parked, request);
	else
		request_done(request, result);
}

static void request_answer(ChangeToken *token, int result)
{
	Request *request = (Request *)token;

	request->fs->n_stuck -= request->stuck;
	request->stuck = false;
	request->submitted_us = 0;

	/* The operation names the file by path and inode; somebody has renamed or removed it
	 * before its turn. */
	if (result == -ENOENT && request->type != OP_INVALID && !request->creation &&
		!request->given_up && request->n_tries++ < TRIES_MAX)
		request_submit_content(request);
	else
		request_end(request, result);
}

void requests_give_up_deferred(StoreFs *fs, int64_t before_us)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, fs->files);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		deferred_give_up(&((OpenFile *)value)->waiting, before_us);
	creations_give_up(fs, before_us);
}

static void give_up(Request *request)
{
	(void)fuse_reply_err(request->req, EIO);
	request->req = NULL;
	request->given_up = true;
	/* If the change comes true yet, the kernel does not know it from an answer. */
	request->token.from_fs = false;
	/* The handle is there as long as its caller waits. */
	if (request->clears && request->handle)
		request->handle->truncation = TRUNCATION_FAILED;
}

static gboolean on_overdue(gpointer data)
{
	StoreFs *fs = data;
	int64_t before_us = g_get_monotonic_time() - OVERDUE_GRACE_US;
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->requests);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		Request *request = key;

		if (request->submitted_us != 0 && request->submitted_us <= before_us &&
			!request->stuck) {
			request->stuck = true;
			fs->n_stuck++;
		}
		if (request->req && request->since_us <= before_us)
			give_up(request);
	}
	requests_give_up_deferred(fs, fs->n_stuck > 0 ? INT64_MAX : before_us);
	if (g_hash_table_size(fs->requests) > 0)
		return G_SOURCE_CONTINUE;

	fs->overdue_source = 0;
	return G_SOURCE_REMOVE;
}

Request *request_new(StoreFs *fs, fuse_req_t req, void (*finish)(Request *request, int result))
{
	Request *request = g_new0(Request, 1);

	request->token.answer = request_answer;
	request->token.from_fs = true;
	request->fs = fs;
	request->req = req;
	request->finish = finish;
	request->mtime_s = -1;
	request->since_us = asked_us(fs);
	(void)g_hash_table_add(request->fs->requests, request);
	if (!request->fs->overdue_source && !request->fs->stopping)
		request->fs->overdue_source =
			g_timeout_add_seconds(OVERDUE_LOOK_S, on_overdue, request->fs);
	return request;
}

void request_submit(Request *request, Op *take_op)
{
	StoreFsBackend *backend = &request->fs->backend;
	int r;

	if (take_op->type == OP_UTIME)
		take_op->mtime_s = (uint32_t)request->mtime_s;
	else if (take_op->type != OP_BARRIER)
		take_op->mtime_s = (uint32_t)(g_get_real_time() / G_USEC_PER_SEC);
	/* What nobody waits for may wait: it was promised by a close. */
	r = request->req || request->fs->stopping ? fs_writable(request->fs) : 0;
	if (r == 0) {
		request->submitted_us = g_get_monotonic_time();
		r = backend->submit(backend->data, take_op, &request->token);
	}
	if (r < 0) {
		request->submitted_us = 0;
		(void)op_free(take_op);
		request_end(request, r);
	}
}

void request_submit_lock(
	Request *request, int (*submit)(void *data, uint64_t inode, ChangeToken *token))
{
	StoreFs *fs = request->fs;
	int r = fs->stopping ? -EROFS : submit(fs->backend.data, request->inode, &request->token);

	if (r < 0)
		request_done(request, r);
}

/* --- Changes of content ----------------------------------------------------------------------- */

GBytes *request_content(const Request *request)
{
	g_autofree uint8_t *content = NULL;
	size_t size = 0;
	const void *data = request->data ? g_bytes_get_data(request->data, &size) : NULL;

	/* Before anything is allocated: a gap of terabytes must never be filled. */
	if (request->offset > request->fs->limits.file_max ||
		request->offset + request->size > request->fs->limits.file_max)
		return NULL;
	if (request->data && request->offset == 0)
		return g_bytes_ref(request->data);
	content = g_malloc0(request->offset + request->size + 1);
	if (size > 0)
		memcpy(content + request->offset, data, size);
	return g_bytes_new_take(g_steal_pointer(&content), request->offset + size);
}

/* The same change for a file that nobody can find any more. */
static void change_orphan(Request *request)
{
	OpenFile *file = request->file;
	size_t old_size, size, data_size = 0;
	const uint8_t *old = g_bytes_get_data(file->data, &old_size);
	const void *data = request->data ? g_bytes_get_data(request->data, &data_size) : NULL;
	uint64_t offset = request->append ? old_size : request->offset;
	uint8_t *content;

	if (request->type == OP_REPLACE)
		old_size = 0;
	size = request->type == OP_TRUNCATE ? offset : MAX(old_size, offset + data_size);
	if (size > request->fs->limits.file_max) {
		request_done(request, -EFBIG);
		return;
	}
	content = g_malloc0(size + 1);
	if (MIN(old_size, size) > 0)
		memcpy(content, old, MIN(old_size, size));
	if (data_size > 0)
		memcpy(content + offset, data, data_size);
	g_bytes_unref(file->data);
	file->data = g_bytes_new_take(content, size);
	request_done(request, 0);
}

void request_set_file(Request *request, OpenFile *file)
{
	request->file = file;
	request->inode = file->inode;
	request->n_displaced = file->n_displaced;
	file->n_users++;
}

void request_set_handle(Request *request, Handle *handle)
{
	request_set_file(request, handle->file);
	request->n_displaced = handle->n_displaced;
	request->handle = handle;
	if (handle->truncation == TRUNCATION_NONE)
		return;
	request->clears = true;
	handle->truncation = TRUNCATION_NONE;
}

void request_submit_content(Request *request)
{
	const Tree *tree = fs_tree(request->fs);
	const TreeNode *node = tree_by_inode(tree, request->inode);
	g_autofree char *path = NULL;
	Op *op;

	assert(request->type == OP_WRITE || request->type == OP_REPLACE ||
		request->type == OP_TRUNCATE);

	/* It may have been opened by a name that was no longer true elsewhere: a change of what is
	 * moved or removed would be acknowledged, and be nowhere that its caller looks. */
	if (request->file && request->n_displaced != request->file->n_displaced) {
		request_done(request, -ESTALE);
		return;
	}
	/* Here already, so that a gap of terabytes is never filled. */
	if (request->offset > request->fs->limits.file_max ||
		request->offset + request->size > request->fs->limits.file_max) {
		request_done(request, -EFBIG);
		return;
	}
	if (!node) {
		if (request->file)
			change_orphan(request);
		else
			request_done(request, -ENOENT);
		return;
	}

	path = tree_node_dup_path(tree, node);
	op = op_new(request->type, path);
	op->inode = request->inode;
	if (request->type == OP_REPLACE) {
		op->data = request_content(request);
	} else {
		op->offset = request->append ? 0 : request->offset;
		if (request->append)
			op->flags |= OP_FLAG_APPEND;
		if (request->data)
			op->data = g_bytes_ref(request->data);
	}
	request_submit(request, op);
}

void finish_result(Request *request, int result)
{
	(void)fuse_reply_err(request->req, -result);
}

void finish_nothing(Request *request, int result)
{
}
