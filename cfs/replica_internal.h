/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the replica share; only they, and the checkers of tests/sim, include this.
 *
 *	replica.c           the protocol, life, inputs, the pump, queries
 *	replica_view.c      agreement in a view: who takes part, which log wins, when the epoch opens
 *	replica_log.c       the log: appending, acknowledging, committing, applying
 *	replica_lease.c     renewals of locks, and who may take one over
 *	replica_submit.c    changes of this node: waiting, sending, answering
 *	replica_disk.c      batches for the database, and loading from it
 *	replica_source.c    what the source sends to members that differ
 *	replica_difference.c  how its tree differs from that of one of them
 *	replica_catchup.c   what such a member does with it
 *	replica_switch.c    putting it in the place of what was there
 *
 * An input records what it brings and then runs replica_pump(), which does all that has become
 * possible.  So nothing is sent, written or answered in the middle of a change of state. */

#include "base/macro.h"
#include "cfs/replica.h"
#include "cfs/stream.h"
#include "cfs/wire.h"

/* A full bus is tried again after this. */
#define RESEND_MS 2

/* An origin, whose own disk needs no word, acknowledges with its next change, or after this time. */
#define ACK_RIDE_MS 2

/* Members whose word no origin needs acknowledge when others have not done so in this time … */
#define ACK_PATIENCE_MS 5

/* … and otherwise only to tell how far they are. */
#define ACK_LAZY_MS 1000

/* Rows follow the log when no entry has been committed for this time … */
#define FLUSH_MS 500

/* … or when they have waited for this time, so many entries, or so many bytes in them. */
#define FLUSH_LATEST_MS 10000
#define FLUSH_ENTRIES   1024
#define FLUSH_BYTES     (8 * 1024 * 1024)

/* While the disk takes nothing, the log in memory grows to so many times of what is kept of it
 * otherwise. */
#define LOG_UNWRITTEN_FACTOR 4

/* A batch that failed is tried again after this. */
#define DISK_RETRY_MS 1000

/* The lowest member announces at once; each further one waits this long for those before it. */
#define ANNOUNCE_MS 1000

/* Members that do not tell their state in this time are left behind, if the others can do without. */
#define TELL_MS 2000

/* Bytes of changes in one message, unless one change alone is larger. */
#define OPS_BYTES_MAX (128 * 1024)

/* A member that differs has so long to tell its list before it is another one's turn … */
#define LIST_PATIENCE_MS 2000

/* … and hashes about so many bytes for one. */
#define LIST_HASHED_MAX (256 * 1024)

/* A member that differs hears nothing for so long before it asks all to agree anew … */
#define SILENCE_MS 10000

/* … and waits from the one to the other after what made no sense. */
#define AGAIN_MS_MIN INT64_C(500)
#define AGAIN_MS_MAX 60000

/* Bytes that may wait behind a transfer; above, the view agrees anew. */
#define BEHIND_BYTES_MAX (64 * 1024 * 1024)

/* After a CONFIRM, the next one waits this long; who need not speak first gives the others so long. */
#define CONFIRM_GAP_MS      200
#define CONFIRM_PATIENCE_MS 300

/* Locks that are renewed in one epoch, and may be gone since; above, the view agrees anew. */
#define RENEWED_MAX 65536

/* What every tree can hold at most; must be equal on all nodes, and so is no configuration. */
#define TREE_TOTAL_MAX   (UINT64_C(1024) * 1024 * 1024)
#define TREE_ENTRIES_MAX (UINT64_C(1024) * 1024)

/* --- Log -------------------------------------------------------------------------------------- */

typedef struct LogEntry {
	ReplicaEntry entry;
	Op *op;        /* Decoded; NULL once it is applied. */
	uint32_t size; /* Of the encoded operation. */
} LogEntry;

LogEntry *log_entry_free(LogEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogEntry, log_entry_free)

/* What is applied of one origin; results of its last REPLICA_IN_FLIGHT_MAX changes at
 * seq % REPLICA_IN_FLIGHT_MAX. */
typedef struct Origin {
	uint32_t node;
	uint64_t boot;
	uint64_t seq;
	int16_t results[REPLICA_IN_FLIGHT_MAX];
	bool dirty; /* Differs from the database. */
} Origin;

