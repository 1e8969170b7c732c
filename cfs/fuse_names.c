/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "cfs/fuse_private.h"

const char *const made_names[MADE_N] = {
	[MADE_LINK_LOCAL] = "local",
	[MADE_LINK_LXC] = "lxc",
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

/* Where a link leads, owned by the caller. */
static char *made_dup_target(const StoreFs *fs, Made made)
{
	assert(made < MADE_FIRST_VIEW);

	return made == MADE_LINK_LOCAL ? g_strdup_printf("nodes/%s", fs->node_name)
				       : g_strdup_printf("nodes/%s/lxc", fs->node_name);
}

/* --- Attributes ------------------------------------------------------------------------------- */

static bool node_is_named(const TreeNode *node, uint64_t parent, const char *name)
{
	return tree_node_parent(node) == parent && str_equal(tree_node_name(node), name);
}

/* Whether an entry is, or lies below, priv or nodes/NAME/priv: its secrets are root's alone. */
static bool is_private(const Tree *tree, const TreeNode *node)
{
	const TreeNode *up = node, *grandparent;

	for (; up && tree_node_inode(up) != TREE_ROOT_INODE;
		up = tree_by_inode(tree, tree_node_parent(up))) {
		if (!str_equal(tree_node_name(up), "priv"))
			continue;
		if (tree_node_parent(up) == TREE_ROOT_INODE)
			return true;
		grandparent = tree_by_inode(tree, tree_node_parent(up));
		grandparent =
			grandparent ? tree_by_inode(tree, tree_node_parent(grandparent)) : NULL;
		if (grandparent && tree_node_inode(grandparent) != TREE_ROOT_INODE &&
			node_is_named(grandparent, TREE_ROOT_INODE, "nodes"))
			return true;
	}
	return false;
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
	bool private = is_private(fs_tree(fs), node);

	*ret = (struct stat){
		.st_ino = number_of(tree_node_inode(node)),
		.st_gid = fs->group,
		.st_nlink = 1, /* For a directory: the number of those in it is not told. */
	};
	if (tree_node_is_directory(node)) {
		ret->st_mode = S_IFDIR | (private ? 0700 : 0755);
		attr_set_size(ret, 0);
	} else {
		ret->st_mode = S_IFREG | (private ? 0600 : 0640);
		attr_set_size(ret, g_bytes_get_size(tree_node_data(node)));
	}
	attr_set_time(ret, tree_node_mtime_s(node));
}

static void attr_of_made(const StoreFs *fs, Made made, struct stat *ret)
{
	StoreFs *mutable_fs = (StoreFs *)fs;

	*ret = (struct stat){
		.st_ino = NUMBER_MADE + made,
		.st_gid = fs->group,
		.st_nlink = 1,
	};
	if (made < MADE_FIRST_VIEW) {
		g_autofree char *target = made_dup_target(fs, made);

		ret->st_mode = S_IFLNK | 0777;
		attr_set_size(ret, strlen(target));
	} else {
		g_autoptr(GBytes) text = mutable_fs->backend.view(
			mutable_fs->backend.data, (StoreFsView)(made - MADE_FIRST_VIEW));

		ret->st_mode = S_IFREG | 0440;
		attr_set_size(ret, g_bytes_get_size(text));
		attr_set_time(ret, (uint32_t)(g_get_real_time() / G_USEC_PER_SEC));
	}
}

int attr_of_number(const StoreFs *fs, fuse_ino_t number, struct stat *ret)
{
	const TreeNode *node;
	const OpenFile *file;

	if (made_is_number(number)) {
		attr_of_made(fs, (Made)(number - NUMBER_MADE), ret);
		return 0;
	}
	node = tree_by_inode(fs_tree(fs), inode_of(number));
	if (node) {
		attr_of_node(fs, node, ret);
		return 0;
	}
	file = open_file_find(fs, inode_of(number));
	if (!file)
		return -ENOENT;

	*ret = (struct stat){
		.st_ino = number,
		.st_gid = fs->group,
		.st_mode = file->mode,
	};
	attr_set_size(ret, g_bytes_get_size(file->data));
	attr_set_time(ret, file->mtime_s);
	return 0;
}

double attr_timeout(const StoreFs *fs, fuse_ino_t number)
{
	const OpenFile *file;

	if (made_is_number(number))
		return number - NUMBER_MADE < MADE_FIRST_VIEW ? CACHE_S : 0;

	/* The kernel changes the length by itself when somebody opens with O_TRUNC, and a file that
	 * is gone is not invalidated. */
	file = open_file_find(fs, inode_of(number));
	return file && (file->n_truncates > 0 || file->gone) ? 0 : CACHE_S;
}

int entry_of_child(StoreFs *fs, uint64_t parent, const char *name, struct fuse_entry_param *ret)
{
	const TreeNode *node;
	Made made = made_by_name(parent, name);

	*ret = (struct fuse_entry_param){.entry_timeout = CACHE_S};
	if (made < MADE_N) {
		ret->ino = NUMBER_MADE + made;
		attr_of_made(fs, made, &ret->attr);
	} else {
		node = tree_child(fs_tree(fs), parent, name);
		if (!node)
			return -ENOENT;
		ret->ino = number_of(tree_node_inode(node));
		attr_of_node(fs, node, &ret->attr);
	}
	ret->attr_timeout = attr_timeout(fs, ret->ino);
	fs_remember(fs, ret->ino);
	return 0;
}

/* --- Looking ---------------------------------------------------------------------------------- */

static void run_lookup(fuse_req_t req, fuse_ino_t parent, const char *name, size_t size,
	off_t offset, struct fuse_file_info *fi)
{
	fs_lookup(req, parent, name);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	StoreFs *fs = fs_of(req);
	const TreeNode *node = tree_child(fs_tree(fs), inode_of(parent), name);
	struct fuse_entry_param entry;
	int r;

	if (strlen(name) > OP_NAME_MAX) {
		(void)fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	if (node && defer(req, tree_node_inode(node), run_lookup, parent, name, 0, 0, NULL))
		return;

	r = entry_of_child(fs, inode_of(parent), name, &entry);
	if (r == -ENOENT) {
		/* Inode 0 lets the kernel remember that there is none. */
		entry = (struct fuse_entry_param){.entry_timeout = CACHE_S};
		r = 0;
	}
	(void)fuse_reply_entry(req, &entry);
}

static void run_getattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size,
	off_t offset, struct fuse_file_info *fi)
{
	fs_getattr(req, number, fi);
}

void fs_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	struct stat attr;
	int r;

	if (!made_is_number(number) &&
		defer(req, inode_of(number), run_getattr, number, NULL, 0, 0, fi))
		return;

	r = attr_of_number(fs, number, &attr);
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_attr(req, &attr, attr_timeout(fs, number));
}

