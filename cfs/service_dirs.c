/* SPDX-License-Identifier: Apache-2.0 */

/* Directories that are always there. */

#include "cfs/service_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"

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
void service_make_directories(Service *service)
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
