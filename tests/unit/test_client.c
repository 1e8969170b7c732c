/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macro.h"
#include "tests/unit/served.h"

#define N_ANSWERS 400

/* What came of one request. */
typedef struct Outcome {
	unsigned n;
	IpcAnswer answer; /* Without what it points to. */
} Outcome;

static void on_answer(void *data, const IpcAnswer *answer)
{
	Outcome *outcome = data;

	outcome->n++;
	outcome->answer = *answer;
}

static int64_t ask(CfsClient *client, IpcType type, Outcome *outcome)
{
	const IpcRequest request = {.type = type};

	*outcome = (Outcome){0};
	return cfs_client_send(client, &request, on_answer, outcome);
}

static CfsClient *connected_client(struct fixture *f, Heard *heard)
{
	CfsClient *client = heard_client(f, heard, NULL);

	WAIT_UNTIL(heard->n_connected > 0);
	return client;
}

/* --- Connecting ------------------------------------------------------------------------------- */

static void who_is_greeted_is_connected(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome outcome;
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	assert_false(cfs_client_is_connected(client));
	assert_int_equal(ask(client, IPC_STATE, &outcome), -ENOTCONN);
	WAIT_UNTIL(heard.n_connected > 0);
	assert_true(cfs_client_is_connected(client));
	assert_true(heard.may_change);
	assert_true(ask(client, IPC_STATE, &outcome) > 0);
	assert_int_equal(heard.n_disconnected, 0);
}

static void a_store_that_is_not_there_is_told_once_and_waited_for(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	g_autoptr(CfsClient) client = NULL;
	int64_t until_us = g_get_monotonic_time() + 200000;

	served_stop(f);
	client = heard_client(f, &heard, NULL);
	WAIT_UNTIL(heard.n_disconnected > 0);
	assert_int_equal(heard.reason, -ENOENT);
	WAIT_UNTIL(g_get_monotonic_time() > until_us);
	assert_int_equal(heard.n_disconnected, 1);
	served_start(f);
	WAIT_UNTIL(heard.n_connected > 0);
}

static void a_store_that_returns_is_connected_to_again(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome outcome;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	for (unsigned i = 1; i <= 3; i++) {
		served_stop(f);
		WAIT_UNTIL(heard.n_disconnected == i);
		assert_int_equal(heard.reason, -ECONNRESET);
		assert_int_equal(ask(client, IPC_STATE, &outcome), -ENOTCONN);
		served_start(f);
		WAIT_UNTIL(heard.n_connected == i + 1);
	}
}

/* Somebody who listens in the place of the store, and says something to the first who comes. */
static int speak(struct fixture *f, GBytes *words)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	(void)g_strlcpy(address.sun_path, f->path, sizeof(address.sun_path));
	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	/* The client does not wait to be let in. */
	settle();
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, g_bytes_get_data(words, NULL), g_bytes_get_size(words)),
		g_bytes_get_size(words));
	(void)close(listener);
	assert_int_equal(unlink(f->path), 0);
	return fd;
}

/* What makes a client of such a store. */
static void assert_refused(struct fixture *f, GBytes *words, int reason)
{
	Heard heard = {0};
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);
	auto_close int fd = speak(f, words);

	WAIT_UNTIL(heard.n_disconnected > 0);
	assert_int_equal(heard.n_connected, 0);
	assert_int_equal(heard.reason, reason);
	g_bytes_unref(words);
}

static void who_is_turned_away_is_told_why(void **state)
{
	static const int reasons[] = {-EACCES, -EUSERS};
	struct fixture *f = *state;

	served_stop(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(reasons); i++) {
		const IpcAnswer greeting = {.type = IPC_HELLO, .result = reasons[i]};

		assert_refused(f, ipc_encode_answer(&greeting), reasons[i]);
	}
}

static void a_store_that_talks_nonsense_is_left(void **state)
{
	const IpcAnswer no_greeting = {.type = IPC_BARRIER, .number = 1};
	const IpcEvent event = {.number = 1, .event = {.kind = EVENT_LOG, .text = ""}};
	struct fixture *f = *state;

	served_stop(f);
	assert_refused(f, ipc_encode_answer(&no_greeting), -EPROTO);
	assert_refused(f, ipc_encode_event(&event), -EPROTO);
	assert_refused(f, g_bytes_new_static("\xff\xff\xff\xff", 4), -EMSGSIZE);
	assert_refused(f, g_bytes_new_static("\4\0\0\0\1bcd", 8), -EBADMSG);
	assert_refused(f, g_bytes_new_static("\4\0\0\0\2bcd", 8), -EPROTONOSUPPORT);
}

