/* SPDX-License-Identifier: Apache-2.0 */

/* Listings of directories.
 *
 * The kernel keeps a listing as it is read, and later ones cost no question except the opening.  It
 * adds what a reader was answered even if that answer has been overtaken by a change and the dropping
 * of the listing.  So an opening lets the kernel keep what it has only if an earlier one, since the
 * last change, made it drop everything at a time when no directory was open that had been opened
 * before that change. */

#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "cfs/fuse_private.h"

/* What was in a directory as of one change of it, for all who read it then: a directory with many names
 * may be held open many times, by anybody. */
typedef struct Names {
	unsigned n_listings;
	uint64_t n_changes; /* Of the directory, when they were taken. */
	GArray *entries;    /* Of NamesEntry. */
	GByteArray *text;   /* The names, each with its NUL. */
} Names;

typedef struct NamesEntry {
	fuse_ino_t number;
	mode_t type;
	guint name; /* Its place in text. */
} NamesEntry;

/* What an open directory shows is what was in it when it was opened or rewound. */
typedef struct Listing {
	StoreFs *fs;
	fuse_ino_t number;  /* Of the directory … */
	uint64_t n_changes; /* … and as of which change it was opened. */
	Names *names;       /* NULL: not asked for yet. */
} Listing;

static Names *names_new(uint64_t n_changes)
{
	Names *names = g_new0(Names, 1);

	names->n_changes = n_changes;
	names->entries = g_array_new(FALSE, FALSE, sizeof(NamesEntry));
	names->text = g_byte_array_new();
	return names;
}

static void names_add(Names *names, const char *name, fuse_ino_t number, mode_t type)
{
	const NamesEntry entry = {.number = number, .type = type, .name = names->text->len};

	g_array_append_val(names->entries, entry);
	g_byte_array_append(names->text, (const uint8_t *)name, (guint)strlen(name) + 1);
}

static bool names_visit(const TreeNode *node, void *data)
{
	names_add(data, tree_node_name(node), number_of(tree_node_inode(node)),
		tree_node_is_directory(node) ? S_IFDIR : S_IFREG);
	return true;
}

static Names *names_take(const StoreFs *fs, fuse_ino_t number, uint64_t n_changes)
{
	const TreeNode *node = tree_by_inode(fs_tree(fs), inode_of(number));
	Names *names = names_new(n_changes);

	names_add(names, ".", number, S_IFDIR);
	names_add(names, "..",
		node && number != FUSE_ROOT_ID ? number_of(tree_node_parent(node)) : FUSE_ROOT_ID,
		S_IFDIR);
	if (number == FUSE_ROOT_ID)
		for (unsigned i = 0; i < MADE_N; i++)
			names_add(names, made_names[i], NUMBER_MADE + i,
				made_is_link(i) ? S_IFLNK : S_IFREG);
	tree_each_child(fs_tree(fs), inode_of(number), NULL, names_visit, names);
	return names;
}

static void listing_clear(Listing *listing)
{
	Names *names = g_steal_pointer(&listing->names);
	Known *known;

	if (!names || --names->n_listings > 0)
		return;
	known = fs_known(listing->fs, listing->number);
	if (known && known->names == names)
		known->names = NULL;
	g_array_unref(names->entries);
	g_byte_array_unref(names->text);
	g_free(names);
}

void listing_destroy(gpointer data)
{
	Listing *listing = data;

	listing_clear(listing);
	g_free(listing);
}

static void listing_fill(Listing *listing)
{
	Known *known = fs_known(listing->fs, listing->number);
	uint64_t n_changes = known ? known->n_changes : 0;

	listing_clear(listing);
	if (known && known->names && known->names->n_changes == n_changes)
		listing->names = known->names;
	else
		listing->names = names_take(listing->fs, listing->number, n_changes);
	listing->names->n_listings++;
	if (known)
		known->names = listing->names;
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
	listing->fs = fs;
	listing->number = number;
	listing->n_changes = known ? known->n_changes : 0;
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
	const Names *names;
	size_t used = 0;

	if (busy) {
		Deferred *deferred = defer(busy, req, run_readdir, number, NULL, fi);

		deferred->size = size;
		deferred->offset = offset;
		return;
	}

	if (offset == 0 || !listing->names)
		listing_fill(listing);
	names = listing->names;
	buffer = g_malloc(size);
	for (guint i = (guint)MIN(offset, G_MAXUINT); i < names->entries->len; i++) {
		const NamesEntry *entry = &g_array_index(names->entries, NamesEntry, i);
		const struct stat attr = {.st_ino = entry->number, .st_mode = entry->type};
		size_t need = fuse_add_direntry(req, buffer + used, size - used,
			(const char *)names->text->data + entry->name, &attr, (off_t)i + 1);

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
