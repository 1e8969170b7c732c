/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A simulated cluster of replicas: the production code on a bus, disks and clocks made of one seed.
 *
 *	sim.c            time, events, the env of a replica, one run
 *	sim_node.c       processes that start, die at any call, stand still; the power of nodes
 *	sim_bus.c        CPG: total order within a ring, partitions, what is lost with them
 *	sim_quorum.c     the nodelist and votequorum, the operator's word
 *	sim_disk.c       databases that lose what was not synced
 *	sim_client.c     clients that change the tree, and what they were told
 *	sim_lock.c       clients that want locks
 *	sim_fault.c      the schedule of injuries, and healing
 *	check_*.c        what must hold, a promise a file
 *	cfs_main.c       runs seeds
 *
 * Everything happens at a time of the simulated clock; events of the same time come in the order in
 * which they were made.  Nothing else decides anything, so a seed gives the same run everywhere. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "base/macro.h"
#include "cfs/replica.h"

#define SIM_NODES_MAX 5

/* Locks that clients contend for. */
#define SIM_LOCKS 2

typedef struct Sim Sim;
typedef struct SimNode SimNode;

typedef enum SimEventType {
	/* They happen to the world, whatever becomes of processes. */
	SIM_EVENT_FAULT,     /* Something breaks, or is repaired, and the next fault is planned. */
	SIM_EVENT_SHOCK,     /* The same, at a moment that somebody has chosen. */
	SIM_EVENT_SPRING,    /* A trap is sprung (fault_spring()). */
	SIM_EVENT_SEVER,     /* A deaf node is cut off (fault_sever()). */
	SIM_EVENT_MEND,      /* All find together again, if nothing else has happened. */
	SIM_EVENT_RINGS,     /* corosync finds that the network has changed. */
	SIM_EVENT_ORDER,     /* The bus takes the next message that a node has sent. */
	SIM_EVENT_ARRIVE,    /* A node's corosync takes the next item from the bus. */
	SIM_EVENT_BUS_WAKE,  /* A corosync that stood still goes on where it was … */
	SIM_EVENT_BUS_SEES,  /* … and finds that the others have gone on without it. */
	SIM_EVENT_BUS_START, /* A corosync that was stopped starts. */
	SIM_EVENT_START,     /* A process that is down starts, and its node if it must. */
	SIM_EVENT_RESUME,    /* A paused process goes on. */
	SIM_EVENT_SETTLE,    /* The operator has had enough of what he did. */

	/* They happen to a process: later if it is paused, not at all once it has died. */
	SIM_EVENT_DISPATCH, /* It takes what has arrived. */
	SIM_EVENT_LOST,     /* It learns that its corosync is gone. */
	SIM_EVENT_JOIN,     /* It joins the group. */
	SIM_EVENT_DISK,     /* Its batch is done. */
	SIM_EVENT_TICK,     /* replica_tick(). */
	SIM_EVENT_QUORUM,   /* corosync tells it about quorum. */
	SIM_EVENT_BURST,    /* A client asks for some changes at once … */
	SIM_EVENT_ASK,      /* … or for one. */
	SIM_EVENT_CLIENT,   /* One of its clients does something. */
} SimEventType;

#define SIM_EVENT_OF_PROCESS(type) ((type) >= SIM_EVENT_DISPATCH)

typedef struct SimEvent {
	int64_t at_ms;
	uint64_t number; /* Of events made: orders those of the same time. */
	SimEventType type;
	unsigned node;
	unsigned run; /* Of the node's process. */
} SimEvent;

/* Kinds of injuries, as they are counted. */
typedef enum SimFault {
	SIM_FAULT_PARTITION,
	SIM_FAULT_MERGE,
	SIM_FAULT_AMBUSH,
	SIM_FAULT_DUEL,
	SIM_FAULT_FREEZE,
	SIM_FAULT_HOLE,
	SIM_FAULT_KILL,
	SIM_FAULT_KILL_AT_CALL,
	SIM_FAULT_POWER,
	SIM_FAULT_BLACKOUT,
	SIM_FAULT_PAUSE,
	SIM_FAULT_SLOW_NODE,
	SIM_FAULT_BUS_RESTART,
	SIM_FAULT_BUS_STALL,
	SIM_FAULT_BUS_FULL,
	SIM_FAULT_DISK_SLOW,
	SIM_FAULT_DISK_FAILS,
	SIM_FAULT_DISK_LOST,
	SIM_FAULT_NODELIST,
	SIM_FAULT_EXPECTED,
	SIM_N_FAULTS,
} SimFault;

