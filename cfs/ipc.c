/* SPDX-License-Identifier: Apache-2.0 */

/* A client is a non-blocking stream socket, a buffer of what came in, and a queue of messages that
 * go out.  One source polls it, for input while it may ask and for output while something waits.
 *
 * Clients are closed from the main loop only: whoever finds one at fault marks it, and an idle
 * source closes it.  So nobody has to ask, after each call, whether his client is still there.
 *
 * Who may only read stands in line with all others who may: together they get a part of the thread's
 * time, since file system and bus wait for the same thread. */

#include "cfs/ipc.h"

#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdwatch.h"
#include "base/log.h"
#include "base/macro.h"

/* Who may read. */
#define GROUP_NAME "www-data"

#define NO_GROUP ((gid_t)-1)

/* Supplementary groups of a peer that are looked at. */
#define GROUPS_MAX 1024

#define BACKLOG 512

/* What is read at once; the requests that are handled, and the clients that are let in, before
 * others get their turn. */
#define READ_SIZE     (64 * 1024)
#define TURN_REQUESTS 16
#define TURN_CLIENTS  16

/* Of each period, the time that requests of those who may only read can take. */
#define READERS_PERIOD_US 10000
#define READERS_SHARE_US  2000

/* Messages that are written at once, and bytes of events that wait to be written together. */
#define WRITE_MESSAGES      64
#define EVENTS_TOGETHER_MAX (64 * 1024)

/* How long nobody is let in when descriptors have run out. */
#define PAUSE_MS 1000

/* At most so often there is a word about clients at fault, of whom a user may make any number. */
#define COMPLAINT_MS 1000

typedef struct Outgoing {
	GBytes *bytes;
	bool is_event;
} Outgoing;

typedef struct Client {
	IpcServer *server;
	IpcPeer peer;
	int fd;
	GByteArray *in;
	size_t in_done;      /* Bytes of it that are handled. */
	GQueue out;          /* Of Outgoing. */
	size_t out_done;     /* Bytes of the first of them that are sent. */
	size_t answer_bytes; /* In out, sent ones of the first included … */
	size_t event_bytes;  /* … and of events. */
	unsigned n_requests; /* Not answered yet. */
	guint source;        /* Polls. */
	GIOCondition polled; /* For this. */
	guint turn;          /* Handles what is in the buffer already; 0: nothing is to do. */
	bool in_line;        /* In server->readers. */
	bool handling;       /* Requests; what to poll for is decided afterwards. */
	bool closing;
} Client;

struct IpcServer {
	IpcHandler handler;
	char *path;
	gid_t group; /* Who may read; NO_GROUP: nobody but root. */
	int fd;
	guint source;         /* Lets clients in, or waits until it may again. */
	GHashTable *clients;  /* Client by number. */
	uint64_t last_client; /* Number given last. */
	guint closer;         /* Closes those that are marked; 0: none is. */
	GQueue readers;       /* Of Client: who may only read and has asked. */
	guint readers_source; /* Gives them their turns; 0: there is none. */
	int64_t period_us;    /* When this period began … */
	int64_t spent_us;     /* … and the time that they have had and is not paid for. */
	int64_t complained_ms;
};

static void client_update(Client *client);

/* Whether one more complaint is in order. */
static bool may_complain(IpcServer *server)
{
	int64_t now_ms = clock_system()->monotonic_ms(clock_system());

	if (server->complained_ms && now_ms - server->complained_ms < COMPLAINT_MS)
		return false;
	server->complained_ms = now_ms;
	return true;
}

/* --- The end of a client ---------------------------------------------------------------------- */

static void outgoing_free(void *data)
{
	Outgoing *outgoing = data;

	g_bytes_unref(outgoing->bytes);
	g_free(outgoing);
}

static void client_free(void *data)
{
	Client *client = data;

	if (client->source)
		g_source_remove(client->source);
	if (client->turn)
		g_source_remove(client->turn);
	if (client->in_line)
		(void)g_queue_remove(&client->server->readers, client);
	fd_clear(&client->fd);
	g_byte_array_unref(client->in);
	g_queue_clear_full(&client->out, outgoing_free);
	g_free(client);
}

static gboolean on_close(gpointer data)
{
	IpcServer *server = data;
	g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	void *value;

	server->closer = 0;
	g_hash_table_iter_init(&iter, server->clients);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Client *client = value;

		if (client->closing) {
			g_array_append_val(gone, client->peer.client);
			g_hash_table_iter_remove(&iter);
		}
	}
	for (unsigned i = 0; i < gone->len; i++)
		server->handler.gone(server->handler.data, g_array_index(gone, uint64_t, i));
	return G_SOURCE_REMOVE;
}

