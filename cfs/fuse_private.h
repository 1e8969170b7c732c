/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the file system share: fuse.c (session, invalidation), fuse_names.c (names and
 * directories), fuse_files.c (content of files), fuse_request.c (changes under way).  Nobody else
 * includes it. */

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "cfs/fuse.h"
#include "cfs/inval.h"

/* The kernel's numbers: FUSE_ROOT_ID (1) is the root, inode n of the tree is n + 1, and numbers
 * from NUMBER_MADE on are the links and views that the store makes itself. */
#define NUMBER_MADE (UINT64_C(1) << 62)

/* How long the kernel may keep what it is told.  Invalidation is what makes it right; this only
 * bounds the harm if one were lost. */
#define CACHE_S 60.0

typedef enum Made {
	MADE_LINK_LOCAL,
	MADE_LINK_LXC,
	MADE_FIRST_VIEW,
	MADE_N = MADE_FIRST_VIEW + STOREFS_N_VIEWS,
} Made;

extern const char *const made_names[MADE_N];

/* The thing of the root that the store makes under this name; MADE_N: none. */
Made made_by_name(uint64_t parent, const char *name);
static inline bool made_is_number(fuse_ino_t number)
{
	return number >= NUMBER_MADE;
}

/* A file of the tree that the kernel knows or somebody has open.  It keeps its content when it is
 * removed: for those who have it open, and for those who have found its name just before and are
 * about to open it. */
typedef struct OpenFile {
	uint64_t inode;
	mode_t mode;          /* As it was last in the tree … */
	uint32_t mtime_s;     /* … and its time. */
	unsigned n_users;     /* Handles, requests under way, and 1 for the kernel. */
	unsigned n_truncates; /* Handles that were opened with O_TRUNC. */
	unsigned n_closing;   /* Closed ones of them, whose change is not committed. */
	bool gone;            /* Removed from the tree; data is all there is. */
	GBytes *data;         /* Committed content. */
	GQueue waiting;       /* Of Deferred*: for n_closing to become 0. */
} OpenFile;

typedef enum Truncation {
	TRUNCATION_NONE,
	TRUNCATION_PENDING, /* Opened with O_TRUNC, nothing written yet. */
	TRUNCATION_FAILED,  /* The change that was to do it failed: still wanted by a further
			     * write, not by a close. */
} Truncation;

/* An open file. */
typedef struct Handle {
	OpenFile *file; /* NULL: a view. */
	Truncation truncation;
	bool truncates; /* Opened with O_TRUNC: counted in n_truncates. */
	GBytes *view;
} Handle;

struct StoreFs {
	StoreFsBackend backend;
	TreeLimits limits;
	char *mountpoint;
	char *node_name;
	gid_t group;
	bool mounted;
	bool stopping; /* Changes are refused, because the mount is about to go. */
	struct fuse_session *session;
	struct fuse_buf buffer;
	guint source;         /* 0: none. */
	guint overdue_source; /* Looks for requests that wait too long; 0: none waits. */
	Inval *inval;
	GHashTable *known;    /* Kernel's number -> how often it was told of it. */
	GHashTable *files;    /* Inode -> OpenFile*. */
	GHashTable *handles;  /* Set of Handle*: open files. */
	GHashTable *listings; /* Set of Listing*: open directories, freed by it. */
	GHashTable *requests; /* Set of Request*: waiting for their answer. */
	uint64_t n_reads;
};

static inline StoreFs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline const Tree *fs_tree(const StoreFs *fs)
{
	return fs->backend.tree(fs->backend.data);
}

static inline fuse_ino_t number_of(uint64_t inode)
{
	return inode + 1;
}

static inline uint64_t inode_of(fuse_ino_t number)
{
	return number - 1;
}

/* --- fuse.c ----------------------------------------------------------------------------------- */

/* 0, or why changes are refused now. */
int fs_writable(const StoreFs *fs);

/* The kernel has been told of a number by an answer that counts (entry, create). */
void fs_remember(StoreFs *fs, fuse_ino_t number);

