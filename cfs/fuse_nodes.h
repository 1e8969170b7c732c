/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The numbers by which the kernel knows files.
 *
 * The kernel keeps pages and a length for each number, shared by all who have that number open.  So
 * that nobody sees two contents mixed, a number stands for one content of a file: when the content
 * changes, the next one who looks up the name is told another number, and what the kernel keeps under
 * the old one stays whole for those who have it open.
 *
 * Opening for writing lets the kernel change the length by itself (O_TRUNC makes it zero).  So
 * readers with cached pages and writers never share a number: who comes second is refused, which
 * nodes_open() answers with NODE_STALE.  For the error ESTALE the kernel walks the path once more and
 * asks for every name; the thread is recognised then and told a number that suits it.  Where no
 * name is looked up again (a bind mount of the file itself, a descriptor opened anew by way of /proc)
 * the same thread comes back with the same number: it is let in, without cached pages.
 *
 * Threads of foreign process namespaces have no number (0) and are not recognised.  Readers among them
 * are let in without cached pages, and writers are asked to wait until those with cached pages have
 * closed the file, which no others can open any more.  A writer need not wait for ever: at worst a
 * reader finds its file shorter than it is, for the moment in which the writer opens it.
 *
 * A number also stands for one name.  The kernel may still believe in a name that a file had, for as
 * long as it has not been told; and to rename one of two names of one number to the other succeeds
 * within the kernel, without us being asked.  So what has been renamed is told under another number.
 * Nor does a writer get to a file by a name that it has no more: the success of what it does would
 * seem to be about that name.  It is refused, and asks for the name anew.
 *
 * Pure: knows neither tree nor kernel. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

/* The numbers are from here to twice as much. */
#define NODES_FIRST (UINT64_C(1) << 61)

typedef enum NodeUse {
	NODE_USE_FREE,    /* For whoever comes first. */
	NODE_USE_READERS, /* A reader has been sent here: no writers, for good. */
	NODE_USE_WRITERS, /* Opened for writing once: its pages and length are not to be relied on. */
} NodeUse;

/* Read only for others, except `kept`. */
typedef struct Node {
	uint64_t number;
	uint64_t inode; /* Of its file; 0: that is not created yet. */
	GBytes *data;   /* The content it stands for; NULL: none, as its file was made with it. */
	NodeUse use;
	uint64_t n_lookups; /* How often the kernel was told of it. */
	unsigned n_handles; /* Opened by nodes_open() … */
	unsigned n_cached;  /* … with NODE_CACHED. */
	bool kept;          /* The kernel may keep its name or attributes: the caller's to set. */
	bool moved;         /* Told under a name that its file has no more. */
} Node;

typedef struct Nodes Nodes;

Nodes *nodes_new(void);
Nodes *nodes_free(Nodes *nodes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Nodes, nodes_free)

/* NULL: the kernel does not know the number (any more). */
Node *nodes_find(const Nodes *nodes, uint64_t number);

/* The node that a thread is told of that has looked up a file with this content; counted as one
 * look-up. */
Node *nodes_lookup(Nodes *nodes, uint64_t inode, GBytes *data, pid_t thread);

/* A node for a file that is about to be created, counted as one look-up and as opened (NODE_DIRECT);
 * and what its inode has become. */
Node *nodes_create(Nodes *nodes);
void nodes_bind(Nodes *nodes, Node *node, uint64_t inode);

typedef enum NodeOpen {
	NODE_STALE,  /* Refused: to be answered with ESTALE. */
	NODE_BUSY,   /* To be tried again when node->n_cached is 0, or with NODE_WRITES_NOW. */
	NODE_CACHED, /* Reads node->data, which the kernel may keep. */
	NODE_DIRECT, /* Reads and writes the file as it is now; nothing may be kept. */
} NodeOpen;

typedef enum NodeAccess {
	NODE_READS,
	NODE_WRITES,
	NODE_WRITES_NOW, /* Has waited long enough: is not NODE_BUSY. */
} NodeAccess;

/* A thread opens a node; data: the content of its file now, NULL when that is gone.  nodes_close()
 * must follow for NODE_CACHED and NODE_DIRECT. */
NodeOpen nodes_open(Nodes *nodes, Node *node, GBytes *data, NodeAccess access, pid_t thread);
void nodes_close(Nodes *nodes, Node *node, NodeOpen how);

/* A file has got another name. */
void nodes_moved(Nodes *nodes, uint64_t inode);

/* The kernel forgets n look-ups.  A node without look-ups and handles is freed. */
void nodes_forget(Nodes *nodes, uint64_t number, uint64_t n);

/* All nodes of a file, of Node*, borrowed until the next call; NULL: none. */
const GPtrArray *nodes_of(const Nodes *nodes, uint64_t inode);
