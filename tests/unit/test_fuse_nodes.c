/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/fuse_nodes.h"

#include "base/macro.h"
#include "tests/unit/test.h"

#define INODE  7
#define READER 100
#define WRITER 200

typedef struct Fixture {
	Nodes *nodes;
	GBytes *old, *new;
} Fixture;

static int set_up(void **state)
{
	Fixture *f = g_new0(Fixture, 1);

	f->nodes = nodes_new();
	f->old = g_bytes_new("old", 3);
	f->new = g_bytes_new("new", 3);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;

	(void)nodes_free(f->nodes);
	g_bytes_unref(f->old);
	g_bytes_unref(f->new);
	g_free(f);
	return 0;
}

static void a_number_stands_for_one_content(void **state)
{
	Fixture *f = *state;
	Node *old = nodes_lookup(f->nodes, INODE, f->old, READER);
	Node *new;

	assert_ptr_equal(nodes_lookup(f->nodes, INODE, f->old, WRITER), old);
	new = nodes_lookup(f->nodes, INODE, f->new, READER);
	assert_true(new->number > old->number && old->number > NODES_FIRST);
	assert_ptr_equal(new->data, f->new);
	assert_ptr_equal(old->data, f->old);
	assert_int_equal(nodes_of(f->nodes, INODE)->len, 2);
	assert_ptr_not_equal(nodes_lookup(f->nodes, INODE + 1, f->new, READER), new);
}

static void readers_cache_what_is_right(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER);

	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_CACHED);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER + 1), NODE_CACHED);
	assert_int_equal(node->n_cached, 2);
	nodes_close(f->nodes, node, NODE_CACHED);
	assert_int_equal(node->n_cached, 1);
}

static void a_reader_of_what_has_changed_is_sent_to_the_new_content(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER), *told;

	assert_int_equal(nodes_open(f->nodes, node, f->new, NODE_READS, READER), NODE_STALE);
	told = nodes_lookup(f->nodes, INODE, f->new, READER);
	assert_int_equal(nodes_open(f->nodes, told, f->new, NODE_READS, READER), NODE_CACHED);
}

static void what_was_right_at_the_second_look_up_will_do(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER), *told;
	g_autoptr(GBytes) newest = g_bytes_new("newest", 6);

	assert_int_equal(nodes_open(f->nodes, node, f->new, NODE_READS, READER), NODE_STALE);
	told = nodes_lookup(f->nodes, INODE, f->new, READER);
	assert_int_equal(nodes_open(f->nodes, told, newest, NODE_READS, READER), NODE_CACHED);
	assert_int_equal(nodes_open(f->nodes, told, newest, NODE_READS, READER + 1), NODE_STALE);
}

static void where_no_name_is_looked_up_the_second_try_is_let_in(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER);

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			nodes_open(f->nodes, node, f->new, NODE_READS, READER), NODE_STALE);
		assert_int_equal(
			nodes_open(f->nodes, node, f->new, NODE_READS, READER), NODE_DIRECT);
	}
	assert_int_equal(nodes_open(f->nodes, node, NULL, NODE_WRITES, WRITER), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, node, NULL, NODE_WRITES, WRITER), NODE_DIRECT);
	assert_int_equal(node->n_cached, 0);
	assert_int_equal(node->n_handles, 3);
}

static void threads_without_a_number_are_let_in_by_a_right_name(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, 0);

	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, 0), NODE_CACHED);
	assert_int_equal(nodes_open(f->nodes, node, f->new, NODE_READS, 0), NODE_DIRECT);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, 0), NODE_BUSY);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES_NOW, 0), NODE_DIRECT);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, 0), NODE_DIRECT);
	nodes_close(f->nodes, node, NODE_CACHED);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, 0), NODE_DIRECT);
}

static void a_writer_among_readers_gets_a_number_of_its_own(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER), *told;

	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_CACHED);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_STALE);
	told = nodes_lookup(f->nodes, INODE, f->old, WRITER);
	assert_ptr_not_equal(told, node);

	/* A reader that finds that number under the name is sent away before it can share it. */
	assert_int_equal(nodes_open(f->nodes, told, f->old, NODE_READS, READER), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, told, f->old, NODE_WRITES, WRITER), NODE_DIRECT);
	assert_ptr_equal(nodes_lookup(f->nodes, INODE, f->old, READER), node);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_CACHED);
}

