/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/status.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/members.h"

typedef struct Fixture {
	Members members;
	GString *told[N_MEMBERS]; /* Of those who run. */
} Fixture;

static int message(void *status, uint32_t from, const uint8_t *bytes, size_t size)
{
	return status_message(status, from, bytes, size);
}

static void view_changed(void *status, const uint32_t *nodes, unsigned n_nodes)
{
	status_view_changed(status, nodes, n_nodes);
}

static void on_changed(void *data, const StatusItem *item)
{
	g_string_append_printf(data, "%u.%s%s ", item->node, item->key, item->value ? "" : "-");
}

static void join(Fixture *f, unsigned i, uint64_t version)
{
	Member *member = &f->members.each[i];
	GString *told = g_string_new(NULL);
	const StatusOptions options = {
		.env = {.data = member, .send = members_send},
		.node = member->node,
		.version = version,
		.changed = on_changed,
		.data = told,
	};

	f->told[i] = told;
	member->module = status_new(&options);
}

static void leave(Fixture *f, unsigned i)
{
	f->members.each[i].module = status_free(f->members.each[i].module);
	(void)g_string_free(f->told[i], TRUE);
	f->told[i] = NULL;
}

static int set_up(void **state)
{
	static const MembersKind kind = {
		.type = BESIDE_STATUS, .message = message, .view_changed = view_changed};
	Fixture *f = g_new0(Fixture, 1);

	members_init(&f->members, &kind);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		join(f, i, 100);
	members_show_view(&f->members);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;

	for (unsigned i = 0; i < N_MEMBERS; i++)
		if (f->members.each[i].module)
			leave(f, i);
	g_free(f);
	return 0;
}

static int set(Fixture *f, unsigned i, const char *key, const char *text)
{
	g_autoptr(GBytes) value = text ? g_bytes_new(text, strlen(text)) : NULL;

	return status_set(f->members.each[i].module, key, value);
}

static void assert_value(Fixture *f, unsigned i, uint32_t node, const char *key, const char *text)
{
	StatusItem item;
	bool found = status_get(f->members.each[i].module, node, key, &item);

	assert_int_equal(found, text != NULL);
	if (!text)
		return;
	assert_int_equal(g_bytes_get_size(item.value), strlen(text));
	assert_memory_equal(g_bytes_get_data(item.value, NULL), text, strlen(text));
}

static void all_know_what_one_sets(void **state)
{
	Fixture *f = *state;

	assert_int_equal(set(f, 0, "load", "1.5"), 0);
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		assert_value(f, i, 1, "load", "1.5");
		assert_value(f, i, 2, "load", NULL);
		assert_string_equal(f->told[i]->str, "1.load ");
	}
	assert_int_equal(set(f, 0, "load", NULL), 0);
	assert_int_equal(set(f, 0, "load", NULL), -ENOENT);
	for (unsigned i = 0; i < N_MEMBERS; i++) {
		assert_value(f, i, 1, "load", NULL);
		assert_string_equal(f->told[i]->str, "1.load 1.load- ");
	}
}

static void the_same_value_is_no_change(void **state)
{
	Fixture *f = *state;

	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_int_equal(f->members.n_sent, 1);
	assert_string_equal(f->told[1]->str, "1.a ");
}

static void versions_grow_over_restarts(void **state)
{
	Fixture *f = *state;
	StatusItem item;

	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_true(status_get(f->members.each[1].module, 1, "a", &item));
	assert_int_equal(item.version, 101);
	leave(f, 0);
	members_show_view(&f->members);
	join(f, 0, 200);
	members_show_view(&f->members);
	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_true(status_get(f->members.each[1].module, 1, "a", &item));
	assert_int_equal(item.version, 201);
}

static void keys_go_with_their_node(void **state)
{
	Fixture *f = *state;

	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_int_equal(set(f, 1, "a", "y"), 0);
	leave(f, 0);
	members_show_view(&f->members);
	assert_value(f, 1, 1, "a", NULL);
	assert_value(f, 1, 2, "a", "y");
	assert_string_equal(f->told[2]->str, "1.a 2.a 1.a- ");
}

static void newcomers_are_told_everything(void **state)
{
	Fixture *f = *state;

	leave(f, 2);
	members_show_view(&f->members);
	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_int_equal(set(f, 1, "b", "y"), 0);
	join(f, 2, 100);
	members_show_view(&f->members);
	assert_value(f, 2, 1, "a", "x");
	assert_value(f, 2, 2, "b", "y");
	/* The others hear nothing new. */
	assert_string_equal(f->told[1]->str, "1.a 2.b ");
}

static void both_sides_of_a_cut_meet_again(void **state)
{
	Fixture *f = *state;

	assert_int_equal(set(f, 2, "a", "old"), 0);
	f->members.each[2].side = 1;
	members_show_view(&f->members);
	assert_value(f, 0, 3, "a", NULL);
	assert_int_equal(set(f, 2, "a", "new"), 0);
	assert_value(f, 2, 3, "a", "new");
	f->members.each[2].side = 0;
	members_show_view(&f->members);
	assert_value(f, 0, 3, "a", "new");
}

static void a_slow_bus_gets_the_last_value_only(void **state)
{
	Fixture *f = *state;

	f->members.each[0].refuses = -EAGAIN;
	assert_int_equal(set(f, 0, "a", "1"), 0);
	assert_int_equal(set(f, 0, "a", "2"), 0);
	assert_int_equal(set(f, 0, "b", "1"), 0);
	assert_int_equal(set(f, 0, "b", NULL), 0);
	assert_value(f, 0, 1, "a", "2");
	assert_value(f, 1, 1, "a", NULL);
	f->members.each[0].refuses = 0;
	status_flush(f->members.each[0].module);
	assert_value(f, 1, 1, "a", "2");
	assert_value(f, 1, 1, "b", NULL);
	assert_int_equal(f->members.n_sent, 2);
}

