/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/clusterlog.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/members.h"

typedef struct Fixture {
	Members members;
	unsigned n_added[N_MEMBERS];
} Fixture;

static int message(void *log, uint32_t from, const uint8_t *bytes, size_t size)
{
	return clusterlog_message(log, bytes, size);
}

static void view_changed(void *log, const uint32_t *nodes, unsigned n_nodes)
{
	clusterlog_view_changed(log, nodes, n_nodes);
}

static void on_added(void *data)
{
	++*(unsigned *)data;
}

static void join(Fixture *f, unsigned i, uint64_t boot)
{
	Member *member = &f->members.each[i];
	const ClusterLogOptions options = {
		.env = {.data = member, .send = members_send},
		.node = member->node,
		.boot = boot,
		.added = on_added,
		.data = &f->n_added[i],
	};

	member->module = clusterlog_new(&options);
}

static void leave(Fixture *f, unsigned i)
{
	f->members.each[i].module = clusterlog_free(f->members.each[i].module);
}

static int set_up(void **state)
{
	static const MembersKind kind = {
		.type = BESIDE_LOG, .message = message, .view_changed = view_changed};
	Fixture *f = g_new0(Fixture, 1);

	members_init(&f->members, &kind);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		join(f, i, 7);
	members_show_view(&f->members);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;

	for (unsigned i = 0; i < N_MEMBERS; i++)
		leave(f, i);
	g_free(f);
	return 0;
}

static ClusterLogEntry entry_of(uint64_t time_s, const char *message)
{
	return (ClusterLogEntry){
		.time_s = time_s,
		.priority = 6,
		.pid = 4,
		.host = "n1",
		.user = "root@pam",
		.tag = "test",
		.message = message,
	};
}

static int say(Fixture *f, unsigned i, uint64_t time_s, const char *message)
{
	const ClusterLogEntry entry = entry_of(time_s, message);

	return clusterlog_write(f->members.each[i].module, &entry);
}

static bool collect(const ClusterLogEntry *entry, void *data)
{
	g_string_append_printf(data, "%s ", entry->message);
	return true;
}

static void assert_log(Fixture *f, unsigned i, const char *expected)
{
	g_autoptr(GString) found = g_string_new(NULL);

	clusterlog_each(f->members.each[i].module, collect, found);
	assert_string_equal(found->str, expected);
}

static void all_have_the_same_list(void **state)
{
	Fixture *f = *state;

	assert_int_equal(say(f, 1, 10, "b"), 0);
	assert_int_equal(say(f, 0, 10, "a"), 0);
	assert_int_equal(say(f, 2, 9, "earlier"), 0);
	assert_int_equal(say(f, 0, 10, "c"), 0);
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		assert_log(f, i, "b c a earlier ");
		assert_int_equal(f->n_added[i], 4);
	}
}

static void only_the_newest_are_kept(void **state)
{
	Fixture *f = *state;
	g_autoptr(GString) expected = g_string_new(NULL);

	for (unsigned i = 0; i < CLUSTERLOG_MAX + 10; i++) {
		g_autofree char *message = g_strdup_printf("m%u", i);
		g_autofree char *first = g_strdup_printf("m%u ", i);

		assert_int_equal(say(f, i % N_MEMBERS, i, message), 0);
		if (i >= 10)
			(void)g_string_prepend(expected, first);
	}
	for (unsigned i = 0; i < N_MEMBERS; i++)
		assert_log(f, i, expected->str);
	/* One that is too old is not news. */
	f->n_added[1] = 0;
	assert_int_equal(say(f, 0, 3, "late"), 0);
	assert_int_equal(f->n_added[1], 0);
	assert_log(f, 1, expected->str);
}

static void newcomers_are_told_by_one(void **state)
{
	Fixture *f = *state;

	assert_int_equal(say(f, 2, 1, "gone"), 0);
	assert_int_equal(say(f, 0, 2, "here"), 0);
	leave(f, 2);
	members_show_view(&f->members);
	f->members.n_sent = 0;
	join(f, 2, 8);
	members_show_view(&f->members);
	assert_log(f, 2, "here gone ");
	assert_int_equal(f->members.n_sent, 2);
	assert_int_equal(say(f, 2, 2, "again"), 0);
	assert_log(f, 0, "again here gone ");
}

