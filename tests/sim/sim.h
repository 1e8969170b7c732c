/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A simulated cluster of replicas: the production code on a bus, disks and a clock made of one seed.
 *
 *	sim.c         time, events, nodes that start, stop, pause; the env of a replica
 *	sim_bus.c     CPG: total order within a membership, partitions, messages lost with them
 *	sim_disk.c    a database that loses what was not synced
 *	sim_client.c  clients that change the tree, and what they were told
 *	sim_check.c   what must hold after every step, and at the end
 *	sim_fault.c   the schedule of injuries, and healing
 *	cfs_main.c    runs seeds
 *
 * Everything happens at a time of the simulated clock; events of the same time come in the order in
 * which they were made.  Nothing else decides anything, so a seed gives the same run everywhere. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "base/macro.h"
#include "cfs/replica.h"

#define SIM_NODES_MAX 5

typedef struct Sim Sim;
typedef struct SimNode SimNode;

typedef enum SimEventType {
	SIM_EVENT_ORDER,   /* The bus takes the next message that a node has sent. */
	SIM_EVENT_DELIVER, /* A node takes the next item from the bus. */
	SIM_EVENT_DISK,    /* A batch is done. */
	SIM_EVENT_TICK,    /* replica_tick(). */
	SIM_EVENT_QUORUM,  /* corosync tells a node about quorum. */
	SIM_EVENT_CLIENT,  /* A client on a node does something. */
	SIM_EVENT_FAULT,   /* Something breaks, or is repaired, and the next fault is planned. */
	SIM_EVENT_SHOCK,   /* The same, at a moment that somebody has chosen. */
	SIM_EVENT_RESUME,  /* A paused process goes on. */
	SIM_EVENT_START,   /* A node that is down starts. */
} SimEventType;

typedef struct SimEvent {
	int64_t at_ms;
	uint64_t number; /* Of events made: orders those of the same time. */
	SimEventType type;
	unsigned node;
	unsigned run; /* Of the node: what belongs to a process that is gone does not happen. */
} SimEvent;

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
	bool full;
	bool lost; /* Once, with all that was on it. */
} SimDisk;

/* What a node takes from the bus. */
typedef struct SimItem {
	uint64_t position; /* In the order of all buses; the cut of a partition goes by this. */
	uint32_t sender;   /* Of a message … */
	GBytes *bytes;     /* … with these bytes; NULL: a change of membership … */
	unsigned n_nodes;  /* … to these nodes. */
	uint32_t nodes[SIM_NODES_MAX];
} SimItem;

struct SimNode {
	Sim *sim;
	unsigned index;
	uint32_t id;      /* index + 1. */
	bool powered;     /* Its corosync runs. */
	bool paused;      /* Its process stands still; the bus does not know. */
	unsigned run;     /* How many-eth of its process. */
	uint64_t boot;    /* Of this run. */
	Replica *replica; /* NULL: its process does not run. */
	SimDisk disk;

	unsigned cell;      /* Nodes in one cell of the network hear each other. */
	unsigned ring;      /* Bits of the nodes in its corosync membership; 0: not powered. */
	GQueue sent;        /* Of GBytes, not yet in the bus's order. */
	GQueue items;       /* Of SimItem, not yet delivered. */
	uint64_t delivered; /* Position of the last delivered item. */
	int64_t tick_ms;    /* When the next tick is due; -1: none. */

	unsigned n_open;       /* Changes of this run without an answer … */
	uint64_t n_submitted;  /* … and all: the numbers that the replica gives. */
	uint64_t seen_commit;  /* In this run. */
	uint64_t seen_version; /* In this run. */
};

/* What a client asked for, and what became of it. */
typedef struct SimRequest {
	Op *op;
	unsigned node;
	uint64_t boot;
	uint64_t seq;
	bool answered;
	int result;
	uint64_t acknowledged; /* Highest index acknowledged anywhere when this was submitted. */
	uint64_t index;        /* In the history; 0: not there. */
	int model_result;      /* What it gives there. */
} SimRequest;

typedef struct SimFigures {
	uint64_t acknowledged; /* Changes with result 0 … */
	uint64_t refused;      /* … with another result of the tree … */
	uint64_t read_only;    /* … with EROFS … */
	uint64_t unknown;      /* … with EIO. */
	uint64_t partitions;
	uint64_t crashes;
	uint64_t pauses;
	uint64_t disk_faults;
	uint64_t disks_lost;
	uint64_t transfers;
	uint64_t epochs;
	uint64_t messages;
} SimFigures;

