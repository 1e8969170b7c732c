/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/fuse.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/caps.h"
#include "base/err.h"
#include "base/fdwatch.h"
#include "base/fileutil.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* The group that may read what is not private, if the machine has it. */
#define STORE_GROUP "www-data"

/* Requests handled in one go before the other sources of the loop get their turn. */
#define DISPATCH_MAX 32

/* Longest single write or read: a whole file. */
#define WRITE_MAX (1024 * 1024)

/* How often the end of the invalidation thread is looked for when the mount goes. */
#define STOP_POLL_US 1000

/* Dead mounts that are taken off one mount point, one on top of the other, before giving up. */
#define DEAD_MAX 16

/* --- What the kernel knows -------------------------------------------------------------------- */

int fs_writable(const StoreFs *fs)
{
	int r = fs->stopping ? -EROFS : fs->backend.writable(fs->backend.data);

	return r == 0 && fs->n_stuck > 0 ? -EROFS : r;
}

static unsigned n_moves(const StoreFs *fs, uint64_t inode)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(fs->moves, GSIZE_TO_POINTER(inode)));
}

fuse_ino_t fs_directory_number(const StoreFs *fs, uint64_t inode)
{
	return number_of(inode) + n_moves(fs, inode) % NUMBER_MOVES * NUMBER_MOVE;
}

Known *fs_known(const StoreFs *fs, fuse_ino_t number)
{
	return g_hash_table_lookup(fs->known, GSIZE_TO_POINTER(number));
}

void fs_remember(StoreFs *fs, fuse_ino_t number)
{
	Known *known = fs_known(fs, number);

	if (!known) {
		known = g_new0(Known, 1);
		known->n_changes = 1; /* Nothing of it has been dropped yet. */
		g_hash_table_insert(fs->known, GSIZE_TO_POINTER(number), known);
	}
	known->n_lookups++;
}

static void forget(StoreFs *fs, fuse_ino_t number, uint64_t n)
{
	Known *known = fs_known(fs, number);

	if (!known) {
		fs_forget_node(fs, number, n);
		return;
	}
	known->n_lookups -= MIN(n, known->n_lookups);
	if (known->n_lookups == 0)
		g_hash_table_remove(fs->known, GSIZE_TO_POINTER(number));
}

static void fs_forget(fuse_req_t req, fuse_ino_t number, uint64_t n)
{
	forget(fs_of(req), number, n);
	fuse_reply_none(req);
}

static void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* --- What the kernel is to forget ------------------------------------------------------------- */

/* The numbers that a directory has had and has. */
static unsigned n_numbers(const StoreFs *fs, uint64_t inode)
{
	return MIN(n_moves(fs, inode), NUMBER_MOVES - 1) + 1;
}

static fuse_ino_t nth_number(uint64_t inode, unsigned n)
{
	return number_of(inode) + n * NUMBER_MOVE;
}

/* Under all numbers by which the kernel knows the directory.  The place of the last notification; 0:
 * there was nothing to tell. */
static uint64_t forget_name(StoreFs *fs, uint64_t parent, const char *name)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < n_numbers(fs, parent); i++)
		if (fs_known(fs, nth_number(parent, i)))
			at = inval_entry(fs->inval, nth_number(parent, i), name);
	return at;
}

void fs_forget_file(StoreFs *fs, OpenFile *file, bool names)
{
	const GPtrArray *nodes = nodes_of(fs->nodes, file->inode);
	const TreeNode *place = tree_by_inode(fs_tree(fs), file->inode);
	bool named = false, told = false;
	uint64_t at = 0;

	for (unsigned i = 0; nodes && i < nodes->len; i++) {
		Node *node = g_ptr_array_index(nodes, i);

		if (!node->kept)
			continue;
		at = inval_inode(fs->inval, node->number, false);
		named = true;
		/* Of what a writer has open the kernel asks anew by itself. */
		told = told || node->use != NODE_USE_WRITERS || node->n_cached > 0;
		if (names)
			node->kept = false;
	}
	if (named && names && place)
		at = MAX(at, forget_name(fs, tree_node_parent(place), tree_node_name(place)));
	if (told)
		file->told_at = at;
}