static void both_sides_of_a_cut_are_merged(void **state)
{
	Fixture *f = *state;

	assert_int_equal(say(f, 0, 1, "before"), 0);
	f->members.each[2].side = 1;
	members_show_view(&f->members);
	assert_int_equal(say(f, 0, 3, "majority"), 0);
	assert_int_equal(say(f, 2, 2, "minority"), 0);
	f->members.each[2].side = 0;
	members_show_view(&f->members);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		assert_log(f, i, "majority minority before ");
}

static void what_the_bus_refused_follows(void **state)
{
	Fixture *f = *state;

	f->members.each[0].refuses = -EAGAIN;
	assert_int_equal(say(f, 0, 1, "a"), 0);
	assert_int_equal(say(f, 0, 2, "b"), 0);
	assert_log(f, 0, "b a ");
	assert_log(f, 1, "");
	f->members.each[0].refuses = 0;
	clusterlog_flush(f->members.each[0].module);
	assert_log(f, 1, "b a ");
	f->members.n_sent = 0;
	clusterlog_flush(f->members.each[0].module);
	assert_int_equal(f->members.n_sent, 0);
}

static void what_is_said_alone_is_told_later(void **state)
{
	Fixture *f = *state;

	clusterlog_view_changed(f->members.each[2].module, NULL, 0);
	f->members.each[2].refuses = -ENOTCONN;
	assert_int_equal(say(f, 2, 1, "alone"), 0);
	f->members.each[2].refuses = 0;
	members_show_view(&f->members);
	assert_log(f, 0, "alone ");
}

static void bad_texts_are_refused(void **state)
{
	Fixture *f = *state;
	g_autofree char *name = g_strnfill(CLUSTERLOG_NAME_MAX + 1, 'n');
	g_autofree char *message = g_strnfill(CLUSTERLOG_MESSAGE_MAX + 1, 'm');
	ClusterLogEntry entry = entry_of(1, "x");

	assert_int_equal(say(f, 0, 1, message), -EMSGSIZE);
	assert_int_equal(say(f, 0, 1, "two\nlines"), -EINVAL);
	assert_int_equal(say(f, 0, 1, "\xff"), -EINVAL);
	entry.priority = 8;
	assert_int_equal(clusterlog_write(f->members.each[0].module, &entry), -EINVAL);
	entry = entry_of(1, "x");
	entry.tag = name;
	assert_int_equal(clusterlog_write(f->members.each[0].module, &entry), -EMSGSIZE);
	assert_log(f, 1, "");
}

static void bad_messages_are_ignored(void **state)
{
	Fixture *f = *state;
	static const uint8_t good[] = {1, 65, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, 0,
		0, 0, 0, 0, 0, 0, 6, 3, 0, 0, 0, 1, 0, 'h', 1, 0, 'u', 1, 0, 't', 2, 0, 'm', 'e'};
	uint8_t bad[sizeof(good) + 1];

	assert_int_equal(clusterlog_message(f->members.each[0].module, good, sizeof(good)), 0);
	assert_log(f, 0, "me ");
	for (unsigned size = 0; size < sizeof(good); size++)
		assert_int_equal(
			clusterlog_message(f->members.each[0].module, good, size), -EBADMSG);
	memcpy(bad, good, sizeof(good));
	assert_int_equal(clusterlog_message(f->members.each[0].module, bad, sizeof(bad)), -EBADMSG);
	bad[42] = '\0';
	assert_int_equal(
		clusterlog_message(f->members.each[0].module, bad, sizeof(good)), -EBADMSG);
	bad[42] = '\n';
	assert_int_equal(
		clusterlog_message(f->members.each[0].module, bad, sizeof(good)), -EBADMSG);
	bad[42] = 'm';
	bad[26] = 8;
	assert_int_equal(
		clusterlog_message(f->members.each[0].module, bad, sizeof(good)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_have_the_same_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_the_newest_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(newcomers_are_told_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_sides_of_a_cut_are_merged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_bus_refused_follows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_said_alone_is_told_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_texts_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_messages_are_ignored, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
