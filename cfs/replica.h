/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One member of the replicated store: log, commit, and change of view, as a pure state machine.
 *
 * The world calls the inputs below, one at a time from one thread; the replica calls the world
 * through ReplicaEnv.  It does no I/O, asks no clock but the env's, and draws nothing at random, so
 * that tests/sim/cfs runs this very code under any order of events.  The protocol and its numbered
 * invariants are the essay at the top of replica.c.
 *
 *	state          meaning
 *	OUTSIDE        not in the group: the bus is not connected, or it has not shown us a view yet
 *	GATHERING      in a view; not all have told their state, or the view cannot form an epoch
 *	PROMISING      everybody's state is known; the new epoch waits for `need` promises
 *	CATCHING_UP    the epoch is open; our log is not the source's, what we miss is on the way
 *	ACTIVE         our log is level: entries are appended, acknowledged, committed, applied
 *
 *	any -> OUTSIDE                 replica_view_changed() without members
 *	any -> GATHERING               replica_view_changed(); VIEW delivered in replica_message()
 *	GATHERING -> PROMISING         the STATE that completes the view is delivered
 *	PROMISING -> ACTIVE            the PROMISE that completes `need` is delivered; we are level
 *	PROMISING -> CATCHING_UP       the same, and we are not
 *	CATCHING_UP -> ACTIVE          replica_persisted() of the batch that switches it in
 *
 * Calls back.  Env functions are called from inside inputs.  They may call replica_message() (a bus
 * that loops back at once), replica_persisted() (a disk that is done at once), replica_submit() and
 * replica_renew(); these are then handled when the env function has returned.  They may ask the
 * queries.  They must call nothing else.
 *
 * What is visible.  replica_tree() is the committed prefix of the log, nothing else: what it shows
 * is on the disks of `need` members (R5 in replica.c), though perhaps not yet on ours. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "cfs/op.h"
#include "cfs/tree.h"

/* Nodes of one cluster. */
#define REPLICA_NODES_MAX 64

/* Changes that wait for their answer on one node, and the bytes in them: above, -EAGAIN. */
#define REPLICA_PENDING_MAX       4096
#define REPLICA_PENDING_BYTES_MAX (64 * 1024 * 1024)

/* Changes of one origin that are sent and not yet applied; the replicated state keeps as many
 * results of each origin, so that every one of them finds its result after a transfer. */
#define REPLICA_IN_FLIGHT_MAX 256

/* The part of the log that the database keeps although its rows contain it: for members that come back. */
#define REPLICA_LOG_ENTRIES_MAX 10000
#define REPLICA_LOG_BYTES_MAX   (16 * 1024 * 1024)

/* How long changes wait for a view that can write. */
#define REPLICA_WAIT_MS 5000

#define REPLICA_HASH_SIZE 32

/* Highest epoch and index.  No cluster gets there by counting: a higher one is damage, and counting on
 * from it would end at zero, on all members. */
#define REPLICA_NUMBER_MAX (UINT64_C(1) << 48)

typedef struct Replica Replica;

typedef enum ReplicaState {
	REPLICA_STATE_OUTSIDE,
	REPLICA_STATE_GATHERING,
	REPLICA_STATE_PROMISING,
	REPLICA_STATE_CATCHING_UP,
	REPLICA_STATE_ACTIVE,
	REPLICA_N_STATES,
} ReplicaState;

const char *replica_state_to_string(ReplicaState state);

/* --- What the database holds ------------------------------------------------------------------ */

/* A file or directory. */
typedef struct ReplicaRow {
	uint64_t inode;
	uint64_t parent;
	uint64_t version;
	uint32_t writer;
	uint32_t mtime_s;
	bool directory;
	char *name;
	GBytes *data; /* NULL for directories; those that are locks have a lease here (tree.h). */
} ReplicaRow;

/* An entry of the log. */
typedef struct ReplicaEntry {
	uint64_t index; /* From 1, without gaps. */
	uint64_t epoch; /* In which it was appended first. */
	uint64_t boot;  /* Of the origin: names one run of its process. */
	uint64_t seq;   /* Of the change, counted by the origin from 1 in each run. */
	uint32_t origin;
	GBytes *op;                      /* Encoded (cfs/op.h). */
	uint8_t hash[REPLICA_HASH_SIZE]; /* Of the log up to here. */
} ReplicaEntry;

