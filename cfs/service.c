/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/service.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"
#include "cfs/cluster.h"
#include "cfs/cmap.h"
#include "cfs/disk.h"
#include "cfs/fuse.h"
#include "cfs/replica.h"
#include "cfs/store.h"
#include "cfs/views.h"

/* The process group of corosync in which the stores meet. */
#define GROUP_NAME "atoll-cfs"

/* The id of a node that never was in a cluster. */
#define STANDALONE_ID 1

/* How long the mount waits at the start until the tree has everything that this node's log has, which
 * may have been shown before a restart; without quorum the tree must do as it is.  How often it is
 * looked for. */
#define MOUNT_WAIT_MS 5000
#define MOUNT_POLL_MS 5

struct Service {
	TreeLimits limits;
	void (*ready)(void *data);
	void (*failed)(void *data);
	void *data;
	bool standalone;
	char *mountpoint;
	char *node_name;
	int64_t start_time_s;

	Store *store;
	Disk *disk;
	Replica *replica;       /* NULL until the node's id is known. */
	GSource *ticker;        /* Wakes the replica. */
	StoreFs *fs;            /* NULL until mounted. */
	guint mount_source;     /* Waits to mount; 0: has done so. */
	int64_t mount_until_ms; /* When it waits no longer. */
	uint64_t mount_index;   /* What must be committed first; 0: not known yet. */
	Cluster *cluster;       /* NULL: standalone. */

	ClusterConf *conf;  /* As told last; NULL: not yet. */
	bool quorate;       /* By corosync … */
	GArray *online;     /* … whose nodes these are: of uint32_t, ascending. */
	uint32_t node;      /* Our id; 0: not known yet. */
	int disk_complaint; /* Error of the disk that was logged last; 0: none. */
	unsigned n_mkdirs;  /* Directories of nodes that are being made. */

	uint64_t members_version; /* See ViewsInput. */
	uint64_t vmlist_version;
	char *digest; /* Of the tree at digest_version; NULL: not computed. */
	uint64_t digest_version;
};

static void service_fail(Service *service)
{
	service->failed(service->data);
}

/* --- Directories that are always there -------------------------------------------------------- */

typedef struct Mkdir {
	ChangeToken token; /* First. */
	Service *service;
	char *path;
} Mkdir;

static void mkdir_answer(ChangeToken *token, int result)
{
	Mkdir *mkdir = (Mkdir *)token;
	Service *service = mkdir->service;

	/* Another node may have been faster.  What fails for want of quorum is tried again when
	 * that comes back. */
	if (result < 0 && result != -EEXIST)
		log_debug("Cannot make directory '%s': %s", mkdir->path, g_strerror(-result));
	service->n_mkdirs--;
	g_free(mkdir->path);
	g_free(mkdir);
}

static void make_directory(Service *service, const char *path)
{
	Mkdir *mkdir;
	Op *op;

	if (tree_by_path(replica_tree(service->replica), path))
		return;

	mkdir = g_new0(Mkdir, 1);
	mkdir->token.answer = mkdir_answer;
	mkdir->service = service;
	mkdir->path = g_strdup(path);
	service->n_mkdirs++;
	op = op_new(OP_MKDIR, path);
	op->mtime_s = (uint32_t)clock_system()->wall_s(clock_system());
	if (replica_submit(service->replica, op, &mkdir->token) < 0) {
		(void)op_free(op);
		mkdir_answer(&mkdir->token, -EAGAIN);
	}
}

static bool is_lowest_member(const Service *service)
{
	ReplicaStatus status;

	replica_status(service->replica, &status);
	return status.state == REPLICA_STATE_ACTIVE && status.n_members > 0 &&
	       status.members[0].node == service->node;
}

/* One member does it for all nodes, configured ones that are away included. */
static void make_directories(Service *service)
{
	if (!service->conf || service->n_mkdirs > 0 || replica_writable(service->replica) < 0 ||
		!is_lowest_member(service))
		return;

	make_directory(service, "priv");
	make_directory(service, "priv/lock");
	make_directory(service, "nodes");
	for (unsigned i = 0; i < service->conf->nodes->len; i++) {
		const ClusterNode *node = g_ptr_array_index(service->conf->nodes, i);
		g_autofree char *home = g_strconcat("nodes/", node->name, NULL);
		g_autofree char *lxc = g_strconcat(home, "/lxc", NULL);
		g_autofree char *private = g_strconcat(home, "/priv", NULL);

		make_directory(service, home);
		make_directory(service, lxc);
		make_directory(service, private);
	}
}

/* --- The replica's world ---------------------------------------------------------------------- */

static int64_t env_now_ms(void *data)
{
	return clock_system()->monotonic_ms(clock_system());
}

