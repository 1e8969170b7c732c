/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the parts of the file system share: fuse.c (session, invalidation), fuse_names.c (names),
 * fuse_dirs.c (listings), fuse_attr.c (attributes), fuse_files.c (content of files), fuse_create.c
 * (files that are being created), fuse_request.c (changes under way).  Nobody else includes it. */

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "cfs/fuse.h"
#include "cfs/fuse_nodes.h"
#include "cfs/inval.h"

/* The kernel's numbers: FUSE_ROOT_ID (1) is the root, directory n of the tree is n + 1; from
 * NODES_FIRST on they are those of files (cfs/fuse_nodes.h), and from NUMBER_MADE on the links and
 * views that the store makes itself.  st_ino is n + 1 for files too.
 *
 * A directory gets NUMBER_MOVE more each time it is renamed without this kernel having asked for it,
 * so that the kernel does not take the new name for the old one (cfs/fuse_nodes.h).  The old number
 * goes on to be good for those who are in the directory.  Inodes are versions of the tree: they reach
 * NUMBER_MOVE after some centuries of changes without a pause. */
#define NUMBER_MADE  (UINT64_C(1) << 62)
#define NUMBER_MOVE  (UINT64_C(1) << 48)
#define NUMBER_MOVES 4096 /* Then they come round again, long after the kernel was told. */

/* How long the kernel may keep what it is told.  Invalidation is what makes it right; this only
 * bounds the harm if one were lost. */
#define CACHE_S 3600.0