struct Sim {
	uint64_t seed;
	uint64_t random;
	int64_t now_ms;
	uint64_t n_events;
	GSequence *events; /* Of SimEvent. */
	uint64_t trace;    /* A hash of all that happened. */
	bool verbose;
	bool healing;      /* Nothing breaks any more. */
	bool quiet;        /* Clients are done. */
	uint64_t position; /* Of the last item of any bus. */

	/* Drawn for each run, so that each is extreme in its own way. */
	uint64_t fault_ms_max;   /* Between two faults. */
	uint64_t shock_once_in;  /* So many changes of state of a replica, there is a shock. */
	uint64_t client_ms_max;  /* Between two actions of a client. */
	bool strangers;          /* No node is trusted before it has adopted an epoch. */
	uint64_t client_depth;   /* Changes under way on one node. */
	uint64_t deliver_ms_max; /* From a message's place in the order to its delivery. */
	uint64_t disk_ms_max;    /* One batch, on a disk that is not slow. */

	unsigned n_nodes;
	SimNode nodes[SIM_NODES_MAX];

	GPtrArray *requests;   /* Of SimRequest. */
	GPtrArray *answered;   /* Of SimRequest, in this step; borrowed. */
	GHashTable *by_change; /* "node boot seq" -> SimRequest, borrowed. */
	uint64_t acknowledged; /* Highest index acknowledged to any client. */

	/* The one history, in the order of indexes (sim_check.c). */
	GArray *history; /* Of SimCommitted. */
	Tree *model;     /* The history, applied. */

	SimFigures figures;
};

/* Runs a seed; the trace is the same for the same seed.  Aborts with the seed when a check fails. */
uint64_t sim_run(uint64_t seed, bool verbose, SimFigures *total);

/* Says what is wrong and with which seed, and ends the program. */
void sim_fail(const Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;

/* One line of what happens, with --verbose. */
void sim_log(const Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);

void sim_trace(Sim *sim, uint64_t value);

/* A number below limit; true once in so many times. */
uint64_t sim_random(Sim *sim, uint64_t limit);
bool sim_once_in(Sim *sim, uint64_t times);

void sim_schedule(Sim *sim, SimEventType type, unsigned node, int64_t delay_ms);

/* A node's process starts from its disk, or ends; with a loss of power, unsynced data may go. */
void sim_node_start(SimNode *node);
void sim_node_stop(SimNode *node, bool power);

/* --- sim_bus.c -------------------------------------------------------------------------------- */
int bus_send(SimNode *node, GBytes *bytes);
void bus_order(SimNode *node);
void bus_deliver(SimNode *node);
void bus_join(SimNode *node);
void bus_leave(SimNode *node);
void bus_reform(Sim *sim);
void bus_clear(SimNode *node);
void bus_tell_quorum(SimNode *node);

/* --- sim_disk.c ------------------------------------------------------------------------------- */
void sim_disk_init(SimDisk *disk);
void sim_disk_clear(SimDisk *disk);
void sim_disk_start(SimNode *node, const ReplicaBatch *batch);
void sim_disk_done(SimNode *node);
void sim_disk_crash(SimNode *node, bool power);
void sim_disk_lose(SimDisk *disk);
ReplicaBatch *sim_disk_read(SimDisk *disk);

/* --- sim_client.c ----------------------------------------------------------------------------- */
void client_step(SimNode *node);
void client_answer(SimNode *node, SimRequest *request, int result);
SimRequest *client_find(Sim *sim, uint32_t id, uint64_t boot, uint64_t seq);
void request_free(void *data);

/* --- sim_check.c ------------------------------------------------------------------------------ */
void check_init(Sim *sim);
void check_clear(Sim *sim);
void check_step(Sim *sim);
bool check_is_healed(Sim *sim);
void check_end(Sim *sim);

/* --- sim_fault.c ------------------------------------------------------------------------------ */
void fault_step(Sim *sim);
void fault_heal(Sim *sim);

/* A replica has come to where trouble is most likely to do harm. */
void fault_provoke(SimNode *node);