static void a_second_greeting_ends_the_connection(void **state)
{
	const IpcAnswer greeting = {.type = IPC_HELLO, .hello.may_change = false};
	g_autoptr(GBytes) words = ipc_encode_answer(&greeting);
	struct fixture *f = *state;
	Heard heard = {0};
	g_autoptr(CfsClient) client = NULL;
	auto_close int fd = -1;

	served_stop(f);
	client = heard_client(f, &heard, NULL);
	fd = speak(f, words);
	WAIT_UNTIL(heard.n_connected > 0);
	assert_false(heard.may_change);
	assert_true(write(fd, g_bytes_get_data(words, NULL), g_bytes_get_size(words)) > 0);
	WAIT_UNTIL(heard.n_disconnected > 0);
	assert_int_equal(heard.reason, -EPROTO);
}

/* --- Requests --------------------------------------------------------------------------------- */

static void answers_reach_who_asked_in_any_order(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome outcomes[3];
	Asked asked[3];
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ask(client, IPC_CHANGE, &outcomes[i]), i + 1);
	for (unsigned i = 0; i < 3; i++)
		asked[i] = next_asked(f, IPC_CHANGE);
	for (unsigned i = 3; i-- > 0;) {
		answer(f, &asked[i], (IpcAnswer){.change.version = 100 + i});
		WAIT_UNTIL(outcomes[i].n > 0);
		assert_int_equal(outcomes[i].answer.number, i + 1);
		assert_int_equal(outcomes[i].answer.change.version, 100 + i);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(outcomes[i].n, 1);
}

static void a_wrong_change_is_refused_here(void **state)
{
	struct fixture *f = *state;
	g_autoptr(Op) op = op_new(OP_MKDIR, "a//b");
	Heard heard = {0};
	Outcome outcome = {0};
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	assert_int_equal(cfs_client_change(client, op, on_answer, &outcome), -EINVAL);
	settle();
	assert_int_equal(outcome.n, 0);
	assert_int_equal(f->n_asked[IPC_CHANGE], 0);
}

static void what_is_lost_with_the_connection_is_answered(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome outcome;
	int64_t number;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	number = ask(client, IPC_BARRIER, &outcome);
	settle();
	served_stop(f);
	WAIT_UNTIL(outcome.n > 0);
	assert_int_equal(outcome.answer.type, IPC_BARRIER);
	assert_int_equal(outcome.answer.number, number);
	assert_int_equal(outcome.answer.result, -ECONNRESET);
}

static void an_answer_can_go_to_another_or_to_nobody(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome first, second, other = {0};
	int64_t number;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	number = ask(client, IPC_BARRIER, &first);
	cfs_client_redirect(client, number, on_answer, &other);
	answer_next(f, IPC_BARRIER, -ENOSPC);
	WAIT_UNTIL(other.n > 0);
	assert_int_equal(other.answer.result, -ENOSPC);
	assert_int_equal(first.n, 0);
	/* It has been answered: too late. */
	cfs_client_redirect(client, number, on_answer, &first);

	number = ask(client, IPC_BARRIER, &second);
	cfs_client_redirect(client, number, NULL, NULL);
	answer_next(f, IPC_BARRIER, 0);
	settle();
	assert_int_equal(first.n + second.n, 0);
	assert_int_equal(other.n, 1);
}

static void what_can_be_sent_has_limits(void **state)
{
	enum { LARGE = IPC_REQUEST_MAX - 64 };
	struct fixture *f = *state;
	g_autofree uint8_t *bytes = g_malloc0(IPC_REQUEST_MAX);
	IpcRequest request = {.type = IPC_CHANGE};
	Heard heard = {0};
	Outcome outcome = {0};
	int64_t r;
	unsigned n = 0;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	request.change.bytes = bytes;
	request.change.size = IPC_REQUEST_MAX;
	assert_int_equal(cfs_client_send(client, &request, on_answer, &outcome), -EMSGSIZE);
	request.change.size = LARGE;
	while ((r = cfs_client_send(client, &request, on_answer, &outcome)) > 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n > 1 && n < 10);
	for (unsigned i = 0; i < n; i++)
		answer_next(f, IPC_CHANGE, 0);
	WAIT_UNTIL(outcome.n == n);
	assert_true(cfs_client_send(client, &request, on_answer, &outcome) > 0);
	answer_next(f, IPC_CHANGE, 0);
	WAIT_UNTIL(outcome.n == n + 1);
}

