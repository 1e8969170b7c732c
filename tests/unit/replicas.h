/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A fixture for tests of replicas, and for what fuzzes them: three of them on a bus and on disks in which
 * the test chooses each step. */

#include "cfs/replica.h"
#include "cfs/wire.h"
#include "tests/unit/test.h"

#define N_NODES    3
#define ALL        7U
#define ANSWER_MAX 512
#define NO_ANSWER  1

struct fixture;

/* One node, as the test drives it. */
struct node {
	struct fixture *f;
	uint32_t id;
	Replica *replica;
	const ReplicaBatch *batch; /* Given to the disk, not done. */
	bool at_once;              /* The disk is done with a batch when it gets it, unless … */
	bool held;                 /* … it does nothing. */
	unsigned n_batches;
	unsigned n_syncs;
	unsigned n_rows;         /* In the largest batch. */
	int answers[ANSWER_MAX]; /* By token - 1. */
	unsigned n_tokens;       /* Given out by new_token(). */
	unsigned n_applied;      /* Calls of applied() … */
	unsigned n_own;          /* … with a token. */
	bool bus_full;
	unsigned n_bad; /* Calls of bad_message() … */
	int bad_error;  /* … and the error of the last. */
	bool stranger;  /* Not trusted before it has adopted an epoch. */
};

struct fixture {
	int64_t now_ms;
	bool small; /* Short logs, small pieces. */
	struct node nodes[N_NODES];
	GQueue bus;       /* Of GBytes, the sender's index in front. */
	unsigned bus_max; /* Messages that it takes; 0: any number. */
};

extern const TreeLimits replicas_limits;

/* Three replicas that are outside; small: with short logs and small pieces of transfers. */
int replicas_set_up(void **state);
int replicas_set_up_small(void **state);
int replicas_tear_down(void **state);

/* Starts a node from image (NULL: an empty disk) … */
void start(struct node *node, uint64_t boot, const ReplicaBatch *image);

/* … or anew with nothing on its disk, and without the operator's word. */
void forget(struct node *node);

int64_t env_now_ms(void *data);

void tell_quorum(
	struct node *node, unsigned n_configured, unsigned n_online, bool quorate, bool two_node);

/* Nodes of the mask know that they share the bus; what is on it is lost, or stays. */
void set_view(struct fixture *f, unsigned mask);
void show_view(struct fixture *f, unsigned mask);

/* Delivers one message to the nodes of the mask; false when there is none. */
bool deliver(struct fixture *f, unsigned mask);

/* The type of the message that comes next; WIRE_INVALID: there is none. */
WireType next_type(const struct fixture *f);

/* Delivers until the bus is silent, or up to the first message of a type, which stays. */
void deliver_until(struct fixture *f, unsigned mask, WireType stop);

/* The disk is done with its batch; false: it has none. */
bool finish_disk(struct node *node, int result);

/* The disk does nothing from now on, and goes on. */
void hold(struct node *node);
void let_go(struct node *node);

/* The word of an origin itself is on the bus by then. */
#define RIDE_MS 2

/* Lets the nodes of the mask go on, without a clock, until nothing is under way; the disks of the
 * second mask are done with nothing. */
void settle_without(struct fixture *f, unsigned mask, unsigned stuck);
void settle(struct fixture *f, unsigned mask);

/* Lets time pass, and then the nodes go on, or only their clocks. */
void pass(struct fixture *f, unsigned mask, int64_t ms);
void pass_clock(struct fixture *f, unsigned mask, int64_t ms);

/* The next token of a node, whose answer is then the last. */
void *new_token(struct node *node);
int last_answer(const struct node *node);

/* Asks for a new file; its answer will be at token - 1. */
int submit(struct node *node, unsigned token, const char *path);

/* Makes files f<first> and so on from the first node, with the nodes of the mask. */
void create_files(struct fixture *f, unsigned mask, unsigned first, unsigned n);

ReplicaStatus status(const struct node *node);
bool has(const struct node *node, const char *path);
void assert_same_trees(const struct node *a, const struct node *b);

/* The agreement that the messages on the bus are of. */
WireView current_view(struct fixture *f);