/* --- fuse_names.c ----------------------------------------------------------------------------- */

/* Attributes of an entry of the tree. */
void attr_of_node(const StoreFs *fs, const TreeNode *node, struct stat *ret);

/* The same of anything with a number, open files that are gone included.  -ENOENT. */
int attr_of_number(const StoreFs *fs, fuse_ino_t number, struct stat *ret);

/* How long the kernel may keep attributes of a number. */
double attr_timeout(const StoreFs *fs, fuse_ino_t number);

/* Fills an entry for an answer and remembers it.  -ENOENT. */
int entry_of_child(StoreFs *fs, uint64_t parent, const char *name, struct fuse_entry_param *ret);

/* Frees an open directory's Listing. */
void listing_destroy(gpointer data);

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_readlink(fuse_req_t req, fuse_ino_t number);
void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags);

/* --- fuse_files.c ----------------------------------------------------------------------------- */

void handle_free(StoreFs *fs, Handle *handle);

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_fsync(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi);
void fs_fsyncdir(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi);
void fs_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set,
	struct fuse_file_info *fi);

/* --- fuse_request.c --------------------------------------------------------------------------- */

OpenFile *open_file_find(const StoreFs *fs, uint64_t inode);

/* The file with another user, made when there is none; NULL when the tree has no such file. */
OpenFile *open_file_use(StoreFs *fs, uint64_t inode);
void open_file_unuse(StoreFs *fs, OpenFile *file);

/* The file's content and attributes are those of node now. */
void open_file_update(const StoreFs *fs, OpenFile *file, const TreeNode *node);

/* Something the file system is asked to do once a file's closing change is committed. */
typedef void (*DeferredRun)(fuse_req_t req, fuse_ino_t number, const char *name, size_t size,
	off_t offset, struct fuse_file_info *fi);

/* Whether the request must wait, because inode is being made empty by a close; it is then kept and
 * run later. */
bool defer(fuse_req_t req, uint64_t inode, DeferredRun run, fuse_ino_t number, const char *name,
	size_t size, off_t offset, struct fuse_file_info *fi);

/* A close's change of the file begins and ends. */
void open_file_closing(OpenFile *file);
void open_file_closed(StoreFs *fs, OpenFile *file);

/* Refuses those who wait, for the end of the file system. */
void open_file_abandon(OpenFile *file);

/* A change that somebody waits for. */
typedef struct Request Request;

struct Request {
	ChangeToken token; /* First. */
	StoreFs *fs;
	fuse_req_t req;                               /* NULL: nobody waits for the answer. */
	void (*finish)(Request *request, int result); /* Answers; the request is freed after it. */
	uint64_t inode;                               /* Of the file that is changed … */
	OpenFile *file; /* … and it, while it is open; counted as a user. */
	Handle *handle; /* By which it is changed, or NULL. */
	OpType type;    /* Of a change of content; OP_INVALID: of names. */
	bool append;
	bool clears; /* Carries out the truncation of handle. */
	unsigned n_tries;
	bool given_up;    /* The caller was told -EIO; what comes concerns nobody any more. */
	int64_t since_us; /* Monotonic. */
	uint64_t offset;
	GBytes *data;    /* What is written. */
	size_t size;     /* How much of that is the caller's. */
	uint64_t parent; /* Names: where … */
	char *name;      /* … and what. */
	int64_t mtime_s; /* To be set after the content; -1: not. */
	struct fuse_file_info fi;
};

Request *request_new(fuse_req_t req, void (*finish)(Request *request, int result));

/* Submits an operation, which is taken; finish() is called, perhaps before this returns. */
void request_submit(Request *request, Op *take_op);

/* The same for what is asked of a lock, the directory that the request is about. */
void request_submit_lock(
	Request *request, int (*submit)(void *data, uint64_t inode, ChangeToken *token));

/* Submits the change of content that the request describes, under the name that the file has now.
 * A file that is gone is changed here only, for those who have it open. */
void request_submit_content(Request *request);

/* finish() for requests that are answered by the result alone. */
void finish_result(Request *request, int result);
