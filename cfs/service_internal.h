/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of the service, for its own files only:
 *
 *	service.c            its life, and the world of the replica
 *	service_beside.c     status, cluster log, and telling clients of events
 *	service_cluster.c    what corosync says
 *	service_dirs.c       directories that are always there
 *	service_fs.c         the world of the file system, and when it is mounted
 *	service_ipc.c        what clients ask
 *	service_ipc_locks.c  what they ask of locks
 *	service_locks.c      the world of the locks */

#include "cfs/beside.h"
#include "cfs/cluster.h"
#include "cfs/clusterlog.h"
#include "cfs/disk.h"
#include "cfs/events.h"
#include "cfs/fuse.h"
#include "cfs/guard.h"
#include "cfs/ipc.h"
#include "cfs/locks.h"
#include "cfs/replica.h"
#include "cfs/service.h"
#include "cfs/status.h"
#include "cfs/store.h"

struct Service {
	TreeLimits limits;
	void (*ready)(void *data);
	void (*failed)(void *data);
	void *data;
	bool standalone;
	char *mountpoint;
	char *socket; /* NULL: no clients. */
	char *node_name;
	int64_t start_time_s;

	Guard *guard;
	Store *store;
	Disk *disk;
	Replica *replica;       /* NULL until the node's id is known. */
	Locks *locks;           /* There together with the replica. */
	GSource *ticker;        /* Wakes both. */
	StoreFs *fs;            /* NULL until mounted. */
	guint mount_source;     /* Waits to mount; 0: has done so. */
	int64_t mount_until_ms; /* When it waits no longer. */
	uint64_t mount_index;   /* What must be committed first; 0: not known yet. */
	Cluster *cluster;       /* NULL: standalone. */
	Status *status;         /* These three there are together with the replica. */
	ClusterLog *log;
	Events *events;
	IpcServer *ipc;         /* NULL until mounted. */
	GPtrArray *lock_waits;  /* What its clients wait for of locks. */
	GArray *barrier_askers; /* Who waits for the next barrier. */
	bool barrier_runs;      /* One is under way. */

	ClusterConf *conf;          /* As told last; NULL: not yet. */
	bool quorate;               /* By corosync … */
	GArray *online;             /* … whose nodes these are: of uint32_t, ascending. */
	uint32_t node;              /* Our id; 0: not known yet. */
	bool forgetful;             /* As ReplicaStatus told last. */
	int disk_complaint;         /* Error of the disk that was logged last; 0: none. */
	unsigned n_mkdirs;          /* Directories of nodes that are being made. */
	uint64_t boot;              /* Names this run of the process. */
	bool was_writable;          /* As clients were told last. */
	BesideFlow beside_flow;     /* Of messages that go beside the log. */
	bool beside_complained;     /* About one of them. */
	unsigned n_bad_messages;    /* That nobody could understand … */
	int64_t bad_message_log_ms; /* … and when the next of them may be logged. */

	uint64_t members_version; /* See ViewsInput. */
	uint64_t vmlist_version;
	char *digest; /* Of the tree at digest_version; NULL: not computed. */
	uint64_t digest_version;
};

/* The process should end; why has been logged. */
void service_fail(Service *service);

int64_t service_now_ms(void);

/* Loads the database and begins; the node's id is known.  Negative errno with reason. */
int service_start_replica(Service *service, GError **err);

/* --- service_beside.c ------------------------------------------------------------------------- */

/* The node's id is known. */
void service_beside_start(Service *service);
void service_beside_stop(Service *service);

/* See status.h and clusterlog.h. */
void service_beside_view_changed(Service *service, const uint32_t *nodes, unsigned n_nodes);
void service_beside_message(
	Service *service, unsigned type, uint32_t sender, const uint8_t *bytes, size_t size);
void service_beside_flush(Service *service);

/* Writes to the cluster log on behalf of the store. */
void service_say(Service *service, int priority, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Tells clients: of changes (of TreeChange) as tree_apply() gave them; that nodes were configured,
 * came or went; whether changes are taken, if that has changed. */
void service_publish_changes(Service *service, const GPtrArray *changes);
void service_publish_members(Service *service);
void service_publish_quorum(Service *service);

/* --- service_cluster.c ------------------------------------------------------------------------ */

/* Connects to corosync from the main loop. */
void service_connect(Service *service);

/* Tells the replica what is known of quorum and configuration. */
void service_tell_quorum(Service *service);

/* --- service_dirs.c --------------------------------------------------------------------------- */

/* Asks for the directories that are missing, where it is this member's turn. */
void service_make_directories(Service *service);

/* --- service_fs.c ----------------------------------------------------------------------------- */

/* Mounts as soon as the tree has caught up with what this node has shown before, or after a while.
 */
void service_mount(Service *service);

/* As replica_submit(), unless our disk takes nothing and no other can stand in for it. */
int service_submit(Service *service, Op *op, ChangeToken *token);

/* --- service_locks.c -------------------------------------------------------------------------- */

void service_locks_start(Service *service);

/* See StoreFsBackend; data is the service. */
int service_lock_renew(void *data, uint64_t inode, ChangeToken *token);
int service_lock_expire(void *data, uint64_t inode, ChangeToken *token);

/* --- service_ipc.c ---------------------------------------------------------------------------- */

/* Lets clients in.  Negative errno with reason. */
int service_ipc_start(Service *service, GError **err);
void service_ipc_stop(Service *service);

/* An event for a client (see events_new()). */
void service_ipc_deliver(void *data, uint64_t subscriber, uint64_t number, const Event *event);

/* --- service_ipc_locks.c --------------------------------------------------------------------- */

/* Requests of clients: taking, renewing and freeing; giving up. */
void service_ipc_lock(Service *service, const IpcPeer *peer, const IpcRequest *request);
void service_ipc_cancel(Service *service, const IpcPeer *peer, const IpcRequest *request);

void service_ipc_locks_gone(Service *service, uint64_t client);