/* The replicated state: what a batch with `replace` holds, ready for use. */
typedef struct Image {
	Tree *tree;
	GHashTable *origins; /* Node -> Origin, owned. */
	GPtrArray *log;      /* Of LogEntry, without gaps … */
	uint64_t log_first;  /* … from this index. */
	uint64_t log_bytes;  /* Encoded operations in it. */
	uint64_t commit;
	uint8_t commit_hash[REPLICA_HASH_SIZE];
} Image;

/* What a transfer has brought, on its way to the disk: another image, or another end of the log. */
typedef struct Staged {
	Image *image;       /* NULL: the end of the log … */
	GArray *changed;    /* Inodes that differ in it from ours. */
	uint64_t cut;       /* … which behind this index … */
	GPtrArray *entries; /* … is of these LogEntry. */
} Staged;

/* --- View ------------------------------------------------------------------------------------- */

/* A member that takes part in the agreement. */
typedef struct Peer {
	uint32_t node;
	bool told; /* `state` is there. */
	WireState state;
	bool unsure;        /* Was so when it told first. */
	bool voter;         /* Its disk counts: it is one of the configured nodes. */
	bool promised;      /* For the new epoch. */
	bool level;         /* Had the source's log, or has acknowledged since. */
	uint64_t acked;     /* Index up to which its disk holds the log of this epoch. */
	uint64_t confirmed; /* Renewals that it has seen in this epoch. */
} Peer;

/* A change of this node. */
typedef struct Pending {
	uint64_t seq;
	GBytes *bytes; /* Encoded. */
	void *token;
	int64_t since_ms;
	bool under_way; /* Sent in this epoch, or in the log that it began with. */
	bool sent;      /* Sent ever: without an answer, its outcome is unknown. */
} Pending;

/* An input that came from inside an env function. */
typedef struct Event {
	bool persisted; /* Otherwise a message. */
	int result;
	uint32_t sender;
	GBytes *bytes;
} Event;

typedef struct Difference Difference;
typedef struct TransferOut TransferOut;
typedef struct TransferIn TransferIn;

struct Replica {
	ReplicaOptions options;
	ReplicaEnv env;
	ReplicaState state;
	ReplicaCounters counters;

	/* Inputs. */
	bool busy;    /* Inside an input. */
	GQueue inbox; /* Of Event. */
	bool again;   /* Something was asked for from inside. */

	/* The replicated state (replica_log.c). */
	Image *image;
	uint64_t promised;
	uint64_t adopted;
	uint64_t proven;  /* Up to here our log of the epoch can count with others (R14). */
	uint64_t settled; /* The last epoch that we have left with no more than that. */
	bool unsure;      /* We do not know up to where: we have restarted, or lost the bus. */

	/* The database (replica_disk.c). */
	ReplicaBatch *batch;    /* Under way, or waiting to be tried again; NULL: none. */
	bool batch_failed;      /* It waits … */
	int64_t batch_retry_ms; /* … until then. */
	uint64_t batch_last;    /* Index of the last entry in it. */
	uint64_t written;       /* Entries up to this index are on our disk … */
	uint64_t disk_cut;      /* Those behind this one have left our log; UINT64_MAX: none … */
	uint64_t taken_cut;     /* … or the batch removes them. */
	uint64_t written_promised; /* … as is this … */
	uint64_t written_adopted;  /* … and this … */
	uint64_t written_settled;  /* … and this … */
	ReplicaScalars rows;       /* Of the rows on our disk: commit, version, hash. */
	GTree *dirty;              /* Inodes that differ from the database. */
	int64_t dirty_since_ms;    /* -1: none does. */
	int64_t committed_ms;      /* When an entry was applied last. */
	uint64_t dirty_bytes;      /* In entries that the rows do not contain. */
	bool flush;                /* replica_flush(). */
	Staged *staged; /* Belongs to `batch`, which puts it in the place of what is there. */

	/* The bus (replica.c). */
	uint32_t members[REPLICA_NODES_MAX];
	unsigned n_members;
	GQueue outgoing;   /* Of GBytes. */
	int64_t resend_ms; /* The bus was full; -1: it was not. */

	/* What corosync says about quorum. */
	bool quorate;
	bool reduced;
	uint32_t n_online;
	uint32_t configured[REPLICA_NODES_MAX];
	unsigned n_configured;

