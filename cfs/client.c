/* SPDX-License-Identifier: Apache-2.0 */

/* A connection is a non-blocking socket, a buffer of what came in, and one of what goes out.  It
 * counts as made when the server's greeting is there. */

#include "cfs/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <glib-unix.h>

#include "base/macro.h"
#include "base/paths.h"
#include "cfs/client_internal.h"

/* Pauses between attempts to connect. */
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 2000

/* What is read at once, and what may wait to be sent. */
#define READ_SIZE (64 * 1024)
#define OUT_MAX   (4 * IPC_REQUEST_MAX)

typedef struct Pending {
	CfsAnswer answer;
	void *data;
	IpcType type;
} Pending;

struct CfsSubscription {
	CfsClient *client;
	EventFilter filter; /* Its text is ours. */
	CfsEvent told;
	void *data;
	int64_t number; /* Of the request of this connection; 0: there is none. */
};

struct CfsClient {
	char *path;
	GMainContext *context;
	CfsClientHandler handler;
	int fd;        /* -1: not connected. */
	bool greeted;  /* The server has let us in. */
	bool told;     /* That there is no connection. */
	GSource *poll; /* Of fd … */
	GIOCondition polled;
	GSource *retry; /* Connects; NULL: there is a connection. */
	unsigned retry_ms;
	GByteArray *in;
	GByteArray *out;
	GHashTable *pending; /* Pending by number. */
	GPtrArray *subscriptions;
	GPtrArray *watchers;
	int64_t last_number;
};

static void client_connect_after(CfsClient *client, unsigned wait_ms);
static void client_poll(CfsClient *client);

static void source_clear(GSource **source)
{
	if (!*source)
		return;
	g_source_destroy(*source);
	g_source_unref(*source);
	*source = NULL;
}

/* --- The end of a connection ------------------------------------------------------------------ */

/* Tells those who wait for answers.  They may give up others that wait (cfs_client_redirect()), but
 * nobody can ask while there is no connection, so the table stays as it is. */
static void fail_pending(CfsClient *client)
{
	GHashTableIter iter;
	void *key, *value;

	assert(!client->greeted);

	g_hash_table_iter_init(&iter, client->pending);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const Pending *lost = value;
		const IpcAnswer answer = {
			.type = lost->type,
			.number = (uint64_t) * (const int64_t *)key,
			.result = -ECONNRESET,
		};

		if (lost->answer)
			lost->answer(lost->data, &answer);
	}
	g_hash_table_remove_all(client->pending);
}

static void client_disconnect(CfsClient *client, int reason)
{
	bool first = !client->told;

	source_clear(&client->poll);
	client->polled = 0;
	fd_clear(&client->fd);
	g_byte_array_set_size(client->in, 0);
	g_byte_array_set_size(client->out, 0);
	client->greeted = false;
	client->told = true;
	for (unsigned i = 0; i < client->subscriptions->len; i++)
		((CfsSubscription *)g_ptr_array_index(client->subscriptions, i))->number = 0;
	client_connect_after(client, client->retry_ms);
	client->retry_ms = MIN(client->retry_ms * 2, RETRY_MAX_MS);
	fail_pending(client);
	if (first && client->handler.disconnected)
		client->handler.disconnected(client->handler.data, reason);
}

/* --- Subscriptions ---------------------------------------------------------------------------- */

static void subscription_request(CfsSubscription *subscription)
{
	IpcRequest request = {.type = IPC_SUBSCRIBE, .subscribe = subscription->filter};
	int64_t number = cfs_client_send(subscription->client, &request, NULL, NULL);

	/* Without a connection it is asked for when there is one. */
	subscription->number = MAX(number, 0);
}

CfsSubscription *cfs_client_subscribe(
	CfsClient *client, const EventFilter *filter, CfsEvent told, void *data)
{
	CfsSubscription *subscription = g_new0(CfsSubscription, 1);

	assert(client->subscriptions->len < EVENTS_FILTERS_MAX);
	assert(told);

	subscription->client = client;
	subscription->filter = *filter;
	subscription->filter.text = g_strdup(filter->text);
	subscription->told = told;
	subscription->data = data;
	g_ptr_array_add(client->subscriptions, subscription);
	subscription_request(subscription);
	return subscription;
}