typedef enum Made {
	MADE_LINK_LOCAL,
	MADE_LINK_LXC,
	MADE_DEBUG,
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

static inline bool made_is_link(Made made)
{
	return made == MADE_LINK_LOCAL || made == MADE_LINK_LXC;
}

/* A file of the tree that the kernel knows or somebody has open.  It keeps its content when it is
 * removed: for those who have it open. */
typedef struct OpenFile {
	uint64_t inode;
	mode_t mode;          /* As it was last in the tree … */
	uint32_t mtime_s;     /* … and its time. */
	unsigned n_users;     /* Handles, requests under way, and 1 for all its nodes. */
	unsigned n_writers;   /* Handles for writing, and requests that change it without one. */
	uint64_t told_at;     /* Place of the last notification that changes of it wait for. */
	unsigned n_closing;   /* Closed handles, whose truncation is not committed. */
	bool gone;            /* Removed from the tree; data is all there is. */
	unsigned n_displaced; /* How often others than this file system's callers moved or removed
			       * it. */
	GBytes *data;         /* Committed content. */
	GQueue waiting;       /* Of Deferred*: for n_closing to become 0. */
} OpenFile;

typedef enum Truncation {
	TRUNCATION_NONE,
	TRUNCATION_PENDING, /* Opened with O_TRUNC, nothing written yet. */
	TRUNCATION_FAILED,  /* The change that was to do it failed: still wanted by a further
			     * write, not by a close. */
} Truncation;

typedef struct Creation Creation;

/* An open file. */
typedef struct Handle {
	OpenFile *file; /* NULL: something made by the store, or a file that is not created yet. */
	Node *node;     /* By which it was opened; NULL: made by the store. */
	NodeOpen how;
	bool writes;          /* Counted in file->n_writers. */
	unsigned n_displaced; /* Of file, when it was opened. */
	GBytes *text;         /* What it reads; NULL: the content of file, whatever that is now. */
	Creation *creation;   /* NULL: the file is there. */
	Truncation truncation;
} Handle;

/* A directory that the kernel knows, or a thing made by the store. */
typedef struct Known {
	uint64_t n_lookups;
	uint64_t n_changes;  /* Of the names in it. */
	uint64_t dropped_at; /* n_changes when the kernel dropped its listing; see fuse_dirs.c. */
	struct Names *names; /* What was read of it last, while somebody has that open; or NULL. */
} Known;

/* How long the text of a view was when it was made last. */
typedef struct ViewLength {
	size_t length;
	int64_t made_us; /* Monotonic; 0: it has not been made. */
} ViewLength;

struct StoreFs {
	StoreFsBackend backend;
	TreeLimits limits;
	char *mountpoint;
	char *node_name;
	gid_t group;
	bool mounted;
	bool stopping; /* Changes are refused, because the mount is about to go. */
	Guard *guard;
	struct fuse_session *session;
	struct fuse_buf buffer;
	guint source;         /* 0: none. */
	guint overdue_source; /* Looks for requests that wait too long; 0: none waits. */
	Inval *inval;
	Nodes *nodes;          /* Files that the kernel knows. */
	GHashTable *known;     /* Number of anything else that it knows -> Known. */
	GHashTable *moves;     /* Inode of a directory -> how often it has moved; absent: 0. */
	GHashTable *files;     /* Inode -> OpenFile*. */
	GHashTable *handles;   /* Set of Handle*: open files. */
	GHashTable *creations; /* Set of Creation*. */
	GHashTable *listings;  /* Set of Listing*: open directories, freed by it. */
	GHashTable *requests;  /* Set of Request*: waiting for their answer. */
	GQueue parked;         /* Of those with a result: waiting for the kernel to be told. */
	guint parked_source;   /* 0: none. */
	GQueue blocked;        /* Of Deferred*: opens for writing that wait for readers. */
	guint patience_source; /* Ends that; 0: none waits. */
	bool patience_ended;
	int64_t asked_us; /* Since when he waits for whom something is done; 0: he has just asked. */
	unsigned n_stuck; /* Changes that the log has for too long.  What comes later stands behind
			   * them, and would wait in vain: it is refused. */
	ViewLength view_lengths[STOREFS_N_VIEWS];
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

/* st_ino, and the number of a directory that has not moved. */
static inline fuse_ino_t number_of(uint64_t inode)
{
	return inode + 1;
}

/* Of the root, or a directory. */
static inline uint64_t inode_of(fuse_ino_t number)
{
	return number % NUMBER_MOVE - 1;
}

/* --- fuse.c ----------------------------------------------------------------------------------- */

/* 0, or why changes are refused now. */
int fs_writable(const StoreFs *fs);

/* The kernel has been told, by an answer that counts, of something that is not a file. */
void fs_remember(StoreFs *fs, fuse_ino_t number);

/* What the kernel is told now when it looks up a directory. */
fuse_ino_t fs_directory_number(const StoreFs *fs, uint64_t inode);

/* NULL: the kernel does not know it. */
Known *fs_known(const StoreFs *fs, fuse_ino_t number);

/* What the kernel keeps of a file under its name is not to be relied on any more: it asks anew.
 * names: its name, too. */
void fs_forget_file(StoreFs *fs, OpenFile *file, bool names);

/* --- fuse_attr.c ------------------------------------------------------------------------------ */

/* Where a link leads, owned by the caller. */
char *made_dup_target(const StoreFs *fs, Made made);
void attr_of_made(StoreFs *fs, Made made, struct stat *ret);

/* The text of a view, owned by the caller; draft: see StoreFsBackend. */
GBytes *made_text(StoreFs *fs, Made made, bool draft);

/* The mode of an entry that is, or would be, in a directory under a name. */
mode_t mode_at(const StoreFs *fs, uint64_t parent, const char *name, bool directory);

/* Attributes of an entry of the tree. */
void attr_of_node(const StoreFs *fs, const TreeNode *node, struct stat *ret);

/* The same of a file that the kernel knows, as seen by those who have that node, and how long the
 * kernel may keep them. */
void attr_of_file(const StoreFs *fs, const Node *node, struct stat *ret);
double file_timeout(const StoreFs *fs, Node *node);

/* The same of anything with a number.  -ENOENT. */
int attr_of_number(StoreFs *fs, fuse_ino_t number, struct stat *ret);

/* Attributes of an empty file that is not created yet. */
void attr_of_new(
	const StoreFs *fs, uint64_t parent, const char *name, fuse_ino_t number, struct stat *ret);

void fs_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set,
	struct fuse_file_info *fi);

/* --- fuse_names.c ----------------------------------------------------------------------------- */

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_readlink(fuse_req_t req, fuse_ino_t number);
void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags);