static int env_send(void *data, GBytes *message)
{
	Service *service = data;
	const uint8_t *bytes;
	size_t size;

	if (service->cluster)
		return cluster_send(service->cluster, message);

	bytes = g_bytes_get_data(message, &size);
	replica_message(service->replica, service->node, bytes, size);
	return 0;
}

static void env_persist(void *data, const ReplicaBatch *batch)
{
	Service *service = data;

	disk_write(service->disk, batch);
}

static void on_disk_done(void *data, int result)
{
	Service *service = data;

	if (result == -ENOTRECOVERABLE) {
		log_err("An fsync of the database failed: nobody can tell what is on the disk, "
			"stopping at once");
		_exit(EXIT_FAILURE);
	}
	if (result < 0 && result != service->disk_complaint)
		log_err("Cannot write the database, trying again: %s", g_strerror(-result));
	else if (result == 0 && service->disk_complaint < 0)
		log_notice("The database can be written again");
	service->disk_complaint = result;
	replica_persisted(service->replica, result);
}

static void env_applied(void *data, GPtrArray *changes, void *token)
{
	Service *service = data;
	const Tree *tree = replica_tree(service->replica);

	for (unsigned i = 0; i < changes->len; i++)
		if (views_change_touches_vmlist(tree, g_ptr_array_index(changes, i))) {
			service->vmlist_version++;
			break;
		}
	if (service->fs)
		storefs_applied(service->fs, changes,
			token && ((ChangeToken *)token)->answer != mkdir_answer);
}

static void env_answer(void *data, void *token, int result)
{
	ChangeToken *change = token;

	change->answer(change, result);
}

static void env_state_changed(void *data)
{
	Service *service = data;

	make_directories(service);
}

/* --- Time ------------------------------------------------------------------------------------- */

/* A source that asks the replica, at each turn of the loop, when it wants to be woken. */
typedef struct Ticker {
	GSource source; /* First. */
	Service *service;
} Ticker;

static int64_t ticker_wait_ms(const Ticker *ticker)
{
	int64_t deadline_ms = replica_deadline_ms(ticker->service->replica);

	if (deadline_ms < 0)
		return -1;
	return MAX(deadline_ms - env_now_ms(NULL), 0);
}

static gboolean ticker_prepare(GSource *source, gint *timeout_ms)
{
	int64_t wait_ms = ticker_wait_ms((Ticker *)source);

	*timeout_ms = (gint)MIN(wait_ms, G_MAXINT);
	return wait_ms == 0;
}

static gboolean ticker_check(GSource *source)
{
	return ticker_wait_ms((Ticker *)source) == 0;
}

static gboolean ticker_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
	replica_tick(((Ticker *)source)->service->replica);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs ticker_functions = {
	.prepare = ticker_prepare,
	.check = ticker_check,
	.dispatch = ticker_dispatch,
};

static void start_ticker(Service *service)
{
	service->ticker = g_source_new(&ticker_functions, sizeof(Ticker));
	((Ticker *)service->ticker)->service = service;
	(void)g_source_attach(service->ticker, g_main_context_get_thread_default());
}

/* --- The file system's world ------------------------------------------------------------------ */

static const Tree *backend_tree(void *data)
{
	return replica_tree(((Service *)data)->replica);
}

/* Where no other disk can stand in for ours, its error is the answer. */
static int backend_writable(void *data)
{
	const Service *service = data;
	ReplicaStatus status;

	if (service->disk_complaint < 0) {
		replica_status(service->replica, &status);
		if (status.need == 1)
			return service->disk_complaint;
	}
	return replica_writable(service->replica);
}

static int backend_submit(void *data, Op *op, ChangeToken *token)
{
	Service *service = data;
	int r = backend_writable(service);

	return r < 0 ? r : replica_submit(service->replica, op, token);
}

static void update_digest(Service *service, const Tree *tree)
{
	if (service->digest && service->digest_version == tree_version(tree))
		return;
	g_free(service->digest);
	service->digest = tree_dup_digest(tree);
	service->digest_version = tree_version(tree);
}