CfsSubscription *cfs_subscription_free(CfsSubscription *subscription)
{
	IpcRequest request = {.type = IPC_UNSUBSCRIBE};

	if (!subscription)
		return NULL;

	if (subscription->number > 0) {
		request.unsubscribe.number = (uint64_t)subscription->number;
		(void)cfs_client_send(subscription->client, &request, NULL, NULL);
	}
	g_ptr_array_remove(subscription->client->subscriptions, subscription);
	g_free((char *)subscription->filter.text);
	g_free(subscription);
	return NULL;
}

/* --- What comes in ---------------------------------------------------------------------------- */

static void on_greeting(CfsClient *client, const IpcAnswer *answer)
{
	client->greeted = true;
	client->told = false;
	client->retry_ms = RETRY_MIN_MS;
	for (unsigned i = 0; i < client->subscriptions->len; i++)
		subscription_request(g_ptr_array_index(client->subscriptions, i));
	for (unsigned i = 0; i < client->watchers->len; i++) {
		CfsWatcher *watcher = g_ptr_array_index(client->watchers, i);

		watcher->connected(watcher);
	}
	if (client->handler.connected)
		client->handler.connected(client->handler.data, answer->hello.may_change);
}

static void on_answer(CfsClient *client, const IpcAnswer *answer)
{
	int64_t number = (int64_t)answer->number;
	const Pending *found = g_hash_table_lookup(client->pending, &number);
	Pending pending;

	if (!found)
		return;
	pending = *found;
	(void)g_hash_table_remove(client->pending, &number);
	if (pending.answer)
		pending.answer(pending.data, answer);
}

static void on_event(CfsClient *client, const IpcEvent *event)
{
	for (unsigned i = 0; i < client->subscriptions->len; i++) {
		CfsSubscription *subscription = g_ptr_array_index(client->subscriptions, i);

		if ((uint64_t)subscription->number == event->number) {
			subscription->told(subscription->data, &event->event);
			return;
		}
	}
}

/* 0, or why the connection must end. */
static int on_reply(CfsClient *client, const IpcReply *reply)
{
	bool greets = !reply->is_event && reply->answer.type == IPC_HELLO;

	/* The greeting comes first, and once. */
	if (greets == client->greeted)
		return -EPROTO;
	if (reply->is_event)
		on_event(client, &reply->event);
	else if (!greets)
		on_answer(client, &reply->answer);
	else if (reply->answer.result < 0)
		return reply->answer.result;
	else
		on_greeting(client, &reply->answer);
	return 0;
}

/* Handles what is there in whole. */
static int handle_input(CfsClient *client)
{
	const uint8_t *data = client->in->data;
	size_t left = client->in->len;
	ssize_t size = 0;
	IpcReply reply;
	int r = 0;

	while (r == 0 && (size = ipc_message_size(data, left, IPC_ANSWER_MAX)) > 0) {
		r = ipc_decode_reply(data, (size_t)size, &reply);
		if (r == 0)
			r = on_reply(client, &reply);
		data += size;
		left -= (size_t)size;
	}
	if (r == 0 && size < 0)
		r = (int)size;
	if (r == 0)
		g_byte_array_remove_range(client->in, 0, client->in->len - (guint)left);
	return r;
}

