/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/quorum.h"

#include <jansson.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

/* Some hundred bytes a node. */
#define MEMBERS_SIZE_MAX (1024 * 1024)

int quorum_parse(const char *members, QuorumState *ret)
{
	json_auto_t *root = json_loads(members, 0, NULL);
	json_t *cluster = json_object_get(root, "cluster");

	if (!json_is_object(root))
		return -EBADMSG;

	/* A node without a cluster has no such key, and needs nobody. */
	if (!cluster || json_integer_value(json_object_get(cluster, "quorate")) == 1)
		*ret = QUORUM_YES;
	else if (json_integer_value(json_object_get(cluster, "nodes")) == 0)
		*ret = QUORUM_UNKNOWN;
	else
		*ret = QUORUM_NO;
	return 0;
}

int quorum_require(GError **err)
{
	g_autofree char *text = NULL;
	QuorumState state;
	int r;

	r = file_read(PATH_STORE "/.members", MEMBERS_SIZE_MAX, &text, NULL);
	if (r == -ENOENT || r == -ENOTCONN)
		return err_set(
			err, ENOTCONN, "the cluster's store is not mounted on '%s'", PATH_STORE);
	if (r >= 0)
		r = quorum_parse(text, &state);
	if (r < 0)
		return err_set_errno(err, r, "cannot ask the cluster's store for quorum");
	if (state == QUORUM_UNKNOWN)
		return err_set(err, EROFS,
			"cluster not ready - no quorum: corosync does not answer on this node");
	if (state == QUORUM_NO)
		return err_set(err, EROFS, "cluster not ready - no quorum");
	return 0;
}