/* --- fuse_dirs.c ------------------------------------------------------------------------------ */

/* Frees an open directory's Listing. */
void listing_destroy(gpointer data);

void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);

/* --- fuse_files.c ----------------------------------------------------------------------------- */

Handle *handle_of(const struct fuse_file_info *fi);

/* An open file, opened by way of a node. */
Handle *handle_new(StoreFs *fs, OpenFile *file, Node *node, NodeOpen how, int flags);
void handle_free(StoreFs *fs, Handle *handle);

/* The file of a handle has been created. */
void handle_set_file(StoreFs *fs, Handle *handle, OpenFile *file);

/* Tells the kernel about a handle. */
void fi_set_handle(struct fuse_file_info *fi, Handle *handle);

/* nodes_close() and nodes_forget(), and the file goes with the last of its nodes. */
void fs_close_node(StoreFs *fs, Node *node, NodeOpen how);
void fs_forget_node(StoreFs *fs, fuse_ino_t number, uint64_t n);

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *fi);
void fs_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi);
void fs_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *fi);
void fs_fsync(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi);
void fs_fsyncdir(fuse_req_t req, fuse_ino_t number, int data_only, struct fuse_file_info *fi);

/* --- fuse_request.c --------------------------------------------------------------------------- */

OpenFile *open_file_find(const StoreFs *fs, uint64_t inode);

/* The file with another user, made when there is none; NULL when the tree has no such file. */
OpenFile *open_file_use(StoreFs *fs, uint64_t inode);
void open_file_unuse(StoreFs *fs, OpenFile *file);

/* The file's content and attributes are those of node now. */
void open_file_update(const StoreFs *fs, OpenFile *file, const TreeNode *node);

/* Something the file system is asked to do, kept until it can be done. */
typedef struct Deferred Deferred;

struct Deferred {
	fuse_req_t req;
	int64_t since_us; /* Since when its caller waits: monotonic. */
	void (*run)(Deferred *deferred);
	fuse_ino_t number;
	char *name;
	size_t size;
	off_t offset;
	struct stat attr;
	int to_set;
	GBytes *bytes; /* Freed with it; NULL: none. */
	bool has_fi;
	struct fuse_file_info fi;
};

/* Puts a request into a queue; what it is about is to be filled in.  name and fi may be NULL. */
Deferred *defer(GQueue *queue, fuse_req_t req, void (*run)(Deferred *deferred), fuse_ino_t number,
	const char *name, const struct fuse_file_info *fi);
static inline struct fuse_file_info *deferred_fi(Deferred *deferred)
{
	return deferred->has_fi ? &deferred->fi : NULL;
}

/* Whether he whose request is being handled has waited for so long before. */
bool fs_waited(const StoreFs *fs, int64_t wait_us);

/* Does what waits in a queue, or refuses it for the end of the file system. */
void deferred_run(GQueue *queue);
void deferred_abandon(GQueue *queue);

/* Refuses with EIO those that wait since before a monotonic time. */
void deferred_give_up(GQueue *queue, int64_t before_us);

/* The queue in which to wait before a file, or one with a node, is looked at, as it is being made empty
 * by a close or is being created; NULL: no need to wait. */
GQueue *file_busy(const StoreFs *fs, uint64_t inode);
GQueue *node_busy(const StoreFs *fs, const Node *node);

/* A close's change of the file begins and ends. */
void open_file_closing(OpenFile *file);
void open_file_closed(StoreFs *fs, OpenFile *file);

/* A change that somebody waits for. */
typedef struct Request Request;

