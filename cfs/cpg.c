/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/cpg.h"

#include <string.h>
#include <sys/uio.h>

#include <corosync/cpg.h>

#include "base/err.h"
#include "base/fdwatch.h"
#include "base/log.h"
#include "base/macro.h"
#include "cfs/corosync.h"
#include "cfs/pieces.h"

/* How long to wait when corosync's queue is full; it drains with each turn of the token. */
#define RETRY_MS 1

/* Messages handled in one go before the other sources of the loop get their turn. */
#define DISPATCH_MAX 64

struct CpgGroup {
	CpgHandler handler;
	cpg_handle_t handle;
	bool broken;        /* The connection is gone; reported from the loop. */
	guint fd_source;    /* 0: none. */
	guint retry_source; /* Tries the queue again; 0: none. */
	GQueue queue;       /* Of GBytes*: messages that corosync has not taken whole. */
	size_t queued;      /* Bytes in them. */
	bool refused;       /* Somebody waits for drained(). */
	size_t sent;        /* Bytes of the first that corosync has taken. */
	Pieces *pieces;     /* What the members send. */
};

static int compare_nodes(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static CpgGroup *group_of(cpg_handle_t handle)
{
	void *context = NULL;

	if (cpg_context_get(handle, &context) != CS_OK)
		return NULL;
	return context;
}

static void on_confchg(cpg_handle_t handle, const struct cpg_name *name,
	const struct cpg_address *members, size_t n_members, const struct cpg_address *left,
	size_t n_left, const struct cpg_address *joined, size_t n_joined)
{
	CpgGroup *group = group_of(handle);
	g_autofree uint32_t *nodes = g_new(uint32_t, MAX(n_members, 1));
	unsigned n_nodes = 0;

	assert(group);

	for (size_t i = 0; i < n_members; i++)
		nodes[i] = members[i].nodeid;
	qsort(nodes, n_members, sizeof(nodes[0]), compare_nodes);
	for (size_t i = 0; i < n_members; i++)
		if (n_nodes == 0 || nodes[n_nodes - 1] != nodes[i])
			nodes[n_nodes++] = nodes[i];

	/* A new member could not complete what is unfinished, and members must not differ in what they
	 * were given. */
	pieces_clear(group->pieces);
	group->handler.view(group->handler.data, nodes, n_nodes);
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *name, uint32_t node,
	uint32_t pid, void *message, size_t size)
{
	CpgGroup *group = group_of(handle);

	assert(group);

	if (pieces_add(group->pieces, node, message, size) < 0)
		log_debug("Ignoring a message of node %u in an unknown format", node);
}

/* Whether the first message of the queue is out of the way. */
static int send_piece(CpgGroup *group)
{
	GBytes *message = g_queue_peek_head(&group->queue);
	size_t size, part;
	const uint8_t *bytes = g_bytes_get_data(message, &size);
	uint8_t header[PIECE_HEADER];
	struct iovec iov[2];
	int r;

	part = piece_begin(size, group->sent, header);
	iov[0] = (struct iovec){.iov_base = header, .iov_len = sizeof(header)};
	iov[1] = (struct iovec){.iov_base = (void *)(bytes + group->sent), .iov_len = part};

	r = corosync_errno(cpg_mcast_joined(group->handle, CPG_TYPE_AGREED, iov, 2));
	if (r < 0)
		return r;

	group->sent += part;
	if (group->sent == size) {
		group->queued -= size;
		g_bytes_unref(g_queue_pop_head(&group->queue));
		group->sent = 0;
	}
	return 0;
}

static gboolean on_retry(gpointer data);

static void flush_queue(CpgGroup *group)
{
	int r = 0;

	while (r == 0 && !group->broken && !g_queue_is_empty(&group->queue))
		r = send_piece(group);

	/* Any other failure is seen, and reported, by the next dispatch as well. */
	if (r == -EAGAIN && !group->retry_source)
		group->retry_source = g_timeout_add(RETRY_MS, on_retry, group);
	else if (r < 0 && r != -EAGAIN)
		log_debug("Sending to the group failed: %s", g_strerror(-r));
}

static gboolean on_retry(gpointer data)
{
	CpgGroup *group = data;

	group->retry_source = 0;
	flush_queue(group);
	if (group->refused && group->queued <= CPG_QUEUE_MAX / 2) {
		group->refused = false;
		group->handler.drained(group->handler.data);
	}
	return G_SOURCE_REMOVE;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	CpgGroup *group = data;
	cs_error_t error = CS_OK;

	for (unsigned i = 0; i < DISPATCH_MAX && error == CS_OK; i++)
		error = cpg_dispatch(group->handle, CS_DISPATCH_ONE_NONBLOCKING);
	if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
		return G_SOURCE_CONTINUE;

	group->broken = true;
	group->fd_source = 0;
	group->handler.lost(group->handler.data);
	return G_SOURCE_REMOVE;
}

int cpg_group_new(const char *name, const CpgHandler *handler, CpgGroup **ret, GError **err)
{
	cpg_model_v1_data_t model = {
		.model = CPG_MODEL_V1,
		.cpg_deliver_fn = on_deliver,
		.cpg_confchg_fn = on_confchg,
	};
	g_autoptr(CpgGroup) group = g_new0(CpgGroup, 1);
	struct cpg_name cpg_name = {0};
	int r, fd;

	assert(handler && handler->view && handler->message && handler->drained && handler->lost);
	assert(strlen(name) < sizeof(cpg_name.value));

	group->handler = *handler;
	g_queue_init(&group->queue);
	group->pieces = pieces_new(handler->message, handler->data);
	r = corosync_errno(cpg_model_initialize(
		&group->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, group));
	if (r < 0) {
		group->handle = 0;
		return err_set_errno(err, r, "cannot connect to corosync");
	}

	cpg_name.length = (uint32_t)strlen(name);
	memcpy(cpg_name.value, name, cpg_name.length);
	r = corosync_errno(cpg_join(group->handle, &cpg_name));
	if (r < 0)
		return err_set_errno(err, r, "cannot join group '%s'", name);
	r = corosync_errno(cpg_fd_get(group->handle, &fd));
	if (r < 0)
		return err_set_errno(err, r, "cannot watch group '%s'", name);

	group->fd_source = fd_watch_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, group);
	*ret = g_steal_pointer(&group);
	return 0;
}

CpgGroup *cpg_group_free(CpgGroup *group)
{
	if (!group)
		return NULL;

	if (group->fd_source)
		g_source_remove(group->fd_source);
	if (group->retry_source)
		g_source_remove(group->retry_source);
	if (group->handle)
		(void)cpg_finalize(group->handle);
	g_queue_clear_full(&group->queue, (GDestroyNotify)g_bytes_unref);
	group->pieces = pieces_free(group->pieces);
	g_free(group);
	return NULL;
}

int cpg_group_send(CpgGroup *group, GBytes *message)
{
	size_t size = g_bytes_get_size(message);

	assert(size > 0 && size <= CPG_MESSAGE_MAX);

	if (group->queued >= CPG_QUEUE_MAX) {
		group->refused = true;
		return -EAGAIN;
	}
	group->queued += size;
	g_queue_push_tail(&group->queue, g_bytes_ref(message));
	if (!group->retry_source)
		flush_queue(group);
	return 0;
}