/* The content of a database. */
typedef struct SimDatabase {
	GTree *rows;    /* Inode -> ReplicaRow. */
	GTree *entries; /* Index -> ReplicaEntry. */
	GTree *origins; /* Node -> ReplicaOrigin. */
	ReplicaScalars scalars;
	uint64_t log_first;
} SimDatabase;

typedef struct SimDisk {
	SimDatabase *durable;      /* What a loss of power leaves. */
	GPtrArray *unsynced;       /* Of ReplicaBatch: written behind it, in order. */
	const ReplicaBatch *batch; /* Under way; the replica's. */
	bool slow;
	int error;              /* What batches fail with; 0: they do not. */
	SimDatabase *forgotten; /* Of the disk in whose place this one is; NULL: none. */
} SimDisk;

/* What a node takes from the bus. */
typedef struct SimItem {
	uint64_t position; /* In the order of all rings; the cut of a partition goes by this. */
	uint32_t sender;   /* Of a message … */
	GBytes *bytes;     /* … with these bytes; NULL: a change of membership … */
	bool late;         /* Ordered while the network was broken. */
	unsigned n_nodes;  /* … to these nodes. */
	uint32_t nodes[SIM_NODES_MAX];
} SimItem;

/* What a client on a node believes of a lock. */
typedef struct SimLock {
	uint64_t token;   /* 0: he has given it up. */
	int64_t until_ms; /* When he stops believing. */
} SimLock;

struct SimNode {
	Sim *sim;
	unsigned index;
	uint32_t id; /* index + 1. */
	bool powered;

	/* Its process. */
	Replica *replica;    /* NULL: it does not run. */
	unsigned run;        /* The how-many-eth. */
	uint64_t boot;       /* Of this run. */
	int64_t clock_ms;    /* What its clock is ahead of the simulated one. */
	bool paused;         /* It stands still; the bus does not know. */
	GQueue held;         /* Of SimEvent, for when it goes on. */
	bool slow;           /* It is late to take what has arrived. */
	unsigned calls_left; /* Calls of its env until it dies; 0: it is not to die so. */
	bool dying;          /* It has made its last call. */
	bool doomed;         /* It dies when it learns of another membership, to be back at once. */
	int64_t tick_ms;     /* When the next tick is due; -1: none. */

	SimDisk disk;

	/* Its corosync (sim_bus.c). */
	bool bus;          /* It runs. */
	bool joined;       /* The process is in the group. */
	bool lost;         /* The process has yet to learn that its corosync was gone. */
	bool stalled;      /* It stands still … */
	bool behind;       /* … or has, and does not know yet that it is alone. */
	bool full;         /* It seldom takes a message. */
	bool cut;          /* The network has changed, the ring has not yet. */
	bool token;        /* It had the token when that happened. */
	bool deaf;         /* Nothing arrives until the next ring; what it says waits. */
	unsigned cell;     /* Nodes in one cell of the network hear each other. */
	uint64_t ring;     /* Number of its ring; 0: none … */
	unsigned members;  /* … and bits of the nodes in it. */
	GQueue sent;       /* Of GBytes, not yet in the order. */
	GQueue items;      /* Of SimItem, in the order, and not arrived. */
	GQueue arrived;    /* Of SimItem, not yet taken by the process. */
	uint64_t position; /* Of the last item that has arrived. */

	unsigned n_open;       /* Changes of this run without an answer … */
	uint64_t n_submitted;  /* … and all: the numbers that the replica gives. */
	uint64_t seen_commit;  /* In this run. */
	uint64_t seen_version; /* In this run. */

	SimLock locks[SIM_LOCKS]; /* Of its clients, whatever becomes of the process. */
};

