/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The cluster log: the last messages of all nodes, the same list on each of them.
 *
 * In memory only.  Each node keeps the newest CLUSTERLOG_MAX entries that it knows, by an order
 * that is the same everywhere; what a node adds is multicast, and members that meet tell each other
 * what they have.  An entry is known by where it comes from, so that it is in the list once however
 * often it is told.  Pure. */

#include <stdint.h>

#include <glib.h>

#include "cfs/beside.h"

#define CLUSTERLOG_MAX 50

/* Bytes in each of user and tag, and in a message. */
#define CLUSTERLOG_NAME_MAX    63
#define CLUSTERLOG_MESSAGE_MAX 2048

typedef struct ClusterLogEntry {
	uint32_t node; /* Identity: the node, the run of its process, and the how-many-eth of it. */
	uint64_t boot;
	uint32_t number;
	uint64_t time_s;  /* UTC, by the node's clock. */
	uint8_t priority; /* As in syslog: 0 (emergency) to 7 (debug). */
	uint32_t pid;
	const char *host; /* Name of the node. */
	const char *user;
	const char *tag; /* What part of the software speaks. */
	const char *message;
} ClusterLogEntry;

typedef struct ClusterLog ClusterLog;

typedef struct ClusterLogOptions {
	BesideEnv env;
	uint32_t node; /* Ours. */
	uint64_t boot; /* Different in each run of the process: random. */

	/* An entry is new here.  May not change the log. */
	void (*added)(void *data);
	void *data; /* Given to added. */
} ClusterLogOptions;

ClusterLog *clusterlog_new(const ClusterLogOptions *options);
ClusterLog *clusterlog_free(ClusterLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClusterLog, clusterlog_free)

/* Adds a message of this node; its identity is filled in, the rest is copied.  -EINVAL: a priority
 * that does not exist, or a text with control characters or not UTF-8; -EMSGSIZE: a text is too
 * long. */
int clusterlog_write(ClusterLog *log, const ClusterLogEntry *entry);

/* Calls visit for each entry, the newest first, until it returns false. */
void clusterlog_each(
	const ClusterLog *log, bool (*visit)(const ClusterLogEntry *entry, void *data), void *data);

/* The bus has other members (ascending); none: we have lost it. */
void clusterlog_view_changed(ClusterLog *log, const uint32_t *nodes, unsigned n_nodes);

/* A message of type BESIDE_LOG.  -EBADMSG when it is none; then it is ignored. */
int clusterlog_message(ClusterLog *log, const uint8_t *bytes, size_t size);

/* The bus has room again. */
void clusterlog_flush(ClusterLog *log);