struct Request {
	ChangeToken token; /* First. */
	StoreFs *fs;
	fuse_req_t req;                               /* NULL: nobody waits for the answer. */
	void (*finish)(Request *request, int result); /* Answers; the request is freed after it. */
	void (*dropped)(Request *request); /* Called instead for one given up, unless NULL. */
	uint64_t inode;                    /* Of the file that is changed … */
	OpenFile *file;                    /* … and it, while it is open; counted as a user. */
	unsigned n_displaced;              /* Of file, when it was opened by the caller. */
	bool writes;                       /* Counted in file->n_writers. */
	Node *node;                        /* Opened for the request, or NULL. */
	Handle *handle;                    /* By which it is changed, or NULL. */
	Creation *creation;                /* Creates that file, with the content of the request. */
	OpType type;                       /* Of a change of content; OP_INVALID: of names. */
	bool append;
	bool clears; /* Carries out the truncation of handle. */
	unsigned n_tries;
	uint64_t told_at;     /* Answered when the kernel has been told this (cfs/inval.h). */
	bool sees_all;        /* The kernel must be told all that has been applied before. */
	bool given_up;        /* The caller was told -EIO; what comes concerns nobody any more. */
	int64_t since_us;     /* Since when its caller waits … */
	int64_t submitted_us; /* … and the log has its operation, both monotonic; 0: it has none. */
	bool stuck;           /* Counted in fs->n_stuck. */
	uint64_t offset;
	GBytes *data;      /* What is written. */
	size_t size;       /* How much of that is the caller's. */
	fuse_ino_t number; /* What is answered about. */
	uint64_t parent;   /* Names: where … */
	char *name;        /* … and what. */
	int64_t mtime_s;   /* To be set after the content; -1: not. */
	struct fuse_file_info fi;
};

/* req may be NULL. */
Request *request_new(StoreFs *fs, fuse_req_t req, void (*finish)(Request *request, int result));

/* The request has this result: binds what it has created, calls finish() and frees it. */
void request_end(Request *request, int result);

/* Refuses with EIO those that wait since before a monotonic time for a change to end, to look at what it
 * changes. */
void requests_give_up_deferred(StoreFs *fs, int64_t before_us);

/* Answers those whose file the kernel has been told about. */
void requests_unpark(StoreFs *fs);

/* Submits an operation, which is taken; finish() is called, perhaps before this returns. */
void request_submit(Request *request, Op *take_op);

/* The same for what is asked of a lock, the directory that the request is about. */
void request_submit_lock(
	Request *request, int (*submit)(void *data, uint64_t inode, ChangeToken *token));

/* The request changes this file; the same by a handle, whose truncation it carries out (`clears`). */
void request_set_file(Request *request, OpenFile *file);
void request_set_handle(Request *request, Handle *handle);

/* Submits the change of content that the request describes, under the name that the file has now.
 * A file that is gone is changed here only, for those who have it open.  -ESTALE when others have
 * moved or removed it since it was opened. */
void request_submit_content(Request *request);

/* The bytes of a request behind offset zeros; NULL: longer than a file may be. */
GBytes *request_content(const Request *request);

/* finish() for requests that are answered by the result alone, and for those that nobody waits for. */
void finish_result(Request *request, int result);
void finish_nothing(Request *request, int result);

/* --- fuse_create.c ---------------------------------------------------------------------------- */

void fs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);

/* Submits the creation of the file of a handle, with the content of the request; when somebody else has
 * created it meanwhile, the request becomes a change of that. */
void creation_submit(Request *request);

/* The result of that: whether the request is finished, with *result. */
bool creation_applied(Request *request, int *result);

/* The queue in which to wait for a creation that has been submitted; NULL: it has not. */
GQueue *creation_under_way(Creation *creation);

/* Answers the question for attributes that open() itself asks the kernel of a file that is not created
 * yet; false: it is somebody else's. */
bool creation_answer_opener(const StoreFs *fs, fuse_req_t req, fuse_ino_t number);

/* The handle that created it is closed. */
void creation_abandon(Creation *creation);
void creation_destroy(gpointer data);

/* Whether a file is to be created under a name. */
bool creation_has_name(const StoreFs *fs, uint64_t parent, const char *name);

/* As file_busy(), for a name, a node, and all names in a directory. */
GQueue *creation_busy_name(const StoreFs *fs, uint64_t parent, const char *name);
GQueue *creation_busy_node(const StoreFs *fs, const Node *node);
GQueue *creation_busy_directory(const StoreFs *fs, uint64_t directory);

/* Refuses with EIO those that wait for a creation since before a monotonic time. */
void creations_give_up(StoreFs *fs, int64_t before_us);
