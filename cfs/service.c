/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/service.h"

#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"
#include "cfs/service_internal.h"
#include "cfs/views.h"

/* One line about messages that make no sense in so long a time. */
#define BAD_MESSAGE_LOG_MS 60000

/* The id of a node that never was in a cluster. */
#define STANDALONE_ID 1

void service_fail(Service *service)
{
	service->failed(service->data);
}

/* --- The replica's world ---------------------------------------------------------------------- */

int64_t service_now_ms(void)
{
	return clock_system()->monotonic_ms(clock_system());
}

static int64_t env_now_ms(void *data)
{
	return service_now_ms();
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
	if (result == -EUCLEAN) {
		log_err("The database was found damaged, stopping at once: it is set aside at the "
			"next start");
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
	service_publish_changes(service, changes);
	if (service->fs)
		storefs_applied(service->fs, changes, token && ((ChangeToken *)token)->from_fs);
	locks_applied(service->locks, changes);
}

static void env_answer(void *data, void *token, int result)
{
	ChangeToken *change = token;

	change->answer(change, result);
}

static void tell_forgetful(Service *service)
{
	ReplicaStatus status;

	replica_status(service->replica, &status);
	if (status.forgetful && !service->forgetful)
		log_warning("Too many of the nodes that are here have a new or a lost database to "
			    "be sure that nothing acknowledged is forgotten: read-only until more "
			    "nodes come (atoll-cfs --accept-loss: if they never will)");
	service->forgetful = status.forgetful;
}

static void env_bad_message(void *data, uint32_t node, int error)
{
	Service *service = data;
	int64_t now_ms = service_now_ms();

	if (error == -EPROTONOSUPPORT) {
		log_err("Node %u speaks a newer format of the store than this node, which stays "
			"read-only until that node is gone or this one is upgraded",
			node);
		return;
	}
	/* Who sends one may send many. */
	service->n_bad_messages++;
	if (now_ms < service->bad_message_log_ms)
		return;
	log_warning("Node %u has sent what makes no sense to the store, and is ignored "
		    "(%u messages in all)",
		node, service->n_bad_messages);
	service->bad_message_log_ms = now_ms + BAD_MESSAGE_LOG_MS;
}

static void env_state_changed(void *data)
{
	Service *service = data;

	tell_forgetful(service);
	service_make_directories(service);
	service_publish_quorum(service);
	locks_state_changed(service->locks);
}

/* --- Time ------------------------------------------------------------------------------------- */

/* A source that asks replica and locks, at each turn of the loop, when they want to be woken. */
typedef struct Ticker {
	GSource source; /* First. */
	Service *service;
} Ticker;

static int64_t ticker_wait_ms(const Ticker *ticker)
{
	int64_t replica_ms = replica_deadline_ms(ticker->service->replica);
	int64_t locks_ms = locks_deadline_ms(ticker->service->locks);
	int64_t deadline_ms = locks_ms < 0 ? replica_ms : locks_ms;

	if (replica_ms >= 0)
		deadline_ms = MIN(deadline_ms, replica_ms);
	return deadline_ms < 0 ? -1 : MAX(deadline_ms - service_now_ms(), 0);
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
	Service *service = ((Ticker *)source)->service;

	replica_tick(service->replica);
	locks_tick(service->locks);
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
		.bad_message = env_bad_message,
		.state_changed = env_state_changed,
	};
	const ReplicaOptions options = {
		.node = service->node,
		.boot = service->boot,
		.trusted = store_trusted(service->store),
		.limits = service->limits,
	};
	g_autoptr(ReplicaBatch) image = NULL;
	int r;

	r = store_load(service->store, &image, err);
	if (r < 0)
		return r;
	return replica_new(&options, &env, image, &service->replica, err);
}

/* What an administrator must know of a database that was set aside, besides that it was. */
static void explain_loss(const Service *service)
{
	const char *kept = store_kept(service->store);

	if (!kept)
		return;
	if (service->standalone)
		log_err("This node has no cluster to fetch its tree from: '%s' begins empty.  What "
			"can be read of the damaged database is written as files by: atoll-cfs "
			"--db %s --export DIR",
			service->mountpoint, kept);
	else
		log_notice("The tree is fetched from the cluster; until then this node vouches for "
			   "nothing that it has confirmed before");
}

int service_start_replica(Service *service, GError **err)
{
	g_autoptr(GError) reason = NULL;
	int r;

	if (getrandom(&service->boot, sizeof(service->boot), 0) != sizeof(service->boot))
		return err_set(err, EIO, "cannot get random bytes");
	service_beside_start(service);
	service_locks_start(service);
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

	explain_loss(service);
	service->disk = disk_new(service->store, on_disk_done, service);
	start_ticker(service);
	service_mount(service);
	return 0;
}

/* --- Life ------------------------------------------------------------------------------------- */

static int start_clustered(Service *service, GError **err)
{
	/* Known from an earlier run: what is in the database can be read before, and without,
	 * corosync. */
	service->node = store_node(service->store);
	service_connect(service);
	return service->node ? service_start_replica(service, err) : 0;
}

static int start_standalone(Service *service, GError **err)
{
	int r;

	service->node = store_node(service->store);
	if (service->node == 0)
		service->node = STANDALONE_ID;
	service->conf = cluster_conf_new_single(service->node, service->node_name);
	service->quorate = true;
	g_array_append_val(service->online, service->node);
	r = service_start_replica(service, err);
	if (r < 0)
		return r;

	service_tell_quorum(service);
	replica_view_changed(service->replica, &service->node, 1);
	service_beside_view_changed(service, &service->node, 1);
	return 0;
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
	service->socket = g_strdup(options->socket);
	service->node_name = node_name_dup();
	service->start_time_s = clock_system()->wall_s(clock_system());
	service->online = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	service->lock_waits = g_ptr_array_new_with_free_func(g_free);
	guard_finish(service->mountpoint, store_holder(options->database));
	r = guard_new(service->mountpoint, &service->guard, err);
	if (r < 0)
		return r;
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

	/* While all that it may call is there; it is, when the disk is. */
	if (service->disk)
		replica_flush(service->replica);

	/* Nobody may come in while parts go: first the file system, then the bus, then the rest.
	 * Clients are served from the main loop alone, which does not run, but may get answers until
	 * the replica can give none. */
	if (service->mount_source)
		g_source_remove(service->mount_source);
	(void)storefs_free(service->fs);
	(void)guard_free(service->guard);
	(void)cluster_free(service->cluster);
	(void)disk_free(service->disk);
	if (service->ticker) {
		g_source_destroy(service->ticker);
		g_source_unref(service->ticker);
	}
	service_ipc_stop(service);
	(void)replica_free(service->replica);
	(void)locks_free(service->locks);
	service_beside_stop(service);
	(void)store_close(service->store);
	(void)cluster_conf_free(service->conf);
	g_array_unref(service->online);
	g_ptr_array_unref(service->lock_waits);
	g_free(service->digest);
	g_free(service->mountpoint);
	g_free(service->socket);
	g_free(service->node_name);
	g_free(service);
	return NULL;
}
