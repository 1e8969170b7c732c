/* SPDX-License-Identifier: Apache-2.0 */

/* Clients that send anything, in pieces, and go at any time.  Whatever they do, another client is
 * answered.  They may change, but for the last of them, which may only read.
 *
 *	input   commands: u8, and for some of them bytes to send: u16 size, bytes */

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cfs/ipc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_dir.h"

#define N_CLIENTS 3
#define READER    (N_CLIENTS - 1)

/* Who may only read: a user in the store's group. */
#define READER_UID   65534
#define READER_GROUP "www-data"

#define STEPS_MAX 200
#define TURNS_MAX 1000

/* Requests whose answer is kept back for a while. */
typedef struct Later {
	uint64_t client;
	IpcType type;
	uint64_t number;
} Later;

static IpcServer *server;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static GQueue later = G_QUEUE_INIT;
static int good = -1; /* The other client. */
static gid_t group;   /* Of those who may only read. */

static void answer(const Later *to)
{
	const IpcAnswer refusal = {.type = to->type, .number = to->number, .result = -ENOENT};

	ipc_server_answer(server, to->client, &refusal);
}

static void on_request(void *data, const IpcPeer *peer, const IpcRequest *request)
{
	const Later asked = {
		.client = peer->client, .type = request->type, .number = request->number};

	assert(peer->may_change == (peer->uid == 0));
	assert(peer->may_change || ipc_type_only_reads(request->type));

	/* The good client asks for the state, and the others are also told of an event then. */
	if (request->type == IPC_SUBSCRIBE) {
		const IpcEvent event = {.number = request->number,
			.event = {.kind = EVENT_PATH, .version = 1, .text = "path"}};

		ipc_server_event(server, peer->client, &event);
	}
	if (request->type == IPC_LOCK)
		g_queue_push_tail(&later, g_memdup2(&asked, sizeof(asked)));
	else
		answer(&asked);
}

static void become(uid_t user, gid_t primary)
{
	int r = seteuid(0);

	assert(r == 0);
	r = setegid(primary);
	assert(r == 0);
	r = seteuid(user);
	assert(r == 0);
	/* To find the socket where only we may look. */
	(void)setfsuid(0);
}

static void on_gone(void *data, uint64_t client)
{
}

static int connect_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = connect(fd, (const struct sockaddr *)&address, sizeof(address));

	assert(fd >= 0 && r == 0);
	return fd;
}

/* A client's number says who connects: the server looks at that moment. */
static int connect_number(unsigned i)
{
	int fd;

	if (i != READER)
		return connect_client();
	become(READER_UID, group);
	fd = connect_client();
	become(0, 0);
	return fd;
}

static void run_loop(unsigned turns)
{
	while (turns-- > 0 && g_main_context_iteration(NULL, FALSE))
		continue;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const IpcHandler handler = {.request = on_request, .gone = on_gone};
	const struct group *found = getgrnam(READER_GROUP);
	int r;

	/* It is root whom the server lets in, and who can become others. */
	assert(found && geteuid() == 0);
	group = found->gr_gid;

	(void)g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/ipc", fuzz_directory());
	r = ipc_server_new(address.sun_path, &handler, &server, NULL);
	assert(r == 0);
	good = connect_client();
	run_loop(TURNS_MAX);
	return 0;
}

/* Takes all that is there; whether there was anything. */
static bool drain(int fd)
{
	uint8_t buffer[65536];
	bool any = false;

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		any = true;
	return any;
}

static void step(int *clients, FuzzInput *input)
{
	unsigned command = (unsigned)fuzz_number(input, 1);
	unsigned i = command / 8 % N_CLIENTS;
	int *fd = &clients[i];
	const uint8_t *bytes;
	Later *asked;
	size_t size;

	switch (command % 8) {
	case 0:
		run_loop((unsigned)fuzz_number(input, 1));
		break;
	case 1:
		(void)drain(*fd);
		break;
	case 2:
		(void)shutdown(*fd, SHUT_WR);
		break;
	case 3:
		(void)close(*fd);
		*fd = connect_number(i);
		break;
	case 4:
		asked = g_queue_pop_head(&later);
		if (asked)
			answer(asked);
		g_free(asked);
		break;
	default:
		bytes = fuzz_bytes(input, fuzz_number(input, 2), &size);
		(void)send(*fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	}
}

static void expect_service(void)
{
	const IpcRequest request = {.type = IPC_STATE, .number = 1};
	g_autoptr(GBytes) message = ipc_encode_request(&request);
	gsize size;
	const void *bytes = g_bytes_get_data(message, &size);
	bool answered = false;
	ssize_t n;

	(void)drain(good);
	n = send(good, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	assert(n == (ssize_t)size);
	for (unsigned i = 0; i < TURNS_MAX && !answered; i++) {
		run_loop(1);
		answered = drain(good);
	}
	assert(answered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {.at = data, .left = size};
	int clients[N_CLIENTS];

	for (unsigned i = 0; i < N_CLIENTS; i++)
		clients[i] = connect_number(i);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++)
		step(clients, &input);
	expect_service();
	for (unsigned i = 0; i < N_CLIENTS; i++)
		(void)close(clients[i]);
	g_queue_clear_full(&later, g_free);
	run_loop(TURNS_MAX);
	return 0;
}
