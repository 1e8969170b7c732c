/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/client_call.h"

#include "base/err.h"
#include "base/macro.h"
#include "tests/unit/served.h"

/* One who waits for answers, in a thread of its own; it is the store that is in the main one. */
typedef struct Call {
	CfsCaller *caller;
	int (*run)(struct Call *call);
	GThread *thread;
	int done;   /* Atomic. */
	int result; /* Of run. */
	GError *err;
	IpcEntry entry;
	uint64_t token;
	int64_t until_ms;
} Call;

static gpointer call_thread(gpointer data)
{
	Call *call = data;

	call->result = call->run(call);
	g_atomic_int_set(&call->done, 1);
	g_main_context_wakeup(NULL);
	return NULL;
}

static void call_start(Call *call, int (*run)(Call *call))
{
	g_clear_error(&call->err);
	call->run = run;
	call->done = 0;
	call->thread = g_thread_new("caller", call_thread, call);
}

static int call_finish(Call *call)
{
	WAIT_UNTIL(g_atomic_int_get(&call->done));
	(void)g_thread_join(call->thread);
	assert_true((call->result < 0) == (call->err != NULL));
	return call->result;
}

static void call_begin(Call *call, struct fixture *f, unsigned timeout_ms)
{
	*call = (Call){.caller = cfs_caller_new(f->path, timeout_ms)};
}

static void call_end(Call *call)
{
	g_clear_error(&call->err);
	call->caller = cfs_caller_free(call->caller);
}

#define PATIENT_MS 60000
#define SHORT_MS   500

static int read_path(Call *call)
{
	return cfs_call_read(call->caller, "path", &call->entry, &call->err);
}

static int ask_for_barrier(Call *call)
{
	return cfs_call_barrier(call->caller, &call->err);
}

static int take_lock(Call *call)
{
	const CfsTake take = {.name = "l", .owner = "me", .ttl_s = 10};

	return cfs_call_lock(call->caller, &take, &call->token, &call->until_ms, &call->err);
}

static int change_wrongly(Call *call)
{
	g_autoptr(Op) op = op_new(OP_MKDIR, "a//b");

	return cfs_call_change(call->caller, op, NULL, &call->err);
}

static void an_answer_stays_until_the_next_call(void **state)
{
	struct fixture *f = *state;
	Asked asked;
	Call call;

	call_begin(&call, f, PATIENT_MS);
	call_start(&call, read_path);
	asked = next_asked(f, IPC_READ);
	answer(f, &asked,
		(IpcAnswer){
			.read = {.version = 5, .bytes = (const uint8_t *)"content", .size = 7}});
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(call.entry.version, 5);
	assert_int_equal(call.entry.size, 7);
	/* Long after the server has forgotten it. */
	served_stop(f);
	assert_memory_equal(call.entry.bytes, "content", 7);
	call_end(&call);
}

static void what_the_store_refuses_has_its_errno_and_a_sentence(void **state)
{
	struct fixture *f = *state;
	Call call;

	call_begin(&call, f, PATIENT_MS);
	call_start(&call, read_path);
	answer_next(f, IPC_READ, -ENOENT);
	assert_int_equal(call_finish(&call), -ENOENT);
	assert_string_equal(
		call.err->message, "the store refuses to read: No such file or directory");
	call_end(&call);
}

static void a_wrong_change_is_not_sent(void **state)
{
	struct fixture *f = *state;
	Call call;

	call_begin(&call, f, PATIENT_MS);
	call_start(&call, change_wrongly);
	assert_int_equal(call_finish(&call), -EINVAL);
	settle();
	assert_int_equal(f->n_asked[IPC_CHANGE], 0);
	call_end(&call);
}

static void a_late_answer_is_not_that_of_the_next_call(void **state)
{
	struct fixture *f = *state;
	Asked late, asked;
	Call call;

	call_begin(&call, f, SHORT_MS);
	call_start(&call, read_path);
	late = next_asked(f, IPC_READ);
	assert_int_equal(call_finish(&call), -ETIMEDOUT);
	call_start(&call, read_path);
	asked = next_asked(f, IPC_READ);
	answer(f, &late, (IpcAnswer){.result = -EIO});
	answer(f, &asked, (IpcAnswer){.result = -ENOENT});
	assert_int_equal(call_finish(&call), -ENOENT);
	call_end(&call);
}

