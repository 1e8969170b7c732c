/* SPDX-License-Identifier: Apache-2.0 */

/* The world of the file system, and when it is mounted. */

#include "cfs/service_internal.h"

#include "base/log.h"
#include "base/macro.h"
#include "cfs/views.h"

/* How long the mount waits at the start until the tree has everything that this node's log has, which
 * may have been shown before a restart; without quorum the tree must do as it is.  How often it is
 * looked for. */
#define MOUNT_WAIT_MS 5000
#define MOUNT_POLL_MS 5

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

int service_submit(Service *service, Op *op, ChangeToken *token)
{
	int r = backend_writable(service);

	return r < 0 ? r : replica_submit(service->replica, op, token);
}

static int backend_submit(void *data, Op *op, ChangeToken *token)
{
	return service_submit(data, op, token);
}

static void update_digest(Service *service, const Tree *tree)
{
	if (service->digest && service->digest_version == tree_version(tree))
		return;
	g_free(service->digest);
	service->digest = tree_dup_digest(tree);
	service->digest_version = tree_version(tree);
}

static GBytes *backend_view(void *data, StoreFsView view, bool draft)
{
	static GBytes *(*const views[STOREFS_N_VIEWS])(const ViewsInput *input) = {
		[STOREFS_VIEW_CLUSTERLOG] = views_clusterlog,
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
		.keys = service->status,
		.log = service->log,
		.status = &status,
		.bytes_written = disk_bytes_written(service->disk),
		.reads = service->fs ? storefs_reads(service->fs) : 0,
	};

	replica_status(service->replica, &status);
	if (view == STOREFS_VIEW_STORE && (!draft || !service->digest))
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
		.lock_renew = service_lock_renew,
		.lock_expire = service_lock_expire,
		.view = backend_view,
		.unmounted = backend_unmounted,
	};
	const StoreFsOptions options = {
		.mountpoint = service->mountpoint,
		.node_name = service->node_name,
		.limits = service->limits,
		.guard = service->guard,
	};
	g_autoptr(GError) err = NULL;

	if (storefs_new(&backend, &options, &service->fs, &err) < 0 ||
		service_ipc_start(service, &err) < 0) {
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

	if (!has_caught_up(service) && service_now_ms() < service->mount_until_ms)
		return G_SOURCE_CONTINUE;

	service->mount_source = 0;
	mount_store(service);
	return G_SOURCE_REMOVE;
}

void service_mount(Service *service)
{
	service->mount_until_ms = service_now_ms() + MOUNT_WAIT_MS;
	service->mount_source = g_timeout_add(MOUNT_POLL_MS, on_mount_poll, service);
}
