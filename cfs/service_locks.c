/* SPDX-License-Identifier: Apache-2.0 */

/* The world of the locks, and what the file system asks of them. */

#include "base/clock.h"
#include "base/macro.h"
#include "cfs/service_internal.h"

static int64_t env_now_ms(void *data)
{
	return service_now_ms();
}

static uint32_t env_wall_s(void *data)
{
	return (uint32_t)clock_system()->wall_s(clock_system());
}

static uint32_t env_node(void *data)
{
	return ((const Service *)data)->node;
}

static const Tree *env_tree(void *data)
{
	return replica_tree(((const Service *)data)->replica);
}

static int env_submit(void *data, Op *op, ChangeToken *token)
{
	return service_submit(data, op, token);
}

static int env_renew(void *data, uint64_t lock, ChangeToken *token)
{
	return replica_renew(((Service *)data)->replica, lock, token);
}

static bool env_lease(void *data, uint64_t lock, ReplicaLease *ret)
{
	return replica_lease(((const Service *)data)->replica, lock, ret);
}

void service_locks_start(Service *service)
{
	const LocksEnv env = {
		.data = service,
		.now_ms = env_now_ms,
		.wall_s = env_wall_s,
		.node = env_node,
		.tree = env_tree,
		.submit = env_submit,
		.renew = env_renew,
		.lease = env_lease,
	};

	service->locks = locks_new(&env);
}

int service_lock_renew(void *data, uint64_t inode, ChangeToken *token)
{
	return replica_renew(((Service *)data)->replica, inode, token);
}

int service_lock_expire(void *data, uint64_t inode, ChangeToken *token)
{
	return locks_expire(((Service *)data)->locks, inode, token);
}
