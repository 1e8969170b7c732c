/* SPDX-License-Identifier: Apache-2.0 */

/* Listings of directories.
 *
 * The kernel keeps a listing as it is read, and later ones cost no question except the opening.  It
 * adds what a reader was answered even if that answer has been overtaken by a change and the dropping
 * of the listing.  So an opening lets the kernel keep what it has only if an earlier one, since the
 * last change, made it drop everything at a time when no directory was open that had been opened
 * before that change. */

#include <sys/stat.h>

#include "base/macro.h"
#include "cfs/fuse_private.h"

/* What an open directory shows is what was in it when it was opened or rewound. */
typedef struct Listing {
	fuse_ino_t number;  /* Of the directory … */
	uint64_t n_changes; /* … and as of which change it was opened. */
	bool filled;
	GPtrArray *names; /* Of char*. */
	GArray *attrs;    /* Of struct stat: number and type. */
} Listing;

void listing_destroy(gpointer data)
{
	Listing *listing = data;

	g_ptr_array_unref(listing->names);
	g_array_unref(listing->attrs);
	g_free(listing);
}

static void listing_add(Listing *listing, const char *name, fuse_ino_t number, mode_t type)
{
	struct stat attr = {.st_ino = number, .st_mode = type};

	g_ptr_array_add(listing->names, g_strdup(name));
	g_array_append_val(listing->attrs, attr);
}

static bool listing_visit(const TreeNode *node, void *data)
{
	listing_add(data, tree_node_name(node), number_of(tree_node_inode(node)),
		tree_node_is_directory(node) ? S_IFDIR : S_IFREG);
	return true;
}

static void listing_fill(const StoreFs *fs, Listing *listing)
{
	fuse_ino_t number = listing->number;
	const TreeNode *node = tree_by_inode(fs_tree(fs), inode_of(number));

	listing->filled = true;
	g_ptr_array_set_size(listing->names, 0);
	g_array_set_size(listing->attrs, 0);
	listing_add(listing, ".", number, S_IFDIR);
	listing_add(listing, "..",
		node && number != FUSE_ROOT_ID ? number_of(tree_node_parent(node)) : FUSE_ROOT_ID,
		S_IFDIR);
	if (number == FUSE_ROOT_ID)
		for (unsigned i = 0; i < MADE_N; i++)
			listing_add(listing, made_names[i], NUMBER_MADE + i,
				made_is_link(i) ? S_IFLNK : S_IFREG);
	tree_each_child(fs_tree(fs), inode_of(number), NULL, listing_visit, listing);
}

/* Whether somebody has the directory open since before its last change. */
static bool has_old_listing(const StoreFs *fs, fuse_ino_t number, uint64_t n_changes)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, fs->listings);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const Listing *listing = key;

		if (listing->number == number && listing->n_changes != n_changes)
			return true;
	}
	return false;
}

static void run_opendir(Deferred *deferred)
{
	fs_opendir(deferred->req, deferred->number, deferred_fi(deferred));
}

void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	GQueue *busy = creation_busy_directory(fs, inode_of(number));
	Known *known = fs_known(fs, number);
	Listing *listing;

	if (busy) {
		(void)defer(busy, req, run_opendir, number, NULL, fi);
		return;
	}

	fi->cache_readdir = 1;
	if (known && !has_old_listing(fs, number, known->n_changes)) {
		fi->keep_cache = known->dropped_at == known->n_changes;
		known->dropped_at = known->n_changes;
	}
	listing = g_new0(Listing, 1);
	listing->number = number;
	listing->n_changes = known ? known->n_changes : 0;
	listing->names = g_ptr_array_new_with_free_func(g_free);
	listing->attrs = g_array_new(FALSE, TRUE, sizeof(struct stat));
	(void)g_hash_table_add(fs->listings, listing);
	fi->fh = (uintptr_t)listing;
	if (fuse_reply_open(req, fi) == -ENOENT)
		(void)g_hash_table_remove(fs->listings, listing); /* Interrupted. */
}

static void run_readdir(Deferred *deferred)
{
	fs_readdir(deferred->req, deferred->number, deferred->size, deferred->offset,
		deferred_fi(deferred));
}

void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Listing *listing = (Listing *)(uintptr_t)fi->fh;
	GQueue *busy = offset == 0 ? creation_busy_directory(fs, inode_of(number)) : NULL;
	g_autofree char *buffer = NULL;
	size_t used = 0;

	if (busy) {
		Deferred *deferred = defer(busy, req, run_readdir, number, NULL, fi);

		deferred->size = size;
		deferred->offset = offset;
		return;
	}

	if (offset == 0 || !listing->filled)
		listing_fill(fs, listing);
	buffer = g_malloc(size);
	for (guint i = (guint)MIN(offset, G_MAXUINT); i < listing->names->len; i++) {
		size_t need = fuse_add_direntry(req, buffer + used, size - used,
			g_ptr_array_index(listing->names, i),
			&g_array_index(listing->attrs, struct stat, i), (off_t)i + 1);

		if (need > size - used)
			break;
		used += need;
	}
	(void)fuse_reply_buf(req, buffer, used);
}

void fs_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	(void)g_hash_table_remove(fs_of(req)->listings, (gpointer)(uintptr_t)fi->fh);
	(void)fuse_reply_err(req, 0);
}