/* What a client asked for, and what became of it. */
typedef struct SimRequest {
	Op *op;         /* NULL: a renewal … */
	unsigned lock;  /* … of this lock … */
	uint64_t token; /* … by its token. */
	int64_t asked_ms;
	unsigned node;
	uint64_t boot;
	uint64_t seq;
	bool answered;
	int result;
	uint64_t acknowledged; /* Highest index acknowledged anywhere when this was submitted. */
	uint64_t shown;        /* Index up to which the node's tree went when it was answered. */
	uint64_t index;        /* In the history; 0: not there. */
	int model_result;      /* What it gives there. */
} SimRequest;

typedef struct SimFigures {
	uint64_t simulated_ms;
	uint64_t acknowledged; /* Changes with result 0 … */
	uint64_t refused;      /* … with another result of the tree … */
	uint64_t read_only;    /* … with EROFS … */
	uint64_t unknown;      /* … with EIO. */
	uint64_t barriers;     /* Reads behind one that were compared. */
	uint64_t repeated;     /* Entries of which the log held a copy. */
	uint64_t logs;         /* Ends of logs … */
	uint64_t trees;        /* … and trees that went from one to another. */
	uint64_t epochs;
	uint64_t messages;
	uint64_t failed_batches;
	uint64_t locks;     /* Taken, … */
	uint64_t renewals;  /* … renewed, … */
	uint64_t takeovers; /* … tried to be taken over. */
	uint64_t faults[SIM_N_FAULTS];
} SimFigures;

/* How a run is, drawn for each, so that each is extreme in its own way. */
typedef struct SimCharacter {
	uint64_t n_faults;        /* How often something breaks or is repaired. */
	uint64_t fault_ms_max;    /* Between two faults. */
	uint64_t shock_once_in;   /* So many dangerous moments, there is a shock. */
	uint64_t peace_ms_max;    /* Without a shock behind a fault. */
	uint64_t client_ms_max;   /* Between two actions of a client. */
	uint64_t client_depth;    /* Changes under way on one node. */
	uint64_t deliver_ms_max;  /* From a message's place in the order to its delivery. */
	uint64_t disk_ms_max;     /* One batch, on a disk that is not slow. */
	uint64_t detect_ms_max;   /* Until corosync finds a change of the network. */
	bool strangers;           /* No node is trusted before it has adopted an epoch. */
	uint32_t log_entries_max; /* Kept by each node; 0: as many as ever. */
	uint32_t piece_max;       /* Bytes in a piece of a transfer; 0: as many as ever. */
	uint32_t list_max;        /* Rows in a list of a transfer; 0: as many as ever. */
	unsigned faults;          /* Bits of the kinds that occur. */
	bool lonely;              /* One node stays away while the others heal. */
} SimCharacter;

struct Sim {
	uint64_t seed;
	uint64_t random;
	int64_t now_ms;
	uint64_t n_events;
	GArray *events; /* Of SimEvent, a heap. */
	uint64_t trace; /* A hash of all that happened. */
	bool verbose;
	bool healing;     /* Nothing breaks any more. */
	int64_t peace_ms; /* No shock until then. */
	int64_t truce_ms; /* Nothing breaks until all are level, which must be by then; 0: it may. */
	bool quiet;       /* Clients are done. */
	SimCharacter character;

	unsigned n_nodes; /* That there are; … */
	SimNode nodes[SIM_NODES_MAX];
	unsigned configured; /* … bits of those in the nodelist … */
	unsigned before; /* … and in the one before it, until all have agreed on the new one. */
	unsigned word;   /* Bits of the nodes that are all the operator expects; 0: all. */
	unsigned
		word_need; /* Disks that the operator was content with, until all are level again. */
	unsigned away;     /* Bits of the nodes that do not come back yet. */
	uint64_t position; /* Of the last item of any ring. */
	uint64_t n_rings;  /* Ever formed. */