static void client_close(Client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	if (!client->server->closer)
		client->server->closer =
			g_idle_add_full(G_PRIORITY_DEFAULT, on_close, client->server, NULL);
}

/* --- Input ------------------------------------------------------------------------------------ */

static bool client_may_ask(const Client *client)
{
	unsigned max = client->peer.may_change ? IPC_REQUESTS_MAX : IPC_READER_REQUESTS_MAX;

	return !client->closing && client->n_requests < max &&
	       client->answer_bytes < IPC_ANSWER_BYTES_MAX;
}

/* Bytes of the first message in the buffer when it is whole, otherwise 0.  Of one that is too long,
 * what there is: it will not be found valid. */
static size_t client_whole(const Client *client)
{
	size_t max = client->peer.may_change ? IPC_REQUEST_MAX : IPC_READER_MAX;
	size_t left = client->in->len - client->in_done;
	ssize_t size;

	if (left == 0)
		return 0;
	size = ipc_message_size(client->in->data + client->in_done, left, max);
	return size < 0 ? left : (size_t)size;
}

static void client_handle(Client *client, const uint8_t *data, size_t size)
{
	IpcServer *server = client->server;
	IpcRequest request;
	IpcAnswer refusal;
	int r = ipc_decode_request(data, size, &request);

	if (r < 0) {
		if (may_complain(server))
			log_warning("Disconnecting client %d of user %u: no valid request",
				client->peer.pid, client->peer.uid);
		client_close(client);
		return;
	}

	client->n_requests++;
	if (client->peer.may_change || ipc_type_only_reads(request.type)) {
		server->handler.request(server->handler.data, &client->peer, &request);
		return;
	}
	refusal = (IpcAnswer){.type = request.type, .number = request.number, .result = -EPERM};
	ipc_server_answer(server, client->peer.client, &refusal);
}

/* Handles what has come in whole, a few at a time. */
static void client_take_turn(Client *client, unsigned n_requests)
{
	client->handling = true;
	for (unsigned n = 0; n < n_requests && client_may_ask(client); n++) {
		size_t size = client_whole(client);

		if (size == 0)
			break;
		client->in_done += size;
		client_handle(client, client->in->data + client->in_done - size, size);
	}
	client->handling = false;
	client_update(client);
}

static gboolean on_turn(gpointer data)
{
	Client *client = data;

	client->turn = 0;
	client_take_turn(client, TURN_REQUESTS);
	return G_SOURCE_REMOVE;
}

/* Counts time that was spent on those who may only read. */
static void readers_charge(IpcServer *server, int64_t since_us)
{
	server->spent_us += g_get_monotonic_time() - since_us;
}

/* Each period that is over pays for a share. */
static void readers_settle(IpcServer *server)
{
	int64_t n_periods = (g_get_monotonic_time() - server->period_us) / READERS_PERIOD_US;

	server->period_us += n_periods * READERS_PERIOD_US;
	server->spent_us = MAX(server->spent_us - n_periods * READERS_SHARE_US, 0);
}

static void readers_schedule(IpcServer *server);

static gboolean on_readers(gpointer data)
{
	IpcServer *server = data;
	Client *client;

	server->readers_source = 0;
	readers_settle(server);
	while (server->spent_us < READERS_SHARE_US &&
		(client = g_queue_pop_head(&server->readers))) {
		int64_t began_us = g_get_monotonic_time();

		/* Who has asked for more goes to the end of the line. */
		client->in_line = false;
		client_take_turn(client, 1);
		readers_charge(server, began_us);
	}
	readers_schedule(server);
	return G_SOURCE_REMOVE;
}

/* Who has had more than a share waits until that is paid for. */
static void readers_schedule(IpcServer *server)
{
	int64_t wait_us = 0, n_periods = server->spent_us / READERS_SHARE_US;

	if (server->readers_source || g_queue_is_empty(&server->readers))
		return;
	if (n_periods > 0)
		wait_us =
			server->period_us + n_periods * READERS_PERIOD_US - g_get_monotonic_time();
	server->readers_source =
		g_timeout_add((guint)(MAX(wait_us + 999, 0) / 1000), on_readers, server);
}

/* There are requests in its buffer. */
static void client_line_up(Client *client)
{
	IpcServer *server = client->server;

	if (client->peer.may_change) {
		if (!client->turn)
			client->turn = g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, client, NULL);
		return;
	}
	if (client->in_line)
		return;
	client->in_line = true;
	g_queue_push_tail(&server->readers, client);
	readers_schedule(server);
}

static void client_read(Client *client)
{
	uint8_t buffer[READ_SIZE];
	ssize_t n = recv(client->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n > 0) {
		g_byte_array_remove_range(client->in, 0, (guint)client->in_done);
		client->in_done = 0;
		g_byte_array_append(client->in, buffer, (guint)n);
		if (client->peer.may_change)
			client_take_turn(client, TURN_REQUESTS);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_close(client);
	}
}

