/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The store of a node: puts the replica together with the database, the bus and the file system,
 * and runs them on the thread's default main context. */

#include <stdbool.h>

#include <glib.h>

#include "cfs/tree.h"

typedef struct Service Service;

typedef struct ServiceOptions {
	const char *mountpoint; /* Borrowed for the call, like the rest. */
	const char *database;
	const char *socket; /* Where clients connect; NULL: nowhere. */
	bool standalone;    /* A cluster of one, whatever corosync says. */
	TreeLimits limits;

	/* The file system is mounted. */
	void (*ready)(void *data);

	/* The service cannot go on, which has been logged: the process should end. */
	void (*failed)(void *data);
	void *data; /* Given to both. */
} ServiceOptions;

/* Opens the database and starts.  The mount waits a few seconds for the replica to become active,
 * that is for quorum, and in a cluster that this node has never been in contact with for corosync,
 * which knows the node's id.  Negative errno with reason. */
int service_new(const ServiceOptions *options, Service **ret, GError **err);

/* Unmounts and closes the database. */
Service *service_free(Service *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Service, service_free)
