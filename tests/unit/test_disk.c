/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/disk.h"

#include <signal.h>
#include <sys/resource.h>

#include <sqlite3.h>

#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

#define N_BATCHES 20

/* The disk belongs to a main context of its own, so that nothing else can run what is done. */
struct fixture {
	void *directory; /* Of tmpdir_set_up(). */
	char *path;      /* Of the database. */
	Store *store;
	GMainContext *context;
	GThread *maker;
	Disk *disk;
	ReplicaBatch *batches[N_BATCHES];
	unsigned n_written; /* Batches handed over … */
	unsigned n_wanted;  /* … of so many. */
	unsigned n_done;
	int result; /* Of the last. */
};

static void write_next(struct fixture *f)
{
	disk_write(f->disk, f->batches[f->n_written++]);
}

static void on_done(void *data, int result)
{
	struct fixture *f = data;

	assert_ptr_equal(g_thread_self(), f->maker);
	f->n_done++;
	f->result = result;
	if (f->n_written < f->n_wanted)
		write_next(f);
}

/* A batch that replaces the same file each time, and has an entry of the log. */
static ReplicaBatch *batch_new(unsigned i)
{
	ReplicaBatch *batch = replica_batch_new();
	g_autofree char *content = g_strdup_printf("content %u", i);
	g_autoptr(GBytes) data = g_bytes_new(content, strlen(content));
	const ReplicaEntry entry = {
		.index = i + 1, .epoch = 1, .boot = 1, .seq = i + 1, .origin = 1, .op = data};

	batch->sync = i % 2 == 0;
	batch->log_first = 1;
	batch->scalars = (ReplicaScalars){
		.promised = 1, .adopted = 1, .commit = i + 1, .known = i + 1, .version = i + 1};
	replica_batch_add_row(batch, 1, 0, i + 1, 1, 1700000000, false, "file", data);
	replica_batch_add_entry(batch, &entry);
	return batch;
}

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	if (tmpdir_set_up(&f->directory) < 0)
		return -1;
	f->path = g_build_filename(f->directory, "config.db", NULL);
	assert_int_equal(store_open(f->path, &f->store, NULL), 0);
	for (unsigned i = 0; i < N_BATCHES; i++)
		f->batches[i] = batch_new(i);
	f->maker = g_thread_self();
	f->context = g_main_context_new();
	g_main_context_push_thread_default(f->context);
	f->disk = disk_new(f->store, on_done, f);
	g_main_context_pop_thread_default(f->context);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	f->disk = disk_free(f->disk);
	f->store = store_close(f->store);
	for (unsigned i = 0; i < N_BATCHES; i++)
		replica_batch_free(f->batches[i]);
	g_main_context_unref(f->context);
	g_free(f->path);
	r = tmpdir_tear_down(&f->directory);
	g_free(f);
	return r;
}

/* Writes batches until so many have been written since the beginning. */
static void write_until(struct fixture *f, unsigned n)
{
	f->n_wanted = n;
	write_next(f);
	while (f->n_done < n)
		(void)g_main_context_iteration(f->context, TRUE);
}

/* What somebody else finds in the database: how many entries, of which the last is in the file. */
static unsigned n_found(struct fixture *f)
{
	g_autoptr(Store) reader = NULL;
	g_autoptr(ReplicaBatch) found = NULL;
	unsigned n;

	assert_int_equal(store_open_to_read(f->path, &reader, NULL), 0);
	assert_int_equal(store_load(reader, &found, NULL), 0);
	n = found->entries->len;
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(((ReplicaEntry *)found->entries->pdata[i])->index, i + 1);
	assert_int_equal(found->rows->len, n > 0);
	if (n > 0) {
		const ReplicaRow *row = found->rows->pdata[0];
		const ReplicaEntry *last = found->entries->pdata[n - 1];

		assert_int_equal(found->scalars.commit, n);
		assert_true(g_bytes_equal(row->data, last->op));
	}
	return n;
}