static void a_store_that_comes_back_in_time_is_waited_for(void **state)
{
	struct fixture *f = *state;
	int64_t until_us = g_get_monotonic_time() + 200000;
	Call call;

	served_stop(f);
	call_begin(&call, f, PATIENT_MS);
	call_start(&call, ask_for_barrier);
	while (g_get_monotonic_time() < until_us)
		g_usleep(1000);
	assert_false(g_atomic_int_get(&call.done));
	served_start(f);
	answer_next(f, IPC_BARRIER, 0);
	assert_int_equal(call_finish(&call), 0);
	call_end(&call);
}

static void a_store_that_is_not_there_is_not_waited_for_for_ever(void **state)
{
	struct fixture *f = *state;
	Call call;

	served_stop(f);
	call_begin(&call, f, SHORT_MS);
	call_start(&call, ask_for_barrier);
	assert_int_equal(call_finish(&call), -ETIMEDOUT);
	assert_string_equal(call.err->message, "the store cannot be reached");
	call_end(&call);
}

static void a_store_that_goes_away_meanwhile_leaves_a_doubt(void **state)
{
	struct fixture *f = *state;
	Call call;

	call_begin(&call, f, PATIENT_MS);
	call_start(&call, ask_for_barrier);
	(void)next_asked(f, IPC_BARRIER);
	served_stop(f);
	assert_int_equal(call_finish(&call), -ECONNRESET);

	/* The next one finds the store that has come. */
	served_start(f);
	call_start(&call, ask_for_barrier);
	answer_next(f, IPC_BARRIER, 0);
	assert_int_equal(call_finish(&call), 0);
	call_end(&call);
}

static void a_lock_is_ours_with_token_and_time(void **state)
{
	struct fixture *f = *state;
	Asked asked;
	Call call;

	call_begin(&call, f, PATIENT_MS);
	call_start(&call, take_lock);
	asked = next_asked(f, IPC_LOCK);
	answer(f, &asked, (IpcAnswer){.lock = {.token = 7, .until_ms = 12345}});
	assert_int_equal(call_finish(&call), 0);
	assert_int_equal(call.token, 7);
	assert_int_equal(call.until_ms, 12345);
	call_end(&call);
}

static void a_lock_that_comes_too_late_is_freed(void **state)
{
	struct fixture *f = *state;
	Asked asked;
	Call call;

	call_begin(&call, f, SHORT_MS);
	call_start(&call, take_lock);
	asked = next_asked(f, IPC_LOCK);
	assert_int_equal(call_finish(&call), -ETIMEDOUT);
	assert_int_equal(next_asked(f, IPC_CANCEL).about, asked.number);

	/* It was taken in the same moment; the caller hears of it in its next call. */
	answer(f, &asked, (IpcAnswer){.lock = {.token = 7, .until_ms = 12345}});
	call_start(&call, ask_for_barrier);
	answer_next(f, IPC_BARRIER, 0);
	assert_int_equal(next_asked(f, IPC_UNLOCK).about, 7);
	(void)call_finish(&call);
	call_end(&call);
}

#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, served_set_up, served_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CALL_TEST(an_answer_stays_until_the_next_call),
		CALL_TEST(what_the_store_refuses_has_its_errno_and_a_sentence),
		CALL_TEST(a_wrong_change_is_not_sent),
		CALL_TEST(a_late_answer_is_not_that_of_the_next_call),
		CALL_TEST(a_store_that_comes_back_in_time_is_waited_for),
		CALL_TEST(a_store_that_is_not_there_is_not_waited_for_for_ever),
		CALL_TEST(a_store_that_goes_away_meanwhile_leaves_a_doubt),
		CALL_TEST(a_lock_is_ours_with_token_and_time),
		CALL_TEST(a_lock_that_comes_too_late_is_freed),
	};

	served_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
