/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/served.h"

#include <sched.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/tmpdir.h"

#define PATIENCE_S 120

void served_begin(void)
{
	(void)alarm(PATIENCE_S);
	if (geteuid() != 0) {
		g_autofree char *map = g_strdup_printf("0 %u 1", geteuid());

		assert_int_equal(unshare(CLONE_NEWUSER), 0);
		assert_true(g_file_set_contents_full(
			"/proc/self/uid_map", map, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	}
}

static void on_request(void *data, const IpcPeer *peer, const IpcRequest *request)
{
	struct fixture *f = data;
	Asked asked = {.type = request->type, .client = peer->client, .number = request->number};

	assert_true(peer->may_change);
	f->n_asked[request->type]++;
	if (request->type == IPC_READ && f->content) {
		IpcAnswer made = {.result = 0};

		made.read.bytes = g_bytes_get_data(f->content, &made.read.size);
		answer(f, &asked, made);
		return;
	}
	switch (request->type) {
	case IPC_SUBSCRIBE:
		asked.filter = request->subscribe;
		asked.filter.text = NULL;
		break;
	case IPC_UNSUBSCRIBE:
		asked.about = request->unsubscribe.number;
		break;
	case IPC_CANCEL:
		asked.about = request->cancel.number;
		break;
	case IPC_RENEW:
		asked.about = request->renew.token;
		break;
	case IPC_UNLOCK:
		asked.about = request->unlock.token;
		break;
	default:
		break;
	}
	if (request->type == IPC_SUBSCRIBE || request->type == IPC_UNSUBSCRIBE ||
		request->type == IPC_CANCEL)
		answer(f, &asked, (IpcAnswer){.result = 0});
	g_queue_push_tail(&f->asked, g_memdup2(&asked, sizeof(asked)));
}

static void on_gone(void *data, uint64_t client)
{
	((struct fixture *)data)->n_gone++;
}

void served_start(struct fixture *f)
{
	const IpcHandler handler = {.data = f, .request = on_request, .gone = on_gone};

	assert_int_equal(ipc_server_new(f->path, &handler, &f->server, NULL), 0);
}

void served_stop(struct fixture *f)
{
	f->server = ipc_server_free(f->server);
	g_queue_clear_full(&f->asked, g_free);
}

int served_set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	if (tmpdir_set_up(&f->directory) < 0)
		return -1;
	f->path = g_build_filename(f->directory, "socket", NULL);
	g_queue_init(&f->asked);
	served_start(f);
	*state = f;
	return 0;
}

int served_tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	served_stop(f);
	r = tmpdir_tear_down(&f->directory);
	g_clear_pointer(&f->content, g_bytes_unref);
	g_free(f->path);
	g_free(f);
	return r;
}

void settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

static GList *find_asked(const struct fixture *f, IpcType type)
{
	for (GList *at = f->asked.head; at; at = at->next)
		if (((const Asked *)at->data)->type == type)
			return at;
	return NULL;
}

Asked next_asked(struct fixture *f, IpcType type)
{
	g_autofree Asked *asked = NULL;
	GList *found;

	WAIT_UNTIL((found = find_asked(f, type)));
	asked = found->data;
	g_queue_delete_link(&f->asked, found);
	return *asked;
}

void answer(struct fixture *f, const Asked *asked, IpcAnswer made)
{
	made.type = asked->type;
	made.number = asked->number;
	ipc_server_answer(f->server, asked->client, &made);
}

void answer_next(struct fixture *f, IpcType type, int result)
{
	const Asked asked = next_asked(f, type);

	answer(f, &asked, (IpcAnswer){.result = result});
}

void tell(struct fixture *f, const Asked *subscription, const Event *event)
{
	const IpcEvent told = {.number = subscription->number, .event = *event};

	ipc_server_event(f->server, subscription->client, &told);
}

static void on_connected(void *data, bool may_change)
{
	Heard *heard = data;

	heard->n_connected++;
	heard->may_change = may_change;
}

static void on_disconnected(void *data, int reason)
{
	Heard *heard = data;

	heard->n_disconnected++;
	heard->reason = reason;
}

CfsClient *heard_client(struct fixture *f, Heard *heard, GMainContext *context)
{
	const CfsClientHandler handler = {
		.data = heard, .connected = on_connected, .disconnected = on_disconnected};

	return cfs_client_new(f->path, context, &handler);
}