static void without_a_bus_only_ours_remain(void **state)
{
	Fixture *f = *state;

	assert_int_equal(set(f, 0, "a", "x"), 0);
	assert_int_equal(set(f, 1, "a", "y"), 0);
	status_view_changed(f->members.each[0].module, NULL, 0);
	f->members.each[0].refuses = -ENOTCONN;
	assert_value(f, 0, 1, "a", "x");
	assert_value(f, 0, 2, "a", NULL);
	/* What is removed now leaves nothing behind. */
	for (unsigned i = 0; i < 2 * STATUS_KEYS_MAX; i++) {
		g_autofree char *key = g_strdup_printf("k%u", i);

		assert_int_equal(set(f, 0, key, "z"), 0);
		assert_int_equal(set(f, 0, key, NULL), 0);
	}
}

static void bad_keys_and_values_are_refused(void **state)
{
	Fixture *f = *state;
	g_autofree char *long_key = g_strnfill(STATUS_KEY_MAX + 1, 'k');
	g_autofree char *long_value = g_strnfill(STATUS_VALUE_MAX + 1, 'v');

	assert_int_equal(set(f, 0, "", "x"), -EINVAL);
	assert_int_equal(set(f, 0, "a b", "x"), -EINVAL);
	assert_int_equal(set(f, 0, "\xc3\xa4", "x"), -EINVAL);
	assert_int_equal(set(f, 0, long_key, "x"), -EINVAL);
	assert_int_equal(set(f, 0, "a", long_value), -EFBIG);
	for (unsigned i = 0; i < STATUS_KEYS_MAX; i++) {
		g_autofree char *key = g_strdup_printf("k%u", i);

		assert_int_equal(set(f, 0, key, "x"), 0);
	}
	assert_int_equal(set(f, 0, "one-more", "x"), -ENOSPC);
	assert_int_equal(set(f, 0, "k0", "y"), 0);
}

static void what_a_node_tells_has_a_limit(void **state)
{
	enum { N_LARGE = STATUS_TOTAL_MAX / STATUS_VALUE_MAX - 1 };
	Fixture *f = *state;
	g_autofree char *large = g_strnfill(STATUS_VALUE_MAX, 'v');
	g_autofree char *rest = g_strnfill(STATUS_VALUE_MAX - 3 * (N_LARGE + 1), 'v');

	for (unsigned i = 0; i < N_LARGE; i++) {
		g_autofree char *key = g_strdup_printf("k%02u", i);

		assert_int_equal(set(f, 0, key, large), 0);
	}
	assert_int_equal(set(f, 0, "one", large), -ENOSPC);
	assert_value(f, 0, 1, "one", NULL);
	assert_int_equal(set(f, 0, "one", rest), 0);
	assert_int_equal(set(f, 0, "x", ""), -ENOSPC);
	assert_value(f, 1, 1, "one", rest);
	/* What is replaced or removed makes room; others have their own. */
	assert_int_equal(set(f, 0, "k00", "small"), 0);
	assert_int_equal(set(f, 0, "x", "y"), 0);
	assert_int_equal(set(f, 0, "k01", NULL), 0);
	assert_int_equal(set(f, 0, "y", large), 0);
	assert_int_equal(set(f, 1, "y", large), 0);
}

static void bad_messages_are_ignored(void **state)
{
	Fixture *f = *state;
	static const uint8_t good[] = {1, 64, 9, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 'k', 'v', 'w'};
	uint8_t bad[sizeof(good)];

	assert_int_equal(status_message(f->members.each[0].module, 2, good, sizeof(good)), 0);
	assert_value(f, 0, 2, "k", "vw");
	for (unsigned size = 0; size < 14; size++)
		assert_int_equal(
			status_message(f->members.each[0].module, 2, good, size), -EBADMSG);
	memcpy(bad, good, sizeof(good));
	bad[10] = 2;
	assert_int_equal(status_message(f->members.each[0].module, 2, bad, sizeof(bad)), -EBADMSG);
	bad[10] = 0;
	assert_int_equal(status_message(f->members.each[0].module, 2, bad, sizeof(bad)), -EBADMSG);
	bad[10] = 1;
	bad[13] = '\0';
	assert_int_equal(status_message(f->members.each[0].module, 2, bad, sizeof(bad)), -EBADMSG);
	/* Of one who is not there. */
	assert_int_equal(status_message(f->members.each[0].module, 9, good, sizeof(good)), 0);
	assert_value(f, 0, 9, "k", NULL);
}

static bool collect(const StatusItem *item, void *data)
{
	g_string_append_printf(data, "%u.%s ", item->node, item->key);
	return true;
}

static void keys_are_listed_in_order(void **state)
{
	Fixture *f = *state;
	g_autoptr(GString) list = g_string_new(NULL);

	assert_int_equal(set(f, 1, "b", "x"), 0);
	assert_int_equal(set(f, 2, "a", "x"), 0);
	assert_int_equal(set(f, 1, "a", "x"), 0);
	status_each(f->members.each[0].module, collect, list);
	assert_string_equal(list->str, "2.a 2.b 3.a ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_know_what_one_sets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_same_value_is_no_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(versions_grow_over_restarts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_go_with_their_node, set_up, tear_down),
		cmocka_unit_test_setup_teardown(newcomers_are_told_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_sides_of_a_cut_meet_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_slow_bus_gets_the_last_value_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_bus_only_ours_remain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_keys_and_values_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_node_tells_has_a_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_messages_are_ignored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_are_listed_in_order, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