void fs_readlink(fuse_req_t req, fuse_ino_t number)
{
	g_autofree char *target = NULL;

	if (number < NUMBER_MADE || number >= NUMBER_MADE + MADE_FIRST_VIEW) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	target = made_dup_target(fs_of(req), (Made)(number - NUMBER_MADE));
	(void)fuse_reply_readlink(req, target);
}

/* --- Directories ------------------------------------------------------------------------------ */

/* What an open directory shows is what was in it when it was opened or rewound. */
typedef struct Listing {
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

static void listing_fill(const StoreFs *fs, Listing *listing, fuse_ino_t number)
{
	const TreeNode *node = tree_by_inode(fs_tree(fs), inode_of(number));

	g_ptr_array_set_size(listing->names, 0);
	g_array_set_size(listing->attrs, 0);
	listing_add(listing, ".", number, S_IFDIR);
	listing_add(listing, "..",
		node && number != FUSE_ROOT_ID ? number_of(tree_node_parent(node)) : FUSE_ROOT_ID,
		S_IFDIR);
	if (number == FUSE_ROOT_ID)
		for (unsigned i = 0; i < MADE_N; i++)
			listing_add(listing, made_names[i], NUMBER_MADE + i,
				i < MADE_FIRST_VIEW ? S_IFLNK : S_IFREG);
	tree_each_child(fs_tree(fs), inode_of(number), NULL, listing_visit, listing);
}

void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi)
{
	StoreFs *fs = fs_of(req);
	Listing *listing = g_new0(Listing, 1);

	listing->names = g_ptr_array_new_with_free_func(g_free);
	listing->attrs = g_array_new(FALSE, TRUE, sizeof(struct stat));
	(void)g_hash_table_add(fs->listings, listing);
	listing_fill(fs, listing, number);
	fi->fh = (uintptr_t)listing;
	if (fuse_reply_open(req, fi) == -ENOENT)
		(void)g_hash_table_remove(fs->listings, listing); /* Interrupted. */
}

void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi)
{
	Listing *listing = (Listing *)(uintptr_t)fi->fh;
	g_autofree char *buffer = g_malloc(size);
	size_t used = 0;

	if (offset == 0)
		listing_fill(fs_of(req), listing, number);
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

/* --- Changing names --------------------------------------------------------------------------- */

/* Path of a name in a directory below the root, owned by the caller; NULL when the directory is
 * gone. */
static char *dup_child_path(const StoreFs *fs, fuse_ino_t parent, const char *name)
{
	const Tree *tree = fs_tree(fs);
	const TreeNode *node = tree_by_inode(tree, inode_of(parent));
	g_autofree char *path = NULL;

	if (parent == FUSE_ROOT_ID)
		return g_strdup(name);
	if (!node)
		return NULL;
	path = tree_node_dup_path(tree, node);
	return g_strconcat(path, "/", name, NULL);
}

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
	g_autofree char *path = dup_child_path(fs, parent, name);
	int r = check_names(fs, parent, name, path);
	Request *request;

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	request = request_new(req, finish);
	request->parent = inode_of(parent);
	request->name = g_strdup(name);
	request_submit(request, op_new(type, path));
}

static void finish_mkdir(Request *request, int result)
{
	struct fuse_entry_param entry;

	if (result == 0)
		result = entry_of_child(request->fs, request->parent, request->name, &entry);
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

void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	submit_name_op(req, OP_RMDIR, parent, name, finish_result);
}

void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	StoreFs *fs = fs_of(req);
	g_autofree char *path = dup_child_path(fs, parent, name);
	g_autofree char *target = dup_child_path(fs, new_parent, new_name);
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
	request = request_new(req, finish_result);
	op = op_new(OP_RENAME, path);
	op->target = g_steal_pointer(&target);
	if (flags & RENAME_NOREPLACE)
		op->flags |= OP_FLAG_NOREPLACE;
	request_submit(request, op);
}
