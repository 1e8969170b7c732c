/* SPDX-License-Identifier: Apache-2.0 */

/* Locks that clients ask for over the IPC socket.  Whoever goes away waits no longer; what he holds
 * he keeps until its lease has passed, since he may be back before. */

#include "base/macro.h"
#include "cfs/service_internal.h"

/* A request that is not answered yet. */
typedef struct LockWait {
	Service *service;
	uint64_t client;
	IpcType type;
	uint64_t number;
	LocksRequest *request;
} LockWait;

static void wait_answer(const LockWait *wait, const LocksResult *result)
{
	IpcAnswer made = {.type = wait->type, .number = wait->number, .result = result->result};

	if (wait->type == IPC_LOCK) {
		made.lock.token = result->token;
		made.lock.until_ms = result->until_ms;
	} else if (wait->type == IPC_RENEW) {
		made.renew.until_ms = result->until_ms;
	}
	ipc_server_answer(wait->service->ipc, wait->client, &made);
}

static void on_lock_answer(void *data, const LocksResult *result)
{
	LockWait *wait = data;

	wait_answer(wait, result);
	/* One that is answered at once has not been put there. */
	if (!g_ptr_array_remove(wait->service->lock_waits, wait))
		g_free(wait);
}

static void wait_cancel(LockWait *wait)
{
	locks_cancel(wait->request);
	g_ptr_array_remove(wait->service->lock_waits, wait);
}

void service_ipc_lock(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	LockWait *wait = g_new0(LockWait, 1);
	LocksRequest *made;
	LocksTake take;

	wait->service = service;
	wait->client = peer->client;
	wait->type = request->type;
	wait->number = request->number;
	if (request->type == IPC_LOCK) {
		take = (LocksTake){
			.name = request->lock.name,
			.owner = request->lock.owner,
			.ttl_s = request->lock.ttl_s,
			.wait = request->lock.wait,
		};
		made = locks_take(service->locks, &take, on_lock_answer, wait);
	} else if (request->type == IPC_RENEW) {
		made = locks_renew(service->locks, request->renew.token, on_lock_answer, wait);
	} else {
		made = locks_unlock(service->locks, request->unlock.token, on_lock_answer, wait);
	}
	if (!made)
		return;
	wait->request = made;
	g_ptr_array_add(service->lock_waits, wait);
}

void service_ipc_cancel(Service *service, const IpcPeer *peer, const IpcRequest *request)
{
	const LocksResult cancelled = {.result = -ECANCELED};
	IpcAnswer made = {.type = request->type, .number = request->number, .result = -ENOENT};

	for (unsigned i = 0; i < service->lock_waits->len; i++) {
		LockWait *wait = g_ptr_array_index(service->lock_waits, i);

		if (wait->client != peer->client || wait->type != IPC_LOCK ||
			wait->number != request->cancel.number)
			continue;
		wait_answer(wait, &cancelled);
		wait_cancel(wait);
		made.result = 0;
		break;
	}
	ipc_server_answer(service->ipc, peer->client, &made);
}

/* A lock that a client waits for; NULL: none. */
static LockWait *find_wait(const Service *service, uint64_t client)
{
	for (unsigned i = 0; i < service->lock_waits->len; i++) {
		LockWait *wait = g_ptr_array_index(service->lock_waits, i);

		/* What frees a lock is done all the same. */
		if (wait->client == client && wait->type == IPC_LOCK)
			return wait;
	}
	return NULL;
}

void service_ipc_locks_gone(Service *service, uint64_t client)
{
	LockWait *wait;

	/* Who is next in a queue may be answered by that, so each time the list is another. */
	while ((wait = find_wait(service, client)))
		wait_cancel(wait);
}