static void readers_never_open_what_a_writer_had(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, WRITER);

	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_DIRECT);
	nodes_close(f->nodes, node, NODE_DIRECT);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_STALE);
	assert_ptr_not_equal(nodes_lookup(f->nodes, INODE, f->old, READER), node);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_DIRECT);
}

static void writers_are_sent_away_from_where_a_reader_was_sent(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, WRITER), *told;

	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_DIRECT);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_STALE);
	told = nodes_lookup(f->nodes, INODE, f->old, READER);
	assert_int_equal(nodes_open(f->nodes, told, f->old, NODE_WRITES, WRITER), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, told, f->old, NODE_READS, READER), NODE_CACHED);
}

static void nodes_live_as_long_as_they_are_known_or_open(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER);
	uint64_t number = node->number;

	assert_ptr_equal(nodes_lookup(f->nodes, INODE, f->old, READER), node);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_CACHED);
	nodes_forget(f->nodes, number, 2);
	assert_ptr_equal(nodes_find(f->nodes, number), node);
	nodes_close(f->nodes, node, NODE_CACHED);
	assert_null(nodes_find(f->nodes, number));
	assert_null(nodes_of(f->nodes, INODE));
	nodes_forget(f->nodes, number, 1);
	assert_true(nodes_lookup(f->nodes, INODE, f->old, READER)->number > number);
}

static void what_is_created_is_the_writers_once_it_has_an_inode(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_create(f->nodes);
	uint64_t number = node->number;

	assert_null(nodes_of(f->nodes, INODE));
	nodes_bind(f->nodes, node, INODE);
	assert_ptr_equal(g_ptr_array_index(nodes_of(f->nodes, INODE), 0), node);
	assert_ptr_not_equal(nodes_lookup(f->nodes, INODE, f->old, READER), node);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, READER), NODE_STALE);
	nodes_close(f->nodes, node, NODE_DIRECT);
	nodes_forget(f->nodes, number, 1);
	assert_null(nodes_find(f->nodes, number));
	assert_int_equal(nodes_of(f->nodes, INODE)->len, 1);
}

static void under_a_new_name_it_has_a_new_number(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, READER), *told;
	Node *other = nodes_lookup(f->nodes, INODE + 1, f->old, READER);

	nodes_moved(f->nodes, INODE);
	told = nodes_lookup(f->nodes, INODE, f->old, READER);
	assert_true(told->number > node->number);
	assert_ptr_equal(nodes_lookup(f->nodes, INODE, f->old, READER), told);

	/* And back. */
	nodes_moved(f->nodes, INODE);
	assert_true(nodes_lookup(f->nodes, INODE, f->old, READER)->number > told->number);
	assert_ptr_equal(nodes_lookup(f->nodes, INODE + 1, f->old, READER), other);
	nodes_moved(f->nodes, INODE + 2);
}

static void nobody_writes_by_a_name_that_is_gone(void **state)
{
	Fixture *f = *state;
	Node *node = nodes_lookup(f->nodes, INODE, f->old, WRITER), *told;

	nodes_moved(f->nodes, INODE);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_STALE);
	told = nodes_lookup(f->nodes, INODE, f->old, WRITER);
	assert_int_equal(nodes_open(f->nodes, told, f->old, NODE_WRITES, WRITER), NODE_DIRECT);

	/* Refused elsewhere, it has not asked for this name anew. */
	told = nodes_lookup(f->nodes, INODE + 1, f->old, WRITER);
	assert_int_equal(nodes_open(f->nodes, told, NULL, NODE_WRITES, WRITER), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES, WRITER), NODE_STALE);

	/* Those that are not recognised may find out what is there now. */
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_WRITES_NOW, 0), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, told, NULL, NODE_WRITES, 0), NODE_STALE);
	assert_int_equal(nodes_open(f->nodes, node, f->old, NODE_READS, 0), NODE_CACHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_number_stands_for_one_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(readers_cache_what_is_right, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_reader_of_what_has_changed_is_sent_to_the_new_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_right_at_the_second_look_up_will_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			where_no_name_is_looked_up_the_second_try_is_let_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			threads_without_a_number_are_let_in_by_a_right_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_writer_among_readers_gets_a_number_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			readers_never_open_what_a_writer_had, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			writers_are_sent_away_from_where_a_reader_was_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nodes_live_as_long_as_they_are_known_or_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_created_is_the_writers_once_it_has_an_inode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			under_a_new_name_it_has_a_new_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nobody_writes_by_a_name_that_is_gone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