/* What has been applied of one origin. */
typedef struct ReplicaOrigin {
	uint32_t node;
	uint64_t boot;
	uint64_t seq;    /* The last change that was applied … */
	GBytes *results; /* … and what it and those before it gave: opaque bytes. */
} ReplicaOrigin;

/* All numbers of which there is one. */
typedef struct ReplicaScalars {
	uint64_t promised; /* No entry of an epoch below this one is accepted any more. */
	uint64_t adopted;  /* The epoch that the log was last level with. */
	uint64_t settled;  /* The last epoch that we have left with nothing doubtful in the log. */
	uint64_t commit;   /* Index of the last entry that the rows contain. */
	uint64_t known;    /* Index of the last entry that was known to be committed; those behind
			    * `commit` are in the log.  A database may keep an older one. */
	uint64_t version;  /* Of the tree (tree_version()). */
	uint8_t commit_hash[REPLICA_HASH_SIZE]; /* Of the log up to commit. */
} ReplicaScalars;

/* One transaction of the database; also its whole content, when a replica is loaded.
 *
 * To be written as one transaction, in this order: if replace, all rows, entries and origins are
 * deleted; entries with an index above log_cut are deleted; if new_origins, all origins are
 * deleted; rows are put (by inode) and removed; entries are put (by index); origins are put (by
 * node); entries with an index below log_first are deleted; all scalars are written.  Doing it
 * twice does no harm.  replica_persisted() may be called with 0 when a reader of the database would
 * find all of it after a crash of the process, and, if sync, also after a loss of power (fsync). */
typedef struct ReplicaBatch {
	bool sync;    /* Others rely on it: it must be on the disk before replica_persisted(). */
	bool replace; /* It is the whole state. */
	bool new_origins; /* The origins in it are all there are. */
	uint64_t log_cut; /* Entries behind it go, for those in this batch; UINT64_MAX: none. */
	ReplicaScalars scalars;
	GPtrArray *rows;    /* Of ReplicaRow, in order of inodes. */
	GArray *removed;    /* Of uint64_t, inodes in order. */
	GPtrArray *entries; /* Of ReplicaEntry, in order of indexes. */
	GPtrArray *origins; /* Of ReplicaOrigin, in order of nodes. */
	uint64_t log_first; /* Index of the oldest entry to keep. */
} ReplicaBatch;

/* An empty batch, which is also what a database that was just made holds. */
ReplicaBatch *replica_batch_new(void);
ReplicaBatch *replica_batch_free(ReplicaBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReplicaBatch, replica_batch_free)

/* Append to a batch that is to be loaded.  All arguments are borrowed for the call: strings are
 * copied, and a reference is taken of GBytes. */
void replica_batch_add_row(ReplicaBatch *batch, uint64_t inode, uint64_t parent, uint64_t version,
	uint32_t writer, uint32_t mtime_s, bool directory, const char *name, GBytes *data);
void replica_batch_add_entry(ReplicaBatch *batch, const ReplicaEntry *entry);
void replica_batch_add_origin(
	ReplicaBatch *batch, uint32_t node, uint64_t boot, uint64_t seq, GBytes *results);

/* --- The world, as the replica sees it -------------------------------------------------------- */