static GBytes *backend_view(void *data, StoreFsView view)
{
	static GBytes *(*const views[STOREFS_N_VIEWS])(const ViewsInput *input) = {
		[STOREFS_VIEW_MEMBERS] = views_members,
		[STOREFS_VIEW_STORE] = views_store,
		[STOREFS_VIEW_VERSION] = views_version,
		[STOREFS_VIEW_VMLIST] = views_vmlist,
	};
	Service *service = data;
	const Tree *tree = replica_tree(service->replica);
	ReplicaStatus status;
	ViewsInput input = {
		.node_name = service->node_name,
		.standalone = service->standalone,
		.conf = service->standalone ? NULL : service->conf,
		.quorate = service->quorate,
		.online = (const uint32_t *)service->online->data,
		.n_online = service->online->len,
		.start_time_s = service->start_time_s,
		.members_version = service->members_version,
		.vmlist_version = service->vmlist_version,
		.tree = tree,
		.status = &status,
		.bytes_written = disk_bytes_written(service->disk),
		.reads = service->fs ? storefs_reads(service->fs) : 0,
	};

	replica_status(service->replica, &status);
	if (view == STOREFS_VIEW_STORE)
		update_digest(service, tree);
	input.digest = service->digest;
	return views[view](&input);
}

static void backend_unmounted(void *data)
{
	Service *service = data;

	log_err("Somebody unmounted '%s'", service->mountpoint);
	service_fail(service);
}

static void mount_store(Service *service)
{
	const StoreFsBackend backend = {
		.data = service,
		.tree = backend_tree,
		.writable = backend_writable,
		.submit = backend_submit,
		.view = backend_view,
		.unmounted = backend_unmounted,
	};
	const StoreFsOptions options = {
		.mountpoint = service->mountpoint,
		.node_name = service->node_name,
		.limits = service->limits,
	};
	g_autoptr(GError) err = NULL;

	if (storefs_new(&backend, &options, &service->fs, &err) < 0) {
		log_err("Cannot start: %s", err->message);
		service_fail(service);
		return;
	}
	log_info("Serving '%s' as node %u (%s)", service->mountpoint, service->node,
		service->node_name);
	service->ready(service->data);
}

/* Whether the tree has all that the log had when it was found level with the others'. */
static bool has_caught_up(Service *service)
{
	ReplicaStatus status;

	replica_status(service->replica, &status);
	if (status.state != REPLICA_STATE_ACTIVE)
		return false;
	if (!service->mount_index)
		service->mount_index = status.last;
	return status.commit >= service->mount_index;
}

static gboolean on_mount_poll(gpointer data)
{
	Service *service = data;

	if (!has_caught_up(service) && env_now_ms(NULL) < service->mount_until_ms)
		return G_SOURCE_CONTINUE;

	service->mount_source = 0;
	mount_store(service);
	return G_SOURCE_REMOVE;
}

/* --- Starting the replica --------------------------------------------------------------------- */

static int load_replica(Service *service, GError **err)
{
	const ReplicaEnv env = {
		.data = service,
		.now_ms = env_now_ms,
		.send = env_send,
		.persist = env_persist,
		.applied = env_applied,
		.answer = env_answer,
		.state_changed = env_state_changed,
	};
	ReplicaOptions options = {.node = service->node, .limits = service->limits};
	g_autoptr(ReplicaBatch) image = NULL;
	int r;

	if (getrandom(&options.boot, sizeof(options.boot), 0) != sizeof(options.boot))
		return err_set(err, EIO, "cannot get random bytes");
	r = store_load(service->store, &image, err);
	if (r < 0)
		return r;
	return replica_new(&options, &env, image, &service->replica, err);
}

static int start_replica(Service *service, GError **err)
{
	g_autoptr(GError) reason = NULL;
	int r;

	r = load_replica(service, &reason);
	if (r == -EUCLEAN) {
		r = store_set_aside(service->store, reason->message, err);
		if (r == 0)
			r = load_replica(service, err);
	} else if (r < 0) {
		g_propagate_error(err, g_steal_pointer(&reason));
	}
	if (r == 0 && store_node(service->store) != service->node) {
		r = store_set_node(service->store, service->node);
		if (r < 0)
			r = err_set_errno(err, r, "cannot write the database");
	}
	if (r < 0)
		return r;

	service->disk = disk_new(service->store, on_disk_done, service);
	start_ticker(service);
	service->mount_until_ms = env_now_ms(NULL) + MOUNT_WAIT_MS;
	service->mount_source = g_timeout_add(MOUNT_POLL_MS, on_mount_poll, service);
	return 0;
}

/* --- What corosync says ----------------------------------------------------------------------- */

static void tell_quorum(Service *service)
{
	g_autofree uint32_t *ids = g_new(uint32_t, service->conf->nodes->len);
	ReplicaQuorum quorum = {
		.quorate = service->quorate,
		.two_node = service->conf->two_node,
		.configured = ids,
		.n_configured = service->conf->nodes->len,
	};

	for (unsigned i = 0; i < quorum.n_configured; i++) {
		const ClusterNode *node = g_ptr_array_index(service->conf->nodes, i);

		ids[i] = node->id;
		for (unsigned j = 0; j < service->online->len; j++)
			if (g_array_index(service->online, uint32_t, j) == node->id)
				quorum.n_online++;
	}
	replica_quorum_changed(service->replica, &quorum);
	make_directories(service);
}