static int client_read(CfsClient *client)
{
	uint8_t buffer[READ_SIZE];
	ssize_t n = recv(client->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	g_byte_array_append(client->in, buffer, (guint)n);
	return handle_input(client);
}

static int client_write(CfsClient *client)
{
	ssize_t n =
		send(client->fd, client->out->data, client->out->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	g_byte_array_remove_range(client->out, 0, (guint)n);
	return 0;
}

/* --- The connection --------------------------------------------------------------------------- */

static gboolean on_poll(gint fd, GIOCondition condition, gpointer data)
{
	CfsClient *client = data;
	int r = 0;

	/* A refusal is read before the end is noticed. */
	if (condition & G_IO_IN)
		r = client_read(client);
	else if (condition & (G_IO_HUP | G_IO_ERR))
		r = -ECONNRESET;
	if (r == 0 && condition & G_IO_OUT)
		r = client_write(client);
	if (r < 0)
		client_disconnect(client, r);
	else
		client_poll(client);
	return G_SOURCE_CONTINUE;
}

/* Polls for what is wanted now. */
static void client_poll(CfsClient *client)
{
	GIOCondition wanted = G_IO_IN | (client->out->len > 0 ? G_IO_OUT : 0);

	if (client->polled == wanted)
		return;
	source_clear(&client->poll);
	client->poll = g_unix_fd_source_new(client->fd, wanted);
	g_source_set_callback(client->poll, G_SOURCE_FUNC(on_poll), client, NULL);
	(void)g_source_attach(client->poll, client->context);
	client->polled = wanted;
}

static int connect_to(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static gboolean on_retry(gpointer data)
{
	CfsClient *client = data;
	int r;

	source_clear(&client->retry);
	r = connect_to(client->path, &client->fd);
	if (r < 0)
		client_disconnect(client, r);
	else
		client_poll(client);
	return G_SOURCE_REMOVE;
}

static void client_connect_after(CfsClient *client, unsigned wait_ms)
{
	client->retry = g_timeout_source_new(wait_ms);
	g_source_set_callback(client->retry, on_retry, client, NULL);
	(void)g_source_attach(client->retry, client->context);
}

/* --- Life ------------------------------------------------------------------------------------- */

CfsClient *cfs_client_new(
	const char *socket_path, GMainContext *context, const CfsClientHandler *handler)
{
	CfsClient *client = g_new0(CfsClient, 1);

	client->path = g_strdup(socket_path ? socket_path : PATH_STORE_SOCKET);
	client->context =
		context ? g_main_context_ref(context) : g_main_context_ref_thread_default();
	client->handler = *handler;
	client->fd = -1;
	client->retry_ms = RETRY_MIN_MS;
	client->in = g_byte_array_new();
	client->out = g_byte_array_new();
	client->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	client->subscriptions = g_ptr_array_new();
	client->watchers = g_ptr_array_new();
	client_connect_after(client, 0);
	return client;
}

CfsClient *cfs_client_free(CfsClient *client)
{
	if (!client)
		return NULL;
	assert(client->subscriptions->len == 0);
	assert(client->watchers->len == 0);

	source_clear(&client->poll);
	source_clear(&client->retry);
	fd_clear(&client->fd);
	g_byte_array_unref(client->in);
	g_byte_array_unref(client->out);
	g_hash_table_unref(client->pending);
	g_ptr_array_unref(client->subscriptions);
	g_ptr_array_unref(client->watchers);
	g_main_context_unref(client->context);
	g_free(client->path);
	g_free(client);
	return NULL;
}

bool cfs_client_is_connected(const CfsClient *client)
{
	return client->greeted;
}

/* --- Requests --------------------------------------------------------------------------------- */

int64_t cfs_client_send(CfsClient *client, const IpcRequest *request, CfsAnswer answer, void *data)
{
	IpcRequest numbered = *request;
	g_autoptr(GBytes) bytes = NULL;
	Pending *pending;
	size_t size;
	const void *encoded;

	if (!client->greeted)
		return -ENOTCONN;
	numbered.number = (uint64_t)(client->last_number + 1);
	bytes = ipc_encode_request(&numbered);
	encoded = g_bytes_get_data(bytes, &size);
	if (size > IPC_REQUEST_MAX)
		return -EMSGSIZE;
	if (size > OUT_MAX - client->out->len)
		return -EAGAIN;

	pending = g_new0(Pending, 1);
	pending->answer = answer;
	pending->data = data;
	pending->type = request->type;
	client->last_number++;
	g_hash_table_insert(
		client->pending, g_memdup2(&client->last_number, sizeof(int64_t)), pending);
	/* Sent from the loop, where a connection that is lost can be given up. */
	g_byte_array_append(client->out, encoded, (guint)size);
	client_poll(client);
	return client->last_number;
}

int64_t cfs_client_change(CfsClient *client, const Op *op, CfsAnswer answer, void *data)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	IpcRequest request = {.type = IPC_CHANGE};
	int r = op_check(op);

	if (r < 0)
		return r;
	op_encode(op, bytes);
	request.change.bytes = bytes->data;
	request.change.size = bytes->len;
	return cfs_client_send(client, &request, answer, data);
}

void cfs_client_redirect(CfsClient *client, int64_t number, CfsAnswer answer, void *data)
{
	Pending *pending = g_hash_table_lookup(client->pending, &number);

	if (!pending)
		return;
	pending->answer = answer;
	pending->data = data;
}

/* --- For client_lock.c ------------------------------------------------------------------------ */

void client_add_watcher(CfsClient *client, CfsWatcher *watcher)
{
	g_ptr_array_add(client->watchers, watcher);
}

void client_remove_watcher(CfsClient *client, CfsWatcher *watcher)
{
	g_ptr_array_remove(client->watchers, watcher);
}

GMainContext *client_context(const CfsClient *client)
{
	return client->context;
}