typedef struct ReplicaEnv {
	void *data; /* The implementation's own; handed to each function. */

	/* Monotonic milliseconds. */
	int64_t (*now_ms)(void *data);

	/* Multicasts to the view, ourselves included.  0, or -EAGAIN: the replica keeps the message
	 * and tries again from its next input.  Any other error: the bus is gone, and
	 * replica_view_changed() without members will follow; the message is dropped. */
	int (*send)(void *data, GBytes *message);

	/* Starts to write a batch; replica_persisted() follows.  At most one is under way.  The
	 * batch is the replica's, does not change and stays until replica_persisted(), so that
	 * another thread may read it. */
	void (*persist)(void *data, const ReplicaBatch *batch);

	/* The tree has changed: changes (of TreeChange, borrowed for the call) is what kernels must
	 * forget.  token is the change's own if it was submitted here, else NULL; its answer()
	 * follows at once. */
	void (*applied)(void *data, GPtrArray *changes, void *token);

	/* The outcome of a submitted change, exactly once each: 0 or what tree_apply() gave, then
	 * with the tree just as this change left it; -EROFS, nothing was done; -EIO, the outcome is
	 * unknown.  The token is not used again. */
	void (*answer)(void *data, void *token, int result);

	/* A member has sent what makes no sense (-EBADMSG), or is of a newer format than ours
	 * (-EPROTONOSUPPORT), which stops writing here until it is gone.  It may come often. */
	void (*bad_message)(void *data, uint32_t node, int error);

	/* What replica_status() tells has changed other than by the flow of entries: state, view,
	 * epoch, need, quorum, who is catching up. */
	void (*state_changed)(void *data);
} ReplicaEnv;

/* What corosync says about quorum. */
typedef struct ReplicaQuorum {
	bool quorate;
	bool two_node; /* votequorum's two_node: its word counts only for a majority. */
	const uint32_t *configured; /* Node ids of the nodelist, ascending … */
	unsigned n_configured;
	unsigned n_online; /* … and how many of them are in corosync's membership. */
} ReplicaQuorum;

typedef struct ReplicaOptions {
	uint32_t node;     /* Our node id, not 0. */
	uint64_t boot;     /* Different at each start of the process: random. */
	bool trusted;      /* The operator's word that an empty database has lost nothing that
			       others rely on (replica.c, "Blank members"). */
	TreeLimits limits; /* Beyond them, replica_submit() refuses; each node may have its own. */
	uint32_t log_entries_max; /* Instead of REPLICA_LOG_ENTRIES_MAX; 0: that. */
	uint32_t piece_max; /* Bytes in a piece of a transfer; 0: as many as a message takes. */
	uint32_t list_max;  /* Rows in a list of a transfer; 0: as many as a message takes. */
} ReplicaOptions;

/* --- Life ------------------------------------------------------------------------------------- */

/* Makes a replica from what the database holds; image is borrowed for the call.  env is copied,
 * what it points to must outlive the replica.  The replica is OUTSIDE.  -EUCLEAN with the reason
 * when the database contradicts itself.
 *
 * A node without a cluster is a view of one: replica_quorum_changed() with itself as the only
 * configured node, quorate; replica_view_changed() with itself; a send() that loops back. */
int replica_new(const ReplicaOptions *options, const ReplicaEnv *env, const ReplicaBatch *image,
	Replica **ret, GError **err);

/* Pending changes are not answered. */
Replica *replica_free(Replica *replica);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Replica, replica_free)

/* --- Inputs ----------------------------------------------------------------------------------- */

/* The bus shows another membership: each of its configuration changes, in order with its messages.
 * nodes ascending; with n 0, we have lost the bus or left the group. */
void replica_view_changed(Replica *replica, const uint32_t *nodes, unsigned n_nodes);

/* A message of sender (the bus's word for it), in the bus's order; ours come too.  Bytes that are
 * not a message are ignored, by all members alike.  bytes is borrowed for the call. */
void replica_message(Replica *replica, uint32_t sender, const uint8_t *bytes, size_t size);

/* To be called at the start and whenever any of it changes. */
void replica_quorum_changed(Replica *replica, const ReplicaQuorum *quorum);

/* Asks for a change.  0: answer() will tell, perhaps before this returns; op is taken.  Otherwise
 * nothing happens, there is no answer, op is still the caller's: -EROFS without quorum, -EAGAIN
 * when too many wait, -EINVAL or -ENAMETOOLONG from op_check().  token is not NULL.
 *
 * OP_BARRIER changes nothing: when it is answered with 0, the tree holds everything that had been
 * acknowledged anywhere when it was submitted. */
int replica_submit(Replica *replica, Op *op, void *token);