static void apply_to_file(StoreFs *fs, OpenFile *file, const TreeChange *change, bool own)
{
	const TreeNode *node = tree_by_inode(fs_tree(fs), change->inode);

	if (!own && (change->removed || change->old_name))
		file->n_displaced++;
	if (change->removed)
		file->gone = true;
	else if (node)
		open_file_update(fs, file, node);
	if (change->old_name)
		nodes_moved(fs->nodes, file->inode);
	fs_forget_file(fs, file, change->data_changed);
}

static void apply_to_directory(StoreFs *fs, uint64_t inode)
{
	for (unsigned i = 0; i < n_numbers(fs, inode); i++) {
		Known *known = fs_known(fs, nth_number(inode, i));

		if (!known)
			continue;
		known->n_changes++;
		inval_inode(fs->inval, nth_number(inode, i), true);
	}
}

/* What the kernel has been told under the old name must not be what it finds under the new one. */
static void directory_moved(StoreFs *fs, uint64_t inode)
{
	if (fs_known(fs, fs_directory_number(fs, inode)))
		g_hash_table_insert(fs->moves, GSIZE_TO_POINTER(inode),
			GUINT_TO_POINTER(n_moves(fs, inode) + 1));
}

/* The names of our own change follow from its answer, in the directory by whose number it was asked
 * for.  But what the kernel moves is what it was told under the old name, in a file's case for good,
 * and may not be what has been moved. */
static void apply_to_names(StoreFs *fs, const TreeChange *change, bool own)
{
	bool moves_right = change->old_name && fs_known(fs, fs_directory_number(fs, change->inode));

	if (!own || (change->old_name && !moves_right) || n_numbers(fs, change->parent) > 1)
		(void)forget_name(fs, change->parent, change->name);
	if (change->old_name && (!own || n_numbers(fs, change->old_parent) > 1))
		(void)forget_name(fs, change->old_parent, change->old_name);
	if (change->old_name && !own)
		directory_moved(fs, change->inode);
	if (change->removed)
		(void)g_hash_table_remove(fs->moves, GSIZE_TO_POINTER(change->inode));
}

void storefs_applied(StoreFs *fs, const GPtrArray *changes, bool own)
{
	for (unsigned i = 0; i < changes->len; i++) {
		const TreeChange *change = g_ptr_array_index(changes, i);
		OpenFile *file = open_file_find(fs, change->inode);
		bool named = change->created || change->removed || change->old_name;

		if (file)
			apply_to_file(fs, file, change, own);
		else
			apply_to_directory(fs, change->inode);
		if (!named)
			continue;

		/* That of the root, which has no time, is not among the changes. */
		if (change->parent == TREE_ROOT_INODE || change->old_parent == TREE_ROOT_INODE)
			apply_to_directory(fs, TREE_ROOT_INODE);
		apply_to_names(fs, change, own);
	}
}

/* --- Requests about the whole ----------------------------------------------------------------- */

static void fs_init(void *data, struct fuse_conn_info *connection)
{
	connection->max_write = WRITE_MAX;
	connection->want |= connection->capable & FUSE_CAP_ATOMIC_O_TRUNC;

	/* Lengths and times come with invalidation, not with a question before each read; and our
	 * answers are small, so copying them is cheaper than a pipe. */
	connection->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
					FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void fs_statfs(fuse_req_t req, fuse_ino_t number)
{
	StoreFs *fs = fs_of(req);
	const Tree *tree = fs_tree(fs);
	uint64_t used = tree_total_bytes(tree), entries = tree_total_entries(tree);
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = fs->limits.total_max / 4096,
		.f_bfree = (fs->limits.total_max - MIN(used, fs->limits.total_max)) / 4096,
		.f_files = fs->limits.entries_max,
		.f_ffree = fs->limits.entries_max - MIN(entries, fs->limits.entries_max),
		.f_namemax = OP_NAME_MAX,
	};

	st.f_bavail = st.f_bfree;
	st.f_favail = st.f_ffree;
	(void)fuse_reply_statfs(req, &st);
}

static void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)fuse_reply_err(req, EPERM);
}

static void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, EPERM);
}

static void fs_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t new_parent, const char *new_name)
{
	(void)fuse_reply_err(req, EPERM);
}