/* The id of a running replica cannot change: it is part of its log. */
static bool check_identity(Service *service, const ClusterConf *conf)
{
	if (service->node == 0 || conf->own_id == service->node)
		return true;
	log_err("This node has id %u in corosync.conf, but its database is that of node %u; move "
		"the database away if this is a new node",
		conf->own_id, service->node);
	return false;
}

static void on_configured(void *data, const ClusterConf *conf)
{
	Service *service = data;
	g_autoptr(GError) err = NULL;

	if (!check_identity(service, conf)) {
		service_fail(service);
		return;
	}
	(void)cluster_conf_free(service->conf);
	service->conf = cluster_conf_copy(conf);
	service->node = conf->own_id;
	service->members_version++;
	g_free(service->node_name);
	service->node_name = g_strdup(cluster_conf_node(conf, conf->own_id)->name);
	if (service->fs)
		storefs_set_node_name(service->fs, service->node_name);

	if (!service->replica && start_replica(service, &err) < 0) {
		log_err("Cannot start: %s", err->message);
		service_fail(service);
		return;
	}
	tell_quorum(service);
}

static void on_quorum(void *data, bool quorate, const uint32_t *nodes, unsigned n_nodes)
{
	Service *service = data;

	if (quorate != service->quorate)
		log_notice("Quorum %s, %u nodes online", quorate ? "reached" : "lost", n_nodes);
	service->quorate = quorate;
	g_array_set_size(service->online, 0);
	g_array_append_vals(service->online, nodes, n_nodes);
	service->members_version++;
	if (service->replica && service->conf)
		tell_quorum(service);
}

static void on_view(void *data, const uint32_t *nodes, unsigned n_nodes)
{
	Service *service = data;

	if (service->replica)
		replica_view_changed(service->replica, nodes, n_nodes);
}

static void on_message(void *data, uint32_t node, const uint8_t *bytes, size_t size)
{
	Service *service = data;

	replica_message(service->replica, node, bytes, size);
}

static void on_drained(void *data)
{
	Service *service = data;

	replica_tick(service->replica);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int start_standalone(Service *service, GError **err)
{
	int r;

	service->node = store_node(service->store);
	if (service->node == 0)
		service->node = STANDALONE_ID;
	service->conf = cluster_conf_new_single(service->node, service->node_name);
	service->quorate = true;
	g_array_append_val(service->online, service->node);
	r = start_replica(service, err);
	if (r < 0)
		return r;

	tell_quorum(service);
	replica_view_changed(service->replica, &service->node, 1);
	return 0;
}

static int start_clustered(Service *service, GError **err)
{
	const ClusterHandler handler = {
		.data = service,
		.configured = on_configured,
		.quorum = on_quorum,
		.view = on_view,
		.message = on_message,
		.drained = on_drained,
	};

	/* Known from an earlier run: what is in the database can be read before, and without,
	 * corosync. */
	service->node = store_node(service->store);
	service->cluster = cluster_new(GROUP_NAME, &handler);
	return service->node ? start_replica(service, err) : 0;
}

int service_new(const ServiceOptions *options, Service **ret, GError **err)
{
	g_autoptr(Service) service = g_new0(Service, 1);
	int r;

	assert(options->ready && options->failed);

	service->limits = options->limits;
	service->ready = options->ready;
	service->failed = options->failed;
	service->data = options->data;
	service->standalone = options->standalone;
	service->mountpoint = g_strdup(options->mountpoint);
	service->node_name = node_name_dup();
	service->start_time_s = clock_system()->wall_s(clock_system());
	service->online = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	r = store_open(options->database, &service->store, err);
	if (r < 0)
		return r;
	r = service->standalone ? start_standalone(service, err) : start_clustered(service, err);
	if (r < 0)
		return r;

	*ret = g_steal_pointer(&service);
	return 0;
}

Service *service_free(Service *service)
{
	if (!service)
		return NULL;

	/* Nobody may come in while parts go: first the callers, then the bus, then the rest. */
	if (service->mount_source)
		g_source_remove(service->mount_source);
	(void)storefs_free(service->fs);
	(void)cluster_free(service->cluster);
	(void)disk_free(service->disk);
	if (service->ticker) {
		g_source_destroy(service->ticker);
		g_source_unref(service->ticker);
	}
	(void)replica_free(service->replica);
	(void)store_close(service->store);
	(void)cluster_conf_free(service->conf);
	g_array_unref(service->online);
	g_free(service->digest);
	g_free(service->mountpoint);
	g_free(service->node_name);
	g_free(service);
	return NULL;
}
