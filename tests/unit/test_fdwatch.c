/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdwatch.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/test.h"

/* How many of what the loop has polled were ready, the last time. */
static int last_ready;

static gint count_ready(GPollFD *fds, guint n_fds, gint timeout_ms)
{
	last_ready = g_poll(fds, n_fds, timeout_ms);
	return last_ready;
}

static gboolean take(gint fd, GIOCondition condition, gpointer data)
{
	unsigned *n_calls = data;
	uint64_t count;

	assert_int_equal(condition, G_IO_IN);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	return ++*n_calls < 2 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void make_ready(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void a_call_leaves_the_loop_at_rest(void **state)
{
	g_autoptr(GMainContext) context = g_main_context_new();
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	unsigned n_calls = 0;

	g_main_context_push_thread_default(context);
	g_main_context_set_poll_func(context, count_ready);
	assert_int_not_equal(fd_watch_add(fd, G_IO_IN, take, &n_calls), 0);

	/* The first turn sees that there is a new source. */
	(void)g_main_context_iteration(context, FALSE);
	make_ready(fd);
	assert_true(g_main_context_iteration(context, FALSE));
	assert_int_equal(n_calls, 1);
	assert_false(g_main_context_iteration(context, FALSE));
	assert_int_equal(last_ready, 0);

	/* With the second call it removes itself. */
	for (unsigned i = 0; i < 3; i++) {
		make_ready(fd);
		(void)g_main_context_iteration(context, FALSE);
	}
	assert_int_equal(n_calls, 2);
	g_main_context_pop_thread_default(context);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_leaves_the_loop_at_rest)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