	unsigned eager; /* So many times more clients are eager, as something has happened … */
	unsigned busy;  /* … on these nodes. */
	unsigned
		duel; /* Bit of the node that is to lose the others with its next change; 0: none. */
	unsigned hole; /* Bit of the node that is to miss what follows its next change; 0: none. */
	uint64_t reunion_history; /* All meet again when the history is so long, … */
	int64_t reunion_ms;       /* … or at this time. */
	GPtrArray *requests;      /* Of SimRequest. */
	GPtrArray *answered;      /* Of SimRequest, in this step; borrowed. */
	GHashTable *by_change;    /* Set of SimRequest by (node, boot, seq), borrowed. */
	uint64_t acknowledged;    /* Highest index acknowledged to any client. */

	/* The one history, in the order of indexes (check_history.c). */
	GArray *history; /* Of SimCommitted. */
	Tree *model;     /* The history, applied. */

	SimFigures figures;
};

/* Runs a seed; the trace is the same for the same seed.  Ends the program when a check fails. */
uint64_t sim_run(uint64_t seed, bool verbose, SimFigures *total);

/* Says which promise is broken and with which seed, and ends the program. */
void sim_fail(const Sim *sim, const char *checker, const char *format, ...)
	G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN;

/* One line of what happens, for --trace. */
void sim_log(const Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Adds to the hash of all that happened. */
void sim_trace(Sim *sim, uint64_t value);

/* A number below limit; true once in so many times. */
uint64_t sim_random(Sim *sim, uint64_t limit);
bool sim_once_in(Sim *sim, uint64_t times);
uint64_t sim_random_u64(Sim *sim);

void sim_schedule(Sim *sim, SimEventType type, unsigned node, int64_t delay_ms);

/* The env with which a node's process runs. */
ReplicaEnv sim_env(SimNode *node);

unsigned sim_count(unsigned bits);

/* --- sim_node.c: processes and power ---------------------------------------------------------- */

/* A node's process starts from its disk, or ends; without power, unsynced data may go, too. */
void node_start(SimNode *node);
void node_stop(SimNode *node, bool power);

/* Stops it, to be started again soon. */
void node_crash(SimNode *node, bool power);

void node_pause(SimNode *node);
void node_resume(SimNode *node);

/* Something happens to its process, or will when it goes on. */
void node_event(SimNode *node, const SimEvent *event);

/* Sees to it that the replica's deadline is met, and that who has made its last call is dead. */
void node_after_step(SimNode *node);

/* The process makes a call of its env: whether it still comes to that. */
bool node_calls(SimNode *node);

/* --- sim_bus.c -------------------------------------------------------------------------------- */
void bus_init(SimNode *node);
void bus_clear(SimNode *node);
int bus_send(SimNode *node, GBytes *bytes);
void bus_order(SimNode *node);

/* All that is on its way to a node arrives at once. */
void bus_hurry(SimNode *node);
void bus_arrive(SimNode *node);

/* A deaf node hears again. */
void bus_hear(SimNode *node);
void bus_dispatch(SimNode *node);
void bus_join(SimNode *node);
void bus_leave(SimNode *node);

/* A node's corosync starts or stops; the rest learns of it when it notices. */
void bus_start(SimNode *node);
void bus_stop(SimNode *node);

/* A corosync stands still, with the token; then it goes on alone for a moment. */
void bus_stall(SimNode *node);
void bus_wake(SimNode *node);
void bus_see(SimNode *node);

/* The network has changed; after a while, rings follow. */
void bus_network_changed(Sim *sim);
void bus_form_rings(Sim *sim);

/* --- sim_quorum.c ----------------------------------------------------------------------------- */
void quorum_tell(SimNode *node);
void quorum_tell_all(Sim *sim);

/* Adds or removes one node; the operator expects no more than the nodes that run.  False when this
 * is not the time. */
bool quorum_change_nodelist(Sim *sim);
bool quorum_lower_expected(Sim *sim);

/* Ends the time of lowered expectations: the others come back. */
void quorum_settle(Sim *sim);

/* Whether all nodes of the nodelist are together and level. */
bool quorum_is_calm(const Sim *sim);

/* Disks that must hold what is committed, and bits of the nodes whose disks count. */
unsigned quorum_need(const Sim *sim, unsigned *ret_nodes);

/* --- sim_disk.c ------------------------------------------------------------------------------- */
void sim_disk_init(SimDisk *disk);
void sim_disk_clear(SimDisk *disk);
void sim_disk_start(SimNode *node, const ReplicaBatch *batch);
void sim_disk_done(SimNode *node);
void sim_disk_crash(SimNode *node, bool power);

/* Another disk, with nothing on it, takes the place of this one. */
void sim_disk_lose(SimDisk *disk);

/* Whether what is on it never belonged to an epoch. */
bool sim_disk_is_blank(const SimDisk *disk);
ReplicaBatch *sim_disk_read(SimDisk *disk);

/* --- sim_client.c ----------------------------------------------------------------------------- */
void client_init(Sim *sim);
void client_clear(Sim *sim);
void client_step(SimNode *node);

/* Something has happened: this is the time for changes. */
void client_excite(Sim *sim);

/* A client asks for some changes at once, and all others are silent. */
void client_burst(SimNode *node);
void client_ask(SimNode *node);
void client_answer(SimNode *node, SimRequest *request, int result);
SimRequest *client_find(Sim *sim, uint32_t id, uint64_t boot, uint64_t seq);

/* --- sim_lock.c ------------------------------------------------------------------------------- */

/* What a client of a lock asks for now; NULL: nothing. */
Op *lock_make_op(SimNode *node);
void lock_renew(SimNode *node);

void lock_renewed(SimNode *node, const SimRequest *request, int result);
void lock_answered(SimNode *node, const SimRequest *request);

/* --- sim_fault.c ------------------------------------------------------------------------------ */
void fault_step(Sim *sim);

/* Something happens to a node that has come to a dangerous moment, or to those around it. */
void fault_shock(SimNode *node);
void fault_heal(Sim *sim, unsigned nodes);

/* A process has come to where trouble is most likely to do harm. */
void fault_provoke(SimNode *node);

/* A message of the node has got its place in the order, and has not arrived anywhere. */
void fault_ambush(SimNode *sender, GBytes *message);
void fault_spring(SimNode *survivor);
void fault_sever(SimNode *deaf);
void fault_mend(SimNode *node);

const char *sim_fault_to_string(SimFault fault);

/* --- check_history.c: committed prefixes agree, trees are what the history made ------------------ */

typedef struct SimCommitted {
	uint8_t hash[REPLICA_HASH_SIZE];
	uint64_t digest; /* Of the tree up to here. */
} SimCommitted;

void check_history_init(Sim *sim);
void check_history_clear(Sim *sim);
void check_history(SimNode *node);

/* Of a tree without the content of its files: check_end() compares that. */
uint64_t check_quick_digest(const Tree *tree);

/* --- check_transaction.c: conditions hold, and what fails leaves nothing -------------------------- */

/* What the condition of a change must answer, where the model is now: 0 or a negative errno. */
int check_before_change(const Sim *sim, const Op *op);

/* What came of it; before: check_quick_digest() of the model before. */
void check_after_change(const Sim *sim, const Op *op, int expected, int result, uint64_t before);
const SimCommitted *check_committed(const Sim *sim, uint64_t index);

/* --- check_disks.c: nothing is committed without `need` disks ------------------------------------ */
void check_disks(const SimNode *node, uint64_t index, const uint8_t *hash);

/* Whether a disk holds the whole history. */
bool check_disk_is_level(const Sim *sim, const SimDisk *disk);

/* --- check_answers.c: what clients are told is true ---------------------------------------------- */
void check_answer(Sim *sim, const SimRequest *request);

/* --- check_reads.c: reads go only forward, and behind a barrier show all that was acknowledged -- */
void check_reads(SimNode *node);
void check_barrier(Sim *sim, const SimRequest *request);

/* --- check_locks.c: no two hold one lock --------------------------------------------------------- */

/* Whether a client on the node believes that he has the lock. */
bool check_believes(const SimNode *node, unsigned lock);

/* Whether nobody is held to what he believes, for the operator answers for it; all believe nothing then. */
bool check_is_excused(Sim *sim);

/* To be called when a client on the node begins to believe, or goes on. */
void check_locks(const SimNode *node, unsigned lock);

/* --- check_end.c: all becomes well ---------------------------------------------------------------- */
bool check_is_well(const Sim *sim, unsigned nodes);
void check_end(Sim *sim, unsigned nodes);