/* --- Output ----------------------------------------------------------------------------------- */

/* What is sent goes from the queue. */
static void client_sent(Client *client, size_t n)
{
	Outgoing *first;

	client->out_done += n;
	while ((first = g_queue_peek_head(&client->out))) {
		size_t size = g_bytes_get_size(first->bytes);

		if (client->out_done < size)
			return;
		*(first->is_event ? &client->event_bytes : &client->answer_bytes) -= size;
		client->out_done -= size;
		outgoing_free(g_queue_pop_head(&client->out));
	}
}

static void client_write(Client *client)
{
	while (!client->closing && client->out.length > 0) {
		struct iovec parts[WRITE_MESSAGES];
		struct msghdr message = {.msg_iov = parts};
		size_t skip = client->out_done;
		ssize_t n;

		for (const GList *at = client->out.head; at && message.msg_iovlen < WRITE_MESSAGES;
			at = at->next) {
			size_t size;
			const uint8_t *bytes =
				g_bytes_get_data(((const Outgoing *)at->data)->bytes, &size);

			parts[message.msg_iovlen++] = (struct iovec){
				.iov_base = (void *)(bytes + skip), .iov_len = size - skip};
			skip = 0;
		}
		n = sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			client_sent(client, (size_t)n);
		else if (errno == EAGAIN || errno == EINTR)
			return;
		else
			client_close(client);
	}
}

/* Takes message. */
static void client_send(Client *client, GBytes *message, bool is_event)
{
	Outgoing *outgoing = g_new0(Outgoing, 1);

	outgoing->bytes = message;
	outgoing->is_event = is_event;
	*(is_event ? &client->event_bytes : &client->answer_bytes) += g_bytes_get_size(message);
	g_queue_push_tail(&client->out, outgoing);
	/* Events come in crowds, and go out together in the next turn of the loop. */
	if (!is_event || client->event_bytes >= EVENTS_TOGETHER_MAX)
		client_write(client);
	client_update(client);
}

/* --- Polling ---------------------------------------------------------------------------------- */

static gboolean on_client(gint fd, GIOCondition condition, gpointer data)
{
	Client *client = data;

	if (condition & G_IO_OUT)
		client_write(client);
	if (condition & G_IO_IN && !client->closing)
		client_read(client);
	else if (condition & (G_IO_HUP | G_IO_ERR))
		client_close(client);
	client_update(client);
	return G_SOURCE_CONTINUE;
}

/* Polls for what is wanted now. */
static void client_update(Client *client)
{
	bool may_ask = client_may_ask(client), whole = client_whole(client) > 0;
	GIOCondition wanted = 0;

	if (client->handling)
		return;
	if (!client->closing)
		wanted |= G_IO_HUP | G_IO_ERR;
	if (!client->closing && client->out.length > 0)
		wanted |= G_IO_OUT;
	if (may_ask && !whole)
		wanted |= G_IO_IN;
	if (may_ask && whole)
		client_line_up(client);
	if (wanted == client->polled)
		return;

	if (client->source)
		g_source_remove(client->source);
	client->source = wanted ? fd_watch_add(client->fd, wanted, on_client, client) : 0;
	client->polled = wanted;
}

/* --- Letting in ------------------------------------------------------------------------------- */

static bool peer_is_in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t size = sizeof(groups);

	if (group == NO_GROUP)
		return false;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static unsigned count_clients(const IpcServer *server, uid_t uid)
{
	GHashTableIter iter;
	unsigned n = 0;
	void *value;

	g_hash_table_iter_init(&iter, server->clients);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		n += ((const Client *)value)->peer.uid == uid;
	return n;
}

/* 0, or why the peer may not come in. */
static int check_peer(const IpcServer *server, int fd, IpcPeer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*ret = (IpcPeer){.pid = cred.pid, .uid = cred.uid, .may_change = cred.uid == 0};
	if (!ret->may_change && !peer_is_in_group(fd, cred.gid, server->group))
		return -EACCES;
	if (g_hash_table_size(server->clients) >= IPC_CLIENTS_MAX ||
		(cred.uid != 0 && count_clients(server, cred.uid) >= IPC_USER_CLIENTS_MAX))
		return -EUSERS;
	return 0;
}