	/* Agreement (replica_view.c). */
	uint64_t n_announced; /* By us, in this run. */
	bool announcing;      /* Our VIEW is on its way. */
	bool left_out;        /* The others have begun without us. */
	uint32_t newer;       /* A member that speaks a newer format than ours; 0: none. */
	WireView view;        /* counter 0: none yet. */
	Peer peers[REPLICA_NODES_MAX];
	unsigned n_peers;
	int64_t gathering_since_ms;
	bool told_last; /* Our last word is sent, if nothing changes. */
	bool tell;      /* Our state must be told (again). */
	bool hopeless;  /* All have told, and cannot form an epoch … */
	bool forgetful; /* … only because too many of them are blank. */
	uint64_t epoch; /* The one that was decided on in this view. */
	uint32_t source;
	unsigned need;
	unsigned need_memory; /* How many of the promises must be those of members that remember. */
	bool need_reduced;
	uint64_t commit_told; /* Highest commit index that anybody told. */
	bool promise_sent;

	/* Acknowledging (replica_log.c). */
	uint64_t acked; /* What we have said … */
	bool acked_any; /* … if anything, in this epoch. */
	bool ack_under_way;
	uint64_t ack_wanted;  /* Index of the last entry whose origin waits for our word. */
	uint64_t own_last;    /* Index of the last entry of ours. */
	int64_t ack_since_ms; /* Since when we could say more; -1: we cannot. */
	uint64_t known;       /* All know that the log is committed up to here … */
	int64_t known_ms;     /* … since then. */

	/* Changes of this node (replica_submit.c). */
	GQueue pending; /* Of Pending, by seq. */
	uint64_t pending_bytes;
	uint64_t next_seq;
	unsigned n_under_way;
	bool ops_under_way;
	int64_t stalled_since_ms; /* When we left ACTIVE. */

	/* Leases of locks (replica_lease.c). */
	GHashTable *leases;      /* What is known of locks in this epoch, by token. */
	int64_t leases_since_ms; /* When all of them counted as renewed. */
	unsigned n_renewed;      /* Locks among them that were renewed. */
	GQueue renewals;         /* Those that somebody here waits for, oldest first. */
	bool renew_under_way;
	uint64_t renewals_seen;    /* In this epoch, of all locks … */
	uint64_t renewals_foreign; /* … up to the last one that another node has sent. */
	uint64_t confirmed;        /* How many of them we have confirmed … */
	int64_t confirmed_ms;      /* … and when. */
	bool confirm_under_way;
	uint64_t confirm_wanted;   /* Renewals that are not known to be confirmed enough … */
	int64_t confirm_wanted_ms; /* … since then; -1: none. */

	/* Transfer. */
	TransferOut *out; /* We are the source, and others differ (replica_source.c). */
	TransferIn *in;   /* We differ (replica_catchup.c). */
};

/* replica.c */
int64_t replica_now(const Replica *r);
void replica_set_state(Replica *r, ReplicaState next);
void replica_send(Replica *r, const WireMessage *message);
void replica_forget_outgoing(Replica *r);
Peer *replica_peer(const Replica *r, uint32_t node);
uint64_t replica_nth_highest(uint64_t *numbers, unsigned n_numbers, unsigned n);
void replica_bad_message(Replica *r, uint32_t sender, int error);

/* replica_view.c */
void view_leave(Replica *r);
void view_enter(Replica *r, const uint32_t *nodes, unsigned n_nodes);
void view_announce(Replica *r);
void view_go_blind(Replica *r, uint32_t node);
void view_receive_announce(Replica *r, uint32_t sender, const WireMessage *message);
void view_receive_state(Replica *r, Peer *peer, const WireMessage *message);
void view_receive_promise(Replica *r, Peer *peer, const WireMessage *message);
void view_pump(Replica *r);
int64_t view_deadline(const Replica *r);