static const struct fuse_lowlevel_ops operations = {
	.init = fs_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.forget_multi = fs_forget_multi,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.readlink = fs_readlink,
	.mknod = fs_mknod,
	.mkdir = fs_mkdir,
	.unlink = fs_unlink,
	.rmdir = fs_rmdir,
	.symlink = fs_symlink,
	.rename = fs_rename,
	.link = fs_link,
	.open = fs_open,
	.create = fs_create,
	.read = fs_read,
	.write = fs_write,
	.flush = fs_flush,
	.release = fs_release,
	.fsync = fs_fsync,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.releasedir = fs_releasedir,
	.fsyncdir = fs_fsyncdir,
	.statfs = fs_statfs,
	/* No extended attributes: where there is no function, the kernel does not ask again.  It would
	 * before each write, for capabilities that the file might lose. */
};

/* --- Life ------------------------------------------------------------------------------------- */

static void serve(StoreFs *fs)
{
	for (unsigned i = 0; i < DISPATCH_MAX && !fuse_session_exited(fs->session); i++) {
		int r = fuse_session_receive_buf(fs->session, &fs->buffer);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			break;
		fuse_session_process_buf(fs->session, &fs->buffer);
	}
	/* They would wait in vain. */
	if (fs->n_stuck > 0)
		requests_give_up_deferred(fs, INT64_MAX);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	StoreFs *fs = data;

	serve(fs);
	if (!fuse_session_exited(fs->session))
		return G_SOURCE_CONTINUE;

	fs->source = 0;
	fs->mounted = false;
	guard_arm(fs->guard, false);
	fs->backend.unmounted(fs->backend.data);
	return G_SOURCE_REMOVE;
}

static gboolean on_told(gint fd, GIOCondition condition, gpointer data)
{
	StoreFs *fs = data;

	inval_acknowledge(fs->inval);
	requests_unpark(fs);
	return G_SOURCE_CONTINUE;
}

/* A file system whose process is gone answers with ENOTCONN what the kernel does not know by itself,
 * as statfs.  Detaching works even while somebody holds it open. */
static int clear_dead_mounts(const char *mountpoint, GError **err)
{
	struct statvfs st;

	for (unsigned i = 0; i < DEAD_MAX && statvfs(mountpoint, &st) < 0; i++) {
		if (errno != ENOTCONN)
			return errno == ENOENT ? 0
					       : err_set_errno(err, -errno, "cannot look at '%s'",
							 mountpoint);
		if (umount2(mountpoint, MNT_DETACH) < 0)
			return err_set_errno(
				err, -errno, "cannot unmount the dead '%s'", mountpoint);
		log_notice("Removed the dead mount that a crash left at '%s'", mountpoint);
	}
	return 0;
}

static gid_t store_group(void)
{
	const struct group *group = getgrnam(STORE_GROUP);

	return group ? group->gr_gid : 0;
}

static int session_mount(StoreFs *fs, GError **err)
{
	char *argv[] = {(char *)"atoll-cfs", (char *)"-o",
		(char *)"allow_other,default_permissions,nosuid,nodev,noexec,fsname=atoll,"
			"subtype=cfs",
		NULL};
	struct fuse_args args = FUSE_ARGS_INIT(G_N_ELEMENTS(argv) - 1, argv);
	int r;

	r = clear_dead_mounts(fs->mountpoint, err);
	if (r < 0)
		return r;
	r = file_mkdir_all(fs->mountpoint, 0755);
	if (r < 0)
		return err_set_errno(err, r, "cannot make directory '%s'", fs->mountpoint);

	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return err_set(err, EIO, "cannot make a FUSE session");
	if (fuse_session_mount(fs->session, fs->mountpoint) < 0)
		return err_set(err, EIO, "cannot mount '%s'", fs->mountpoint);

	fs->mounted = true;
	r = RET_ERRNO(fcntl(fuse_session_fd(fs->session), F_SETFL, O_NONBLOCK));
	return r < 0 ? err_set_errno(err, r, "cannot mount '%s'", fs->mountpoint) : 0;
}