/* Another program locks the database for a while; *ret is to be closed. */
static void lock_database(struct fixture *f, sqlite3 **ret)
{
	assert_int_equal(sqlite3_open(f->path, ret), SQLITE_OK);
	assert_int_equal(sqlite3_exec(*ret, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void batches_are_written_in_order(void **state)
{
	struct fixture *f = *state;

	write_until(f, N_BATCHES);
	assert_int_equal(f->result, 0);
	assert_int_equal(f->n_done, N_BATCHES);
	assert_int_equal(n_found(f), N_BATCHES);
}

static void what_is_done_is_in_the_database(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 1; n <= 3; n++) {
		write_until(f, n);
		assert_int_equal(n_found(f), n);
	}
}

static void done_comes_from_the_loop_of_the_maker(void **state)
{
	struct fixture *f = *state;

	f->n_wanted = 1;
	write_next(f);
	while (n_found(f) == 0)
		g_usleep(1000);
	while (g_main_context_iteration(NULL, FALSE))
		continue;
	assert_int_equal(f->n_done, 0);
	while (f->n_done == 0)
		(void)g_main_context_iteration(f->context, TRUE);
	assert_int_equal(f->result, 0);
}

static void who_hands_over_does_not_wait_for_the_disk(void **state)
{
	struct fixture *f = *state;
	sqlite3 *other;

	lock_database(f, &other);
	f->n_wanted = 1;
	write_next(f);
	for (unsigned i = 0; i < 20; i++) {
		(void)g_main_context_iteration(f->context, FALSE);
		g_usleep(1000);
	}
	assert_int_equal(f->n_done, 0);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	while (f->n_done == 0)
		(void)g_main_context_iteration(f->context, TRUE);
	assert_int_equal(f->result, 0);
	assert_int_equal(n_found(f), 1);
}

static void an_error_is_handed_over_and_the_next_batch_is_written(void **state)
{
	const struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
	struct fixture *f = *state;
	struct rlimit before;

	write_until(f, 1);
	/* No file can grow. */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	write_until(f, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_true(f->result < 0);
	assert_int_equal(n_found(f), 1);

	f->n_written--;
	f->n_done--;
	write_until(f, 3);
	assert_int_equal(f->result, 0);
	assert_int_equal(n_found(f), 3);
}

static void what_is_under_way_at_the_end_is_written_and_not_told(void **state)
{
	struct fixture *f = *state;

	f->n_wanted = 2;
	write_next(f);
	f->disk = disk_free(f->disk);
	while (g_main_context_iteration(f->context, FALSE))
		continue;
	assert_int_equal(f->n_done, 0);
	assert_int_equal(n_found(f), 1);
}

static void what_is_done_at_the_end_is_not_told(void **state)
{
	struct fixture *f = *state;

	f->n_wanted = 2;
	write_next(f);
	while (!g_main_context_pending(f->context))
		g_usleep(1000);
	f->disk = disk_free(f->disk);
	assert_false(g_main_context_iteration(f->context, FALSE));
	assert_int_equal(f->n_done, 0);
	assert_int_equal(n_found(f), 1);
}

static void bytes_count_when_the_batch_is_done(void **state)
{
	struct fixture *f = *state;
	uint64_t one;

	assert_int_equal(disk_bytes_written(f->disk), 0);
	f->n_wanted = 1;
	write_next(f);
	assert_int_equal(disk_bytes_written(f->disk), 0);
	while (f->n_done == 0)
		(void)g_main_context_iteration(f->context, TRUE);
	one = disk_bytes_written(f->disk);
	assert_true(one > 0);
	write_until(f, 2);
	assert_true(disk_bytes_written(f->disk) > one);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		DISK_TEST(batches_are_written_in_order),
		DISK_TEST(what_is_done_is_in_the_database),
		DISK_TEST(done_comes_from_the_loop_of_the_maker),
		DISK_TEST(who_hands_over_does_not_wait_for_the_disk),
		DISK_TEST(an_error_is_handed_over_and_the_next_batch_is_written),
		DISK_TEST(what_is_under_way_at_the_end_is_written_and_not_told),
		DISK_TEST(what_is_done_at_the_end_is_not_told),
		DISK_TEST(bytes_count_when_the_batch_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