static void so_many_requests_wait_for_an_answer_and_no_more(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Outcome outcomes[N_ANSWERS];
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	for (unsigned i = 0; i < N_ANSWERS; i++)
		assert_true(ask(client, IPC_BARRIER, &outcomes[i]) > 0);
	settle();
	assert_int_equal(f->n_asked[IPC_BARRIER], IPC_REQUESTS_MAX);
	for (unsigned i = 0; i < N_ANSWERS; i++)
		answer_next(f, IPC_BARRIER, 0);
	WAIT_UNTIL(outcomes[N_ANSWERS - 1].n > 0);
	for (unsigned i = 0; i < N_ANSWERS; i++)
		assert_int_equal(outcomes[i].n, 1);
}

/* A client that does something only when its context is run. */
static CfsClient *sleepy_client(struct fixture *f, Heard *heard, GMainContext *context)
{
	CfsClient *client = heard_client(f, heard, context);

	while (heard->n_connected == 0) {
		(void)g_main_context_iteration(context, FALSE);
		settle();
	}
	return client;
}

static void who_does_not_read_answers_is_not_heard_until_it_does(void **state)
{
	enum { N = 100 };
	const IpcRequest request = {.type = IPC_READ, .read.path = ""};
	struct fixture *f = *state;
	g_autoptr(GMainContext) context = g_main_context_new();
	Heard heard = {0};
	Outcome outcome = {0};
	g_autoptr(CfsClient) client = sleepy_client(f, &heard, context);

	f->content =
		g_bytes_new_take(g_malloc0(IPC_ANSWER_BYTES_MAX / 4), IPC_ANSWER_BYTES_MAX / 4);
	for (unsigned i = 0; i < N; i++)
		assert_true(cfs_client_send(client, &request, on_answer, &outcome) > 0);
	(void)g_main_context_iteration(context, FALSE);
	settle();
	/* What fills its queue, and what the socket holds. */
	assert_true(f->n_asked[IPC_READ] >= 4 && f->n_asked[IPC_READ] < 20);
	while (outcome.n < N) {
		(void)g_main_context_iteration(context, FALSE);
		settle();
	}
	assert_int_equal(outcome.answer.result, 0);
	assert_int_equal(heard.n_disconnected, 0);
}

/* --- Events ----------------------------------------------------------------------------------- */

/* What a subscription was told. */
typedef struct Told {
	unsigned n;
	uint64_t version; /* Of the last. */
	CfsSubscription *subscription;
	bool last; /* The subscription ends with the next event. */
} Told;

static void on_event(void *data, const Event *event)
{
	Told *told = data;

	told->n++;
	told->version = event->version;
	assert_string_equal(event->text, "path");
	if (told->last)
		told->subscription = cfs_subscription_free(told->subscription);
}

static CfsSubscription *subscribe(CfsClient *client, EventKind kind, Told *told)
{
	const EventFilter filter = {.kinds = kind, .text = ""};

	*told = (Told){0};
	told->subscription = cfs_client_subscribe(client, &filter, on_event, told);
	return told->subscription;
}

static void tell_version(struct fixture *f, const Asked *subscription, uint64_t version)
{
	const Event event = {.kind = EVENT_PATH, .version = version, .text = "path"};

	tell(f, subscription, &event);
}

static void events_go_to_the_subscription_that_asked(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Told paths, status;
	Asked asked_paths, asked_status;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	(void)subscribe(client, EVENT_PATH, &paths);
	(void)subscribe(client, EVENT_STATUS, &status);
	asked_paths = next_asked(f, IPC_SUBSCRIBE);
	asked_status = next_asked(f, IPC_SUBSCRIBE);
	assert_int_equal(asked_paths.filter.kinds, EVENT_PATH);
	assert_int_equal(asked_status.filter.kinds, EVENT_STATUS);
	tell_version(f, &asked_status, 7);
	tell_version(f, &asked_paths, 8);
	WAIT_UNTIL(paths.n > 0 && status.n > 0);
	assert_int_equal(status.version, 7);
	assert_int_equal(paths.version, 8);

	/* What was told before its end was known is not heard. */
	tell_version(f, &asked_paths, 9);
	(void)cfs_subscription_free(paths.subscription);
	assert_int_equal(next_asked(f, IPC_UNSUBSCRIBE).about, asked_paths.number);
	tell_version(f, &asked_status, 10);
	WAIT_UNTIL(status.version == 10);
	assert_int_equal(paths.n, 1);
	(void)cfs_subscription_free(status.subscription);
}