/* replica_log.c */
Image *image_new(void);
Image *image_free(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)
uint64_t image_last(const Image *image);
const uint8_t *image_last_hash(const Image *image);
LogEntry *image_entry(const Image *image, uint64_t index);
Origin *image_origin(Image *image, uint32_t node);
void image_append(Image *image, LogEntry *entry);
void image_cut(Image *image, uint64_t index);
int log_entry_new(const ReplicaEntry *from, LogEntry **ret);
bool log_follows(const uint8_t *previous, const ReplicaEntry *entry);
void log_hash(const uint8_t *previous, const ReplicaEntry *entry, uint8_t *ret);
void log_append(Replica *r, LogEntry *entry);
void log_cut(Replica *r, uint64_t index);
void log_leave(Replica *r);
void log_commit(Replica *r, uint64_t index);
void log_replay(Replica *r, uint64_t index);
void log_receive_ops(Replica *r, Peer *peer, const WireMessage *message);
void log_receive_ack(Replica *r, Peer *peer, const WireMessage *message);
void log_pump(Replica *r);
int64_t log_deadline(const Replica *r);
void log_release(Replica *r);
void log_acknowledge(Replica *r);
void log_ride(Replica *r, WireMessage *message);
bool log_speaks_first(const Replica *r, uint32_t origin);
uint64_t log_first_to_keep(const Replica *r);

/* replica_lease.c */
GHashTable *lease_table_new(void);
void lease_reset(Replica *r);
void lease_begin(Replica *r);
bool lease_judge(const Replica *r, const Op *op);
void lease_applied(Replica *r, const GPtrArray *changes);
int lease_renew(Replica *r, uint64_t token, void *change_token);
void lease_receive_renew(Replica *r, uint32_t sender, const WireMessage *message);
void lease_receive_confirm(Replica *r, Peer *peer, const WireMessage *message);
void lease_pump(Replica *r);
int64_t lease_deadline(const Replica *r);
void lease_free(Replica *r);

/* replica_submit.c */
int submit_change(Replica *r, Op *op, void *token);
void submit_resume(Replica *r);
void submit_stall(Replica *r);
void submit_applied(Replica *r, uint64_t seq, int result, GPtrArray *changes);
void submit_refused(Replica *r, uint64_t seq, int result);
void submit_pump(Replica *r);
int64_t submit_deadline(const Replica *r);
void submit_free(Replica *r);

/* replica_disk.c */
int image_load(const ReplicaBatch *batch, Image **ret, GError **err);
void disk_row_of(const TreeNode *node, ReplicaRow *ret);
void disk_add_node(ReplicaBatch *batch, const TreeNode *node);
void disk_add_row(ReplicaBatch *batch, const Tree *tree, uint64_t inode);
void disk_add_origins(ReplicaBatch *batch, const Image *image);
void disk_mark(Replica *r, uint64_t inode);
void disk_forget_behind(Replica *r, uint64_t index);
void disk_stage(Replica *r, Staged *staged);
void disk_abandon(Replica *r);
bool disk_replacing(const Replica *r);
void disk_persisted(Replica *r, int result);
void disk_pump(Replica *r);
int64_t disk_deadline(const Replica *r);

/* replica_difference.c */
Difference *difference_new(const Tree *tree);
Difference *difference_free(Difference *difference);
void difference_mark(Difference *difference, uint64_t inode);
uint64_t difference_compared(const Difference *difference);
void difference_set_list(Difference *difference, const WireMessage *message);
bool difference_put_next(Difference *difference, const Tree *tree, GByteArray *out);
void difference_take_rest(
	Difference *difference, const Image *image, uint64_t end, GByteArray *out);
bool difference_put_rest(Difference *difference, GByteArray *out);

/* replica_source.c */
void source_start(Replica *r);
void source_stop(Replica *r);
void source_mark(Replica *r, uint64_t inode);
void source_receive_piece(Replica *r);
void source_receive_list(Replica *r, const Peer *peer, const WireMessage *message);
void source_receive_again(Replica *r, const Peer *peer, const WireMessage *message);
void source_pump(Replica *r);
int64_t source_deadline(const Replica *r);

/* replica_catchup.c */
void catchup_start(Replica *r);
void catchup_stop(Replica *r);
void catchup_queue(Replica *r, LogEntry *entry);
void catchup_append_behind(Replica *r);
void catchup_receive_piece(Replica *r, const WireMessage *message);
void catchup_pump(Replica *r);
int64_t catchup_deadline(const Replica *r);

/* replica_switch.c */
int staged_new_log(const Replica *r, uint64_t common, GPtrArray *entries, Staged **ret);
int staged_new_tree(const Replica *r, GTree *rows, const StreamItem *picture, ReplicaBatch *rest,
	const GQueue *behind, Staged **ret);
Staged *staged_free(Staged *staged);
uint64_t replica_row_digest(const TreeNode *node, uint8_t *ret);
void switch_in(Replica *r, Staged *staged);
