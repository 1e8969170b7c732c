/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/quorum.h"

#include <corosync/quorum.h>
#include <glib-unix.h>

#include "base/err.h"
#include "base/macro.h"
#include "cfs/corosync.h"

struct QuorumWatch {
	QuorumHandler handler;
	quorum_handle_t handle;
	guint fd_source; /* 0: none. */
};

static void on_quorum(quorum_handle_t handle, uint32_t quorate, struct quorum_ring_id ring,
	uint32_t n_nodes, const uint32_t *nodes)
{
	const void *context = NULL;
	const QuorumWatch *watch;

	if (quorum_context_get(handle, &context) != CS_OK)
		return;
	watch = context;
	watch->handler.changed(watch->handler.data, quorate != 0, nodes, n_nodes);
}

/* The library calls it unasked; what it says comes through on_quorum() as well. */
static void on_nodelist(quorum_handle_t handle, struct quorum_ring_id ring, uint32_t n_members,
	const uint32_t *members, uint32_t n_joined, const uint32_t *joined, uint32_t n_left,
	const uint32_t *left)
{
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	QuorumWatch *watch = data;
	cs_error_t error = quorum_dispatch(watch->handle, CS_DISPATCH_ALL);

	if (error == CS_OK || error == CS_ERR_TRY_AGAIN)
		return G_SOURCE_CONTINUE;

	watch->fd_source = 0;
	watch->handler.lost(watch->handler.data);
	return G_SOURCE_REMOVE;
}

int quorum_watch_new(const QuorumHandler *handler, QuorumWatch **ret, GError **err)
{
	quorum_model_v1_data_t model = {
		.model = QUORUM_MODEL_V1,
		.quorum_notify_fn = on_quorum,
		.nodelist_notify_fn = on_nodelist,
	};
	g_autoptr(QuorumWatch) watch = g_new0(QuorumWatch, 1);
	uint32_t type;
	int r, fd;

	assert(handler && handler->changed && handler->lost);

	watch->handler = *handler;
	r = corosync_errno(quorum_model_initialize(
		&watch->handle, QUORUM_MODEL_V1, (quorum_model_data_t *)&model, &type, watch));
	if (r < 0) {
		watch->handle = 0;
		return err_set_errno(err, r, "cannot connect to corosync's quorum service");
	}
	if (type != QUORUM_SET)
		return err_set(err, ENOTSUP, "corosync.conf names no quorum provider");
	r = corosync_errno(quorum_fd_get(watch->handle, &fd));
	if (r < 0)
		return err_set_errno(err, r, "cannot watch corosync's quorum service");
	r = corosync_errno(quorum_trackstart(watch->handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES));
	if (r < 0)
		return err_set_errno(err, r, "cannot track quorum");

	watch->fd_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, watch);
	*ret = g_steal_pointer(&watch);
	return 0;
}

QuorumWatch *quorum_watch_free(QuorumWatch *watch)
{
	if (!watch)
		return NULL;

	if (watch->fd_source)
		g_source_remove(watch->fd_source);
	if (watch->handle)
		(void)quorum_finalize(watch->handle);
	g_free(watch);
	return NULL;
}
