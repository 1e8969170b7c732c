/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/offline.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/macro.h"
#include "cfs/export.h"
#include "cfs/replica.h"
#include "cfs/store.h"

/* The epoch in which an imported tree counts as committed: below any that a cluster opens, and above
 * that of an empty database. */
#define IMPORT_EPOCH 1

/* --- Verify ----------------------------------------------------------------------------------- */

static int64_t no_time(void *data)
{
	return 0;
}

/* Of a replica that only loads, no more than the time is asked. */
static int load_replica(const ReplicaBatch *batch, Replica **ret, GError **err)
{
	const ReplicaEnv env = {.now_ms = no_time};
	const ReplicaOptions options = {.node = 1};

	return replica_new(&options, &env, batch, ret, err);
}

int offline_verify(const char *database, GError **err)
{
	g_autoptr(Store) store = NULL;
	g_autoptr(ReplicaBatch) batch = NULL;
	g_autoptr(Replica) replica = NULL;
	g_autofree char *digest = NULL;
	ReplicaStatus status;
	const Tree *tree;
	int r;

	r = store_open_to_read(database, &store, err);
	if (r == 0)
		r = store_check(store, err);
	if (r == 0)
		r = store_load(store, &batch, err);
	if (r == 0)
		r = load_replica(batch, &replica, err);
	if (r < 0)
		return r;

	tree = replica_tree(replica);
	digest = tree_dup_digest(tree);
	replica_status(replica, &status);
	printf("Database '%s' of node %u is sound.\n", database, store_node(store));
	printf("Tree: %" G_GUINT64_FORMAT " entries, %" G_GUINT64_FORMAT
	       " bytes, version %" G_GUINT64_FORMAT ", SHA-256 %s\n",
		tree_total_entries(tree), tree_total_bytes(tree), tree_version(tree), digest);
	printf("Log: %u entries from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
	       ", committed to %" G_GUINT64_FORMAT ", epoch %" G_GUINT64_FORMAT "\n",
		batch->entries->len, batch->log_first, status.last, status.commit, status.epoch);
	if (status.epoch == 0)
		printf("It is empty: this node has taken part in no epoch%s.\n",
			store_trusted(store) ? ", and is trusted to have lost nothing" : "");
	return 0;
}

/* --- Export ----------------------------------------------------------------------------------- */

static bool add_row(const TreeNode *node, void *data)
{
	replica_batch_add_row(data, tree_node_inode(node), tree_node_parent(node),
		tree_node_version(node), tree_node_writer(node), tree_node_mtime_s(node),
		tree_node_is_directory(node), tree_node_name(node), tree_node_data(node));
	return true;
}

/* The tree of a sound database: its rows, and what of the log is known to be committed.  *ret_n_open: how
 * many entries are behind that. */
static int load_tree(Store *store, ReplicaBatch **ret, uint64_t *ret_n_open, GError **err)
{
	g_autoptr(ReplicaBatch) loaded = NULL;
	g_autoptr(ReplicaBatch) rows = replica_batch_new();
	g_autoptr(Replica) replica = NULL;
	ReplicaStatus status;
	int r;

	r = store_check(store, err);
	if (r == 0)
		r = store_load(store, &loaded, err);
	if (r == 0)
		r = load_replica(loaded, &replica, err);
	if (r < 0)
		return r;
	tree_each(replica_tree(replica), add_row, rows);
	replica_status(replica, &status);
	*ret_n_open = status.last - status.commit;
	*ret = g_steal_pointer(&rows);
	return 0;
}

