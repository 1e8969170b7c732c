/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/events.h"

#include "base/macro.h"
#include "tests/unit/test.h"

typedef struct Fixture {
	Events *events;
	GString *told; /* "subscriber.number " for each delivery. */
} Fixture;

static void deliver(void *data, uint64_t subscriber, uint64_t number, const Event *event)
{
	Fixture *f = data;

	g_string_append_printf(f->told, "%d.%d ", (int)subscriber, (int)number);
}

static int set_up(void **state)
{
	Fixture *f = g_new0(Fixture, 1);

	f->told = g_string_new(NULL);
	f->events = events_new(deliver, f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;

	f->events = events_free(f->events);
	(void)g_string_free(f->told, TRUE);
	g_free(f);
	return 0;
}

static int subscribe(Fixture *f, uint64_t subscriber, uint64_t number, uint32_t kinds, bool exact,
	const char *text)
{
	const EventFilter filter = {.kinds = kinds, .exact = exact, .text = text};

	return events_subscribe(f->events, subscriber, number, &filter);
}

static void assert_told(Fixture *f, EventKind kind, const char *text, const char *expected)
{
	const Event event = {.kind = kind, .text = text};

	g_string_truncate(f->told, 0);
	events_publish(f->events, &event);
	assert_string_equal(f->told->str, expected);
}

static void a_prefix_means_whole_components(void **state)
{
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, EVENT_PATH, false, "nodes/n1"), 0);
	assert_told(f, EVENT_PATH, "nodes/n1", "1.1 ");
	assert_told(f, EVENT_PATH, "nodes/n1/lxc/100.conf", "1.1 ");
	assert_told(f, EVENT_PATH, "nodes/n10", "");
	assert_told(f, EVENT_PATH, "nodes", "");
}

static void an_exact_path_is_alone(void **state)
{
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, EVENT_PATH, true, "storage.cfg"), 0);
	assert_told(f, EVENT_PATH, "storage.cfg", "1.1 ");
	assert_told(f, EVENT_PATH, "storage.cfg/x", "");
}

static void an_empty_prefix_is_everything(void **state)
{
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, EVENT_PATH, false, ""), 0);
	assert_told(f, EVENT_PATH, "a/b", "1.1 ");
}

static void status_is_filtered_by_key(void **state)
{
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, EVENT_STATUS, false, "load"), 0);
	assert_int_equal(subscribe(f, 1, 2, EVENT_STATUS, false, ""), 0);
	assert_told(f, EVENT_STATUS, "load", "1.1 1.2 ");
	assert_told(f, EVENT_STATUS, "other", "1.2 ");
	assert_told(f, EVENT_PATH, "load", "");
}

static void secrets_are_for_those_who_may_know(void **state)
{
	Fixture *f = *state;
	const Event event = {.kind = EVENT_PATH, .secret = true, .text = "priv/key"};
	EventFilter filter = {.kinds = EVENT_PATH, .text = ""};

	assert_int_equal(events_subscribe(f->events, 1, 1, &filter), 0);
	filter.secrets = true;
	assert_int_equal(events_subscribe(f->events, 2, 1, &filter), 0);
	events_publish(f->events, &event);
	assert_string_equal(f->told->str, "2.1 ");
}

static void subscribers_do_not_mix(void **state)
{
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, EVENT_QUORUM, false, ""), 0);
	assert_int_equal(subscribe(f, 2, 1, EVENT_QUORUM | EVENT_MEMBERS, false, ""), 0);
	assert_int_equal(subscribe(f, 2, 1, EVENT_QUORUM, false, ""), -EEXIST);
	assert_told(f, EVENT_QUORUM, "", "1.1 2.1 ");
	assert_int_equal(events_unsubscribe(f->events, 1, 2), -ENOENT);
	assert_int_equal(events_unsubscribe(f->events, 1, 1), 0);
	assert_told(f, EVENT_QUORUM, "", "2.1 ");
	assert_true(events_wanted(f->events, EVENT_MEMBERS));
	events_forget(f->events, 2);
	assert_false(events_wanted(f->events, EVENT_MEMBERS));
	assert_told(f, EVENT_QUORUM, "", "");
}

static void filters_have_limits(void **state)
{
	const EventFilter all = {.kinds = EVENT_LOG, .secrets = true, .text = ""};
	Fixture *f = *state;

	assert_int_equal(subscribe(f, 1, 1, 0, false, ""), -EINVAL);
	assert_int_equal(subscribe(f, 1, 1, EVENT_KINDS + 1, false, ""), -EINVAL);
	for (unsigned i = 0; i < EVENTS_READER_FILTERS_MAX; i++)
		assert_int_equal(subscribe(f, 1, i + 1, EVENT_LOG, false, ""), 0);
	assert_int_equal(subscribe(f, 1, 9999, EVENT_LOG, false, ""), -ENOSPC);
	assert_int_equal(subscribe(f, 2, 1, EVENT_LOG, false, ""), 0);
	for (unsigned i = 0; i < EVENTS_FILTERS_MAX; i++)
		assert_int_equal(events_subscribe(f->events, 3, i + 1, &all), 0);
	assert_int_equal(events_subscribe(f->events, 3, 9999, &all), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_prefix_means_whole_components, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_exact_path_is_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_empty_prefix_is_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_is_filtered_by_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			secrets_are_for_those_who_may_know, set_up, tear_down),
		cmocka_unit_test_setup_teardown(subscribers_do_not_mix, set_up, tear_down),
		cmocka_unit_test_setup_teardown(filters_have_limits, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