static void a_subscription_may_end_in_its_own_callback(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Told told;
	Asked asked;
	g_autoptr(CfsClient) client = connected_client(f, &heard);

	(void)subscribe(client, EVENT_PATH, &told);
	told.last = true;
	asked = next_asked(f, IPC_SUBSCRIBE);
	tell_version(f, &asked, 1);
	tell_version(f, &asked, 2);
	assert_int_equal(next_asked(f, IPC_UNSUBSCRIBE).about, asked.number);
	settle();
	assert_int_equal(told.n, 1);
}

static void subscriptions_outlive_the_connection(void **state)
{
	struct fixture *f = *state;
	Heard heard = {0};
	Told early, late;
	Asked asked[2];
	g_autoptr(CfsClient) client = heard_client(f, &heard, NULL);

	/* One from before there is a connection, one from the time without. */
	(void)subscribe(client, EVENT_PATH, &early);
	asked[0] = next_asked(f, IPC_SUBSCRIBE);
	served_stop(f);
	WAIT_UNTIL(heard.n_disconnected > 0);
	(void)subscribe(client, EVENT_PATH, &late);
	served_start(f);
	for (unsigned i = 0; i < 2; i++)
		asked[i] = next_asked(f, IPC_SUBSCRIBE);
	tell_version(f, &asked[0], 5);
	tell_version(f, &asked[1], 6);
	WAIT_UNTIL(early.n > 0 && late.n > 0);
	assert_int_equal(early.version, 5);
	assert_int_equal(late.version, 6);
	(void)cfs_subscription_free(early.subscription);
	(void)cfs_subscription_free(late.subscription);
}

static void who_does_not_read_events_is_disconnected_and_comes_back(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GMainContext) context = g_main_context_new();
	Heard heard = {0};
	Told told;
	Asked asked;
	unsigned n = 0;
	g_autoptr(CfsClient) client = sleepy_client(f, &heard, context);

	(void)subscribe(client, EVENT_PATH, &told);
	(void)g_main_context_iteration(context, FALSE);
	asked = next_asked(f, IPC_SUBSCRIBE);
	for (; f->n_gone == 0; n++) {
		tell_version(f, &asked, 1);
		settle();
	}
	assert_true(n > IPC_EVENT_BYTES_MAX / 64);
	while (heard.n_connected < 2) {
		(void)g_main_context_iteration(context, FALSE);
		settle();
	}
	assert_int_equal(heard.reason, -ECONNRESET);
	(void)g_main_context_iteration(context, FALSE);
	/* What was on its way has come. */
	assert_true(told.n > 0 && told.n < n);
	assert_int_not_equal(next_asked(f, IPC_SUBSCRIBE).client, asked.client);
	(void)cfs_subscription_free(told.subscription);
}

#define CLIENT_TEST(name) cmocka_unit_test_setup_teardown(name, served_set_up, served_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CLIENT_TEST(who_is_greeted_is_connected),
		CLIENT_TEST(a_store_that_is_not_there_is_told_once_and_waited_for),
		CLIENT_TEST(a_store_that_returns_is_connected_to_again),
		CLIENT_TEST(who_is_turned_away_is_told_why),
		CLIENT_TEST(a_store_that_talks_nonsense_is_left),
		CLIENT_TEST(a_second_greeting_ends_the_connection),
		CLIENT_TEST(answers_reach_who_asked_in_any_order),
		CLIENT_TEST(a_wrong_change_is_refused_here),
		CLIENT_TEST(what_is_lost_with_the_connection_is_answered),
		CLIENT_TEST(an_answer_can_go_to_another_or_to_nobody),
		CLIENT_TEST(what_can_be_sent_has_limits),
		CLIENT_TEST(so_many_requests_wait_for_an_answer_and_no_more),
		CLIENT_TEST(who_does_not_read_answers_is_not_heard_until_it_does),
		CLIENT_TEST(events_go_to_the_subscription_that_asked),
		CLIENT_TEST(a_subscription_may_end_in_its_own_callback),
		CLIENT_TEST(subscriptions_outlive_the_connection),
		CLIENT_TEST(who_does_not_read_events_is_disconnected_and_comes_back),
	};

	served_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