int offline_export(const char *database, const char *directory, GError **err)
{
	g_autoptr(Store) store = NULL;
	g_autoptr(ReplicaBatch) batch = NULL;
	g_autoptr(GError) damage = NULL;
	ExportCounts counts;
	uint64_t n_open = 0;
	unsigned n_bad = 0;
	int r;

	r = store_open_to_read(database, &store, err);
	if (r < 0)
		return r;
	r = load_tree(store, &batch, &n_open, &damage);
	if (r < 0)
		r = store_salvage(store, &batch, &n_bad, err);
	if (r == 0)
		r = export_tree(batch, directory, &counts, err);
	if (r < 0)
		return r;

	printf("Wrote %u files and %u directories to '%s'.\n", counts.n_files, counts.n_directories,
		directory);
	if (n_open > 0)
		printf("Left out: %" G_GUINT64_FORMAT
		       " at the end of the log, of which this database cannot tell whether they "
		       "were confirmed; starting the store with it finds out.\n",
			n_open);
	if (!damage && counts.n_lost == 0)
		return 0;
	return err_set(err, EUCLEAN,
		"database '%s' is damaged (%s): %u entries cannot be read, %u have lost their place and "
		"are in '%s/lost+found'; others may be missing",
		database, damage ? damage->message : "entries without a place", n_bad,
		counts.n_lost, directory);
}

/* --- Import ----------------------------------------------------------------------------------- */

/* Lists what the tree cannot take. */
static unsigned list_problems(const ReplicaBatch *batch, const TreeLimits *limits)
{
	unsigned n_problems = 0;

	for (guint i = 0; i < batch->rows->len; i++) {
		const ReplicaRow *row = g_ptr_array_index(batch->rows, i);
		uint64_t size = row->data ? g_bytes_get_size(row->data) : 0;
		g_autofree char *name = g_strescape(row->name, NULL);

		if (op_check_name(row->name) < 0) {
			(void)fprintf(stderr,
				"entry %" G_GUINT64_FORMAT ": the name '%s' cannot be\n",
				row->inode, name);
			n_problems++;
		} else if (size > limits->file_max) {
			(void)fprintf(stderr,
				"file '%s' (entry %" G_GUINT64_FORMAT ") has %" G_GUINT64_FORMAT
				" bytes, more than file-max allows (%" G_GUINT64_FORMAT ")\n",
				name, row->inode, size, limits->file_max);
			n_problems++;
		}
	}
	return n_problems;
}

static int make_tree(const ReplicaBatch *batch, const TreeLimits *limits, Tree **ret, GError **err)
{
	g_autoptr(Tree) tree = tree_new(limits);
	uint64_t version = batch->scalars.version;
	int r;

	for (guint i = 0; i < batch->rows->len; i++) {
		const ReplicaRow *row = g_ptr_array_index(batch->rows, i);

		version = MAX(version, MAX(row->version, row->inode));
		if (tree_put_row(tree, row->inode, row->parent, row->version, row->writer,
			    row->mtime_s, row->directory, row->name, row->data) < 0)
			return err_set(err, EUCLEAN,
				"entry %" G_GUINT64_FORMAT
				" ('%s') contradicts another one, or itself",
				row->inode, row->name);
	}
	if (version > REPLICA_NUMBER_MAX)
		return err_set(err, EUCLEAN,
			"version %" G_GUINT64_FORMAT " is more than any cluster has counted",
			version);
	tree_set_version(tree, version);
	r = tree_check(tree, err);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&tree);
	return 0;
}

/* The tree stands for a log that ends where its version does; the hash of that log is the tree's, so
 * that two imports are one log only if they are one tree. */
static void set_scalars(ReplicaBatch *batch, const Tree *tree)
{
	g_autofree char *digest = tree_dup_digest(tree);
	ReplicaScalars *scalars = &batch->scalars;

	scalars->promised = IMPORT_EPOCH;
	scalars->adopted = IMPORT_EPOCH;
	scalars->commit = tree_version(tree);
	scalars->version = tree_version(tree);
	assert(strlen(digest) == 2 * (size_t)REPLICA_HASH_SIZE);
	for (unsigned i = 0; i < REPLICA_HASH_SIZE; i++)
		scalars->commit_hash[i] = (uint8_t)(g_ascii_xdigit_value(digest[2 * i]) << 4 |
						    g_ascii_xdigit_value(digest[2 * i + 1]));
	batch->replace = true;
	batch->sync = true;
	batch->log_first = scalars->commit + 1;
}