/* Renews a lock (tree.h), by its token.  0: answer() will tell, with 0 when its holder may count on the
 * full lease again, from the moment of this call; with -ESTALE when it is no lock any more, or has been
 * taken over; with -EROFS or -EIO as for changes.  Otherwise nothing happens and there is no answer: -EROFS,
 * -EAGAIN, or -ESTALE.  Costs messages, but never a write to a disk.  Anybody may renew; what a
 * renewal without a holder does is that others wait. */
int replica_renew(Replica *replica, uint64_t lock, void *token);

/* The batch given to persist() is done: 0, or a negative errno, and then nothing of it is in the
 * database; it is tried again after a while (a full disk).  When it cannot be known what is on the
 * disk, the process must stop instead. */
void replica_persisted(Replica *replica, int result);

/* Asks for the rows to follow the log now: for the end of a process that wants to leave its database
 * easy to read. */
void replica_flush(Replica *replica);

/* To be called when the time of replica_deadline_ms() has come; at other times it does no harm. */
void replica_tick(Replica *replica);

/* --- Queries ---------------------------------------------------------------------------------- */

/* The committed tree.  The pointer is good until the next input. */
const Tree *replica_tree(const Replica *replica);

/* What this node knows of a lock's lease in the epoch. */
typedef struct ReplicaLease {
	int64_t since_ms; /* When it was taken or renewed last as we saw it, or the epoch began here,
			   * whichever is last: a takeover may be submitted when ttl has passed … */
	uint64_t epoch;   /* … and cites these two (OpTakeover). */
	uint64_t renewals;
} ReplicaLease;

/* False while we are not ACTIVE, and when there is no such lock. */
bool replica_lease(const Replica *replica, uint64_t lock, ReplicaLease *ret);

/* 0 when replica_submit() would take a change, or -EROFS. */
int replica_writable(const Replica *replica);

/* When replica_tick() is wanted, in the env's milliseconds; -1: not at all, nothing is under way.
 */
int64_t replica_deadline_ms(const Replica *replica);

typedef struct ReplicaMember {
	uint32_t node;
	uint64_t acknowledged; /* Index up to which its disk is known to hold the log; 0: none yet.
				*/
	bool catching_up;
	bool blank; /* Its database has never held an epoch, or has lost all of them. */
} ReplicaMember;

typedef struct ReplicaCounters {
	uint64_t entries;       /* Applied. */
	uint64_t batches;       /* Given to the disk … */
	uint64_t syncs;         /* … and how many of them with fsync. */
	uint64_t submitted;     /* Changes asked for on this node. */
	uint64_t sent;          /* Messages … */
	uint64_t sent_bytes;    /* … and the bytes in them. */
	uint64_t logs_in;       /* Ends of the log taken over from others … */
	uint64_t logs_out;      /* … and given. */
	uint64_t transfers_in;  /* Differences of trees taken over from others … */
	uint64_t transfers_out; /* … and given. */
	uint64_t epochs;        /* Adopted in this run. */
} ReplicaCounters;

typedef struct ReplicaStatus {
	uint32_t node;
	ReplicaState state;
	uint64_t epoch;     /* Adopted. */
	uint64_t last;      /* Index of the last entry of the log. */
	uint64_t commit;    /* Index of the last entry in the tree. */
	uint64_t first;     /* Index of the first entry that we could give to others … */
	uint64_t log_bytes; /* … and bytes of operations that we keep for that. */
	uint64_t view; /* Number of the view, counted by the member that announced it; 0: none … */
	uint32_t view_node; /* … and who that is. */
	unsigned need;      /* Disks that an entry needs; 0 while no epoch is open. */
	bool quorate;
	bool forgetful; /* There is a majority, but too many of it are blank to be sure that nothing
			   is forgotten. */
	bool reduced;   /* need is smaller than a majority of the configured nodes: the operator's
			 word. */
	uint32_t newer; /* A member that speaks a newer format, for which we write nothing; 0: none.
			 */
	unsigned n_members;
	ReplicaMember members[REPLICA_NODES_MAX]; /* Ascending. */
	unsigned n_pending;                       /* Changes of this node without an answer. */
	ReplicaCounters counters;
} ReplicaStatus;

void replica_status(const Replica *replica, ReplicaStatus *ret);