int storefs_new(
	const StoreFsBackend *backend, const StoreFsOptions *options, StoreFs **ret, GError **err)
{
	g_autoptr(StoreFs) fs = g_new0(StoreFs, 1);
	int r;

	assert(backend->tree && backend->writable && backend->submit);
	assert(backend->lock_renew && backend->lock_expire);
	assert(backend->view && backend->unmounted);

	fs->backend = *backend;
	fs->limits = options->limits;
	fs->guard = options->guard;
	fs->mountpoint = g_strdup(options->mountpoint);
	fs->node_name = g_strdup(options->node_name);
	fs->group = store_group();
	fs->nodes = nodes_new();
	fs->known = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	fs->creations = g_hash_table_new_full(NULL, NULL, creation_destroy, NULL);
	fs_remember(fs, FUSE_ROOT_ID);
	fs->moves = g_hash_table_new(NULL, NULL);
	fs->files = g_hash_table_new(NULL, NULL);
	fs->requests = g_hash_table_new(NULL, NULL);
	fs->handles = g_hash_table_new(NULL, NULL);
	fs->listings = g_hash_table_new_full(NULL, NULL, listing_destroy, NULL);

	r = caps_set_effective(true);
	if (r < 0)
		return err_set_errno(err, r, "cannot take up the capability to mount");
	r = session_mount(fs, err);
	(void)caps_set_effective(false);
	if (r < 0)
		return r;
	guard_arm(fs->guard, true);

	fs->inval = inval_new(fs->session);
	fs->parked_source = fd_watch_add(inval_fd(fs->inval), G_IO_IN, on_told, fs);
	fs->source = fd_watch_add(
		fuse_session_fd(fs->session), G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, fs);
	*ret = g_steal_pointer(&fs);
	return 0;
}

/* Those who still wait are told that nobody knows how it ended. */
static void abandon_requests(StoreFs *fs)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->requests);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		Request *request = key;

		if (request->req)
			(void)fuse_reply_err(request->req, EIO);
		g_clear_pointer(&request->data, g_bytes_unref);
		g_free(request->name);
		g_free(request);
	}
	g_queue_clear(&fs->parked);
	g_hash_table_remove_all(fs->requests);
}

/* Those who wait for what is not going to end any more. */
static void abandon_deferred(StoreFs *fs)
{
	deferred_abandon(&fs->blocked);
	requests_give_up_deferred(fs, INT64_MAX);
}

static void abandon_files(StoreFs *fs)
{
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_destroy(fs->creations);
	g_hash_table_iter_init(&iter, fs->handles);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		Handle *handle = key;

		g_clear_pointer(&handle->text, g_bytes_unref);
		g_free(handle);
	}
	g_hash_table_destroy(fs->handles);

	g_hash_table_iter_init(&iter, fs->files);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		OpenFile *file = value;

		g_bytes_unref(file->data);
		g_free(file);
	}
	g_hash_table_destroy(fs->files);
	(void)nodes_free(fs->nodes);
}

StoreFs *storefs_free(StoreFs *fs)
{
	if (!fs)
		return NULL;

	fs->stopping = true;
	if (fs->source)
		g_source_remove(fs->source);
	if (fs->overdue_source)
		g_source_remove(fs->overdue_source);
	if (fs->parked_source)
		g_source_remove(fs->parked_source);
	if (fs->patience_source)
		g_source_remove(fs->patience_source);
	abandon_requests(fs);
	abandon_deferred(fs);
	while (fs->inval && !inval_stop(fs->inval)) {
		serve(fs);
		abandon_deferred(fs); /* They may hold what the thread waits for. */
		g_usleep(STOP_POLL_US);
	}
	(void)inval_free(fs->inval);

	/* Lazily: it goes even when somebody still has it open. */
	if (fs->mounted && caps_set_effective(true) == 0) {
		guard_arm(fs->guard, false);
		fuse_session_unmount(fs->session);
		(void)caps_set_effective(false);
	}
	abandon_files(fs);
	if (fs->session)
		fuse_session_destroy(fs->session);
	free(fs->buffer.mem);
	g_hash_table_destroy(fs->listings);
	g_hash_table_destroy(fs->known);
	g_hash_table_destroy(fs->moves);
	g_hash_table_destroy(fs->requests);
	g_free(fs->mountpoint);
	g_free(fs->node_name);
	g_free(fs);
	return NULL;
}

void storefs_set_node_name(StoreFs *fs, const char *node_name)
{
	g_free(fs->node_name);
	fs->node_name = g_strdup(node_name);
}

uint64_t storefs_reads(const StoreFs *fs)
{
	return fs->n_reads;
}