static int load_foreign(const char *path, ReplicaBatch **ret, GError **err)
{
	g_autoptr(Store) store = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set_errno(err, -errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%s' is not a file", path);
	r = store_open_to_read(path, &store, err);
	if (r == 0)
		r = store_check(store, err);
	return r < 0 ? r : store_load_tree(store, ret, err);
}

static void remove_temporary(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};

	for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *name = g_strconcat(path, suffixes[i], NULL);

		(void)unlink(name);
	}
}

static int write_database(const char *path, const ReplicaBatch *batch, GError **err)
{
	g_autoptr(Store) store = NULL;
	int r;

	r = store_open(path, &store, err);
	if (r < 0)
		return r;
	r = store_write(store, batch);
	return r < 0 ? err_set_errno(err, r, "cannot write '%s'", path) : 0;
}

/* The file is complete and synced before it gets its name. */
static int put_in_place(const char *temporary, const char *database, GError **err)
{
	g_autofree char *directory = g_path_get_dirname(database);
	auto_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(err, -errno, "cannot open directory '%s'", directory);
	if (syncfs(fd) < 0 ||
		renameat2(AT_FDCWD, temporary, AT_FDCWD, database, RENAME_NOREPLACE) < 0 ||
		fsync(fd) < 0)
		return err_set_errno(err, -errno, "cannot put '%s' in its place", database);
	return 0;
}

static int refuse_if_there(const char *database, GError **err)
{
	static const char *const suffixes[] = {"", "-wal"};
	struct stat st;

	for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *name = g_strconcat(database, suffixes[i], NULL);

		if (lstat(name, &st) == 0)
			return err_set(err, EEXIST,
				"'%s' is there: stop atoll-cfs, and move it away first", name);
	}
	return 0;
}

int offline_import(const char *database, const char *path, const TreeLimits *limits, GError **err)
{
	g_autofree char *temporary = g_strconcat(database, ".import", NULL);
	g_autoptr(ReplicaBatch) batch = NULL;
	g_autoptr(Tree) tree = NULL;
	auto_close int lock_fd = -1;
	unsigned n_problems;
	int r;

	r = store_lock(database, &lock_fd, err);
	if (r == 0)
		r = refuse_if_there(database, err);
	if (r == 0)
		r = load_foreign(path, &batch, err);
	if (r < 0)
		return r;
	n_problems = list_problems(batch, limits);
	if (n_problems > 0)
		return err_set(
			err, EFBIG, "%u entries of '%s' cannot be taken over", n_problems, path);
	r = make_tree(batch, limits, &tree, err);
	if (r < 0)
		return err_prefix(err, r, "cannot take over '%s'", path);

	set_scalars(batch, tree);
	remove_temporary(temporary);
	r = write_database(temporary, batch, err);
	if (r == 0)
		r = put_in_place(temporary, database, err);
	remove_temporary(temporary);
	if (r < 0)
		return r;
	printf("Took over %" G_GUINT64_FORMAT " entries, %" G_GUINT64_FORMAT
	       " bytes, version %" G_GUINT64_FORMAT " into '%s'.\n",
		tree_total_entries(tree), tree_total_bytes(tree), tree_version(tree), database);
	return 0;
}

/* --- The operator's word ---------------------------------------------------------------------- */

int offline_accept_loss(const char *database, GError **err)
{
	g_autoptr(Store) store = NULL;
	g_autoptr(ReplicaBatch) batch = NULL;
	int r;

	r = store_open(database, &store, err);
	if (r == 0)
		r = store_load(store, &batch, err);
	if (r < 0)
		return r;
	if (batch->scalars.adopted > 0)
		return err_set(err, EINVAL,
			"database '%s' is not empty: there is no loss to accept", database);
	r = store_set_trusted(store);
	if (r < 0)
		return err_set_errno(err, r, "cannot write database '%s'", database);
	printf("This node counts as one that has lost nothing, although '%s' is empty.\n",
		database);
	return 0;
}