static void turn_away(IpcServer *server, int fd, const IpcPeer *peer, int reason)
{
	const IpcAnswer greeting = {.type = IPC_HELLO, .result = reason};
	g_autoptr(GBytes) message = ipc_encode_answer(&greeting);

	if (may_complain(server))
		log_warning_errno(
			reason, "Turning away client %d of user %u", peer->pid, peer->uid);
	/* A new socket has room for it, and who has gone already needs no answer. */
	(void)send(fd, g_bytes_get_data(message, NULL), g_bytes_get_size(message),
		MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

/* Takes fd. */
static void let_in(IpcServer *server, int fd)
{
	IpcAnswer greeting = {.type = IPC_HELLO};
	IpcPeer peer = {0};
	Client *client;
	int r = check_peer(server, fd, &peer);

	if (r < 0) {
		turn_away(server, fd, &peer, r);
		return;
	}
	client = g_new0(Client, 1);
	client->server = server;
	client->peer = peer;
	client->peer.client = ++server->last_client;
	client->fd = fd;
	client->in = g_byte_array_new();
	g_queue_init(&client->out);
	g_hash_table_insert(server->clients, &client->peer.client, client);
	greeting.hello.may_change = peer.may_change;
	client_send(client, ipc_encode_answer(&greeting), false);
}

static gboolean on_pause_over(gpointer data);

static gboolean on_connect(gint fd, GIOCondition condition, gpointer data)
{
	IpcServer *server = data;

	for (unsigned n = 0; n < TURN_CLIENTS; n++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (accepted >= 0) {
			let_in(server, accepted);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warning_errno(-errno, "Cannot let a client in");
			server->source = g_timeout_add(PAUSE_MS, on_pause_over, server);
			return G_SOURCE_REMOVE;
		}
		break;
	}
	return G_SOURCE_CONTINUE;
}

static gboolean on_pause_over(gpointer data)
{
	IpcServer *server = data;

	server->source = fd_watch_add(server->fd, G_IO_IN, on_connect, server);
	return G_SOURCE_REMOVE;
}

/* --- The server ------------------------------------------------------------------------------- */

/* Removes a socket that nobody listens at. */
static int remove_dead(const struct sockaddr_un *address)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno == ENOENT)
		return 0;
	if (errno != ECONNREFUSED)
		return -errno;
	return RET_ERRNO(unlink(address->sun_path));
}

/* Where /run is empty after a boot and nobody else has made it. */
static int make_parent(const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path);

	if (mkdir(parent, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	/* Everybody may look for the socket, whatever our umask. */
	return RET_ERRNO(chmod(parent, 0755));
}

static int listen_at(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	r = make_parent(path);
	if (r == 0)
		r = remove_dead(&address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	/* Everybody may knock: who may come in is asked of the peer's credentials, since giving the
	 * file to the group would take a capability that nothing else needs. */
	if (chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int ipc_server_new(const char *path, const IpcHandler *handler, IpcServer **ret, GError **err)
{
	g_autoptr(IpcServer) server = g_new0(IpcServer, 1);
	const struct group *group = getgrnam(GROUP_NAME);
	int r;

	assert(handler->request && handler->gone);

	server->handler = *handler;
	server->fd = -1;
	server->group = group ? group->gr_gid : NO_GROUP;
	g_queue_init(&server->readers);
	server->clients = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, client_free);
	r = listen_at(path, &server->fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot listen at '%s'", path);
	server->path = g_strdup(path);
	server->source = fd_watch_add(server->fd, G_IO_IN, on_connect, server);
	*ret = g_steal_pointer(&server);
	return 0;
}

IpcServer *ipc_server_free(IpcServer *server)
{
	if (!server)
		return NULL;

	if (server->source)
		g_source_remove(server->source);
	if (server->closer)
		g_source_remove(server->closer);
	if (server->readers_source)
		g_source_remove(server->readers_source);
	g_hash_table_unref(server->clients);
	fd_clear(&server->fd);
	if (server->path)
		(void)unlink(server->path);
	g_free(server->path);
	g_free(server);
	return NULL;
}

void ipc_server_answer(IpcServer *server, uint64_t number, const IpcAnswer *answer)
{
	Client *client = g_hash_table_lookup(server->clients, &number);
	int64_t began_us = g_get_monotonic_time();

	if (!client)
		return;
	assert(client->n_requests > 0);

	client->n_requests--;
	client_send(client, ipc_encode_answer(answer), false);
	/* One that comes in its turn counts there. */
	if (!client->peer.may_change && !client->handling)
		readers_charge(server, began_us);
}

void ipc_server_event(IpcServer *server, uint64_t number, const IpcEvent *event)
{
	Client *client = g_hash_table_lookup(server->clients, &number);

	if (!client || client->closing)
		return;
	if (client->event_bytes >= IPC_EVENT_BYTES_MAX) {
		if (may_complain(server))
			log_warning(
				"Disconnecting client %d of user %u: it does not read its events",
				client->peer.pid, client->peer.uid);
		client_close(client);
		return;
	}
	client_send(client, ipc_encode_event(event), true);
}
