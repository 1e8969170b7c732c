/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/macro.h"
#include "tests/unit/test.h"
#include "tests/unit/tmpdir.h"

struct fixture {
	void *directory; /* Of tmpdir_set_up(). */
	char *path;      /* Of the database. */
	Store *store;
};

static void open_store(struct fixture *f)
{
	g_autoptr(GError) err = NULL;

	f->store = store_close(f->store);
	assert_int_equal(store_open(f->path, &f->store, &err), 0);
}

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	if (tmpdir_set_up(&f->directory) < 0)
		return -1;
	f->path = g_build_filename(f->directory, "config.db", NULL);
	open_store(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	f->store = store_close(f->store);
	g_free(f->path);
	r = tmpdir_tear_down(&f->directory);
	g_free(f);
	return r;
}

static GBytes *bytes_of(const char *text)
{
	return g_bytes_new(text, strlen(text));
}

static void add_file(ReplicaBatch *batch, uint64_t inode, const char *name, const char *content)
{
	g_autoptr(GBytes) data = bytes_of(content);

	replica_batch_add_row(batch, inode, 0, inode + 100, 3, 1700000000, false, name, data);
}

static void add_entry(ReplicaBatch *batch, uint64_t index, const char *content)
{
	g_autoptr(GBytes) op = bytes_of(content);
	ReplicaEntry entry = {
		.index = index,
		.epoch = 7,
		.boot = UINT64_MAX - 5,
		.seq = index + 1,
		.origin = UINT32_MAX,
		.op = op,
	};

	memset(entry.hash, (int)index, sizeof(entry.hash));
	replica_batch_add_entry(batch, &entry);
}

static ReplicaBatch *batch_with(uint64_t version)
{
	ReplicaBatch *batch = replica_batch_new();

	batch->sync = true;
	batch->log_first = 1;
	batch->scalars = (ReplicaScalars){.promised = version + 1,
		.adopted = version,
		.settled = version - 1,
		.commit = version,
		.known = version,
		.version = version};
	memset(batch->scalars.commit_hash, 0xab, REPLICA_HASH_SIZE);
	return batch;
}

static ReplicaBatch *load(struct fixture *f)
{
	g_autoptr(GError) err = NULL;
	ReplicaBatch *batch;

	assert_int_equal(store_load(f->store, &batch, &err), 0);
	return batch;
}

static const ReplicaRow *row_at(const ReplicaBatch *batch, unsigned i)
{
	assert_true(i < batch->rows->len);
	return g_ptr_array_index(batch->rows, i);
}

static const ReplicaEntry *entry_at(const ReplicaBatch *batch, unsigned i)
{
	assert_true(i < batch->entries->len);
	return g_ptr_array_index(batch->entries, i);
}

static void new_database_is_empty_and_private(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) loaded = load(f);
	struct stat st;

	assert_int_equal(loaded->rows->len + loaded->entries->len + loaded->origins->len, 0);
	assert_int_equal(loaded->scalars.version, 0);
	assert_int_equal(store_node(f->store), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void all_of_a_batch_comes_back(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) batch = batch_with(5);
	g_autoptr(ReplicaBatch) loaded = NULL;
	g_autoptr(GBytes) results = bytes_of("results");

	add_file(batch, 1, "a", "content");
	replica_batch_add_row(batch, 2, 0, 4, UINT32_MAX, UINT32_MAX, true, "d", NULL);
	add_file(batch, 3, "empty", "");
	add_entry(batch, 4, "four");
	add_entry(batch, 5, "five");
	replica_batch_add_origin(batch, 3, UINT64_MAX, 17, results);
	assert_int_equal(store_write(f->store, batch), 0);
	open_store(f);

	loaded = load(f);
	assert_int_equal(loaded->rows->len, 3);
	assert_string_equal(row_at(loaded, 0)->name, "a");
	assert_int_equal(row_at(loaded, 0)->version, 101);
	assert_int_equal(g_bytes_get_size(row_at(loaded, 0)->data), 7);
	assert_true(row_at(loaded, 1)->directory);
	assert_null(row_at(loaded, 1)->data);
	assert_int_equal(row_at(loaded, 1)->mtime_s, UINT32_MAX);
	assert_int_equal(g_bytes_get_size(row_at(loaded, 2)->data), 0);

	assert_int_equal(loaded->entries->len, 2);
	assert_int_equal(entry_at(loaded, 1)->index, 5);
	assert_true(entry_at(loaded, 1)->boot == UINT64_MAX - 5);
	assert_int_equal(entry_at(loaded, 1)->origin, UINT32_MAX);
	assert_int_equal(entry_at(loaded, 1)->hash[REPLICA_HASH_SIZE - 1], 5);
	assert_true(g_bytes_equal(entry_at(loaded, 1)->op, entry_at(batch, 1)->op));
	assert_int_equal(loaded->log_first, 4);

	assert_int_equal(loaded->origins->len, 1);
	assert_memory_equal(&loaded->scalars, &batch->scalars, sizeof(batch->scalars));
}

static void later_batches_change_and_remove(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) first = batch_with(2), second = batch_with(3), loaded = NULL;
	const uint64_t removed = 2;

	add_file(first, 1, "a", "old");
	add_file(first, 2, "b", "gone");
	assert_int_equal(store_write(f->store, first), 0);
	add_file(second, 1, "renamed", "new");
	g_array_append_val(second->removed, removed);
	second->sync = false;
	assert_int_equal(store_write(f->store, second), 0);

	loaded = load(f);
	assert_int_equal(loaded->rows->len, 1);
	assert_string_equal(row_at(loaded, 0)->name, "renamed");
	assert_int_equal(loaded->scalars.version, 3);
}

static void writing_twice_does_no_harm(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) batch = batch_with(2), loaded = NULL;

	add_file(batch, 1, "a", "x");
	add_entry(batch, 1, "one");
	assert_int_equal(store_write(f->store, batch), 0);
	assert_int_equal(store_write(f->store, batch), 0);

	loaded = load(f);
	assert_int_equal(loaded->rows->len, 1);
	assert_int_equal(loaded->entries->len, 1);
}

static void replacing_leaves_nothing_of_the_old(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) first = batch_with(9), second = batch_with(20), loaded = NULL;
	g_autoptr(GBytes) results = bytes_of("r");

	add_file(first, 1, "a", "x");
	add_entry(first, 1, "one");
	replica_batch_add_origin(first, 1, 1, 1, results);
	assert_int_equal(store_write(f->store, first), 0);
	assert_int_equal(store_set_node(f->store, 4), 0);
	second->replace = true;
	add_file(second, 7, "b", "y");
	assert_int_equal(store_write(f->store, second), 0);
	open_store(f);

	loaded = load(f);
	assert_int_equal(loaded->rows->len, 1);
	assert_int_equal(row_at(loaded, 0)->inode, 7);
	assert_int_equal(loaded->entries->len + loaded->origins->len, 0);
	assert_int_equal(loaded->scalars.version, 20);
	assert_int_equal(store_node(f->store), 4);
}

static void the_end_of_the_log_is_cut_before_entries_are_put(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) first = batch_with(9), second = batch_with(20), loaded = NULL;
	g_autoptr(GBytes) results = bytes_of("r");

	add_file(first, 1, "a", "x");
	for (unsigned i = 1; i <= 4; i++)
		add_entry(first, i, "old");
	replica_batch_add_origin(first, 1, 1, 1, results);
	assert_int_equal(store_write(f->store, first), 0);
	second->log_cut = 2;
	second->new_origins = true;
	add_entry(second, 3, "new");
	replica_batch_add_origin(second, 2, 1, 1, results);
	assert_int_equal(store_write(f->store, second), 0);

	loaded = load(f);
	assert_int_equal(loaded->rows->len, 1);
	assert_int_equal(loaded->entries->len, 3);
	assert_true(g_bytes_equal(entry_at(loaded, 1)->op, entry_at(first, 1)->op));
	assert_true(g_bytes_equal(entry_at(loaded, 2)->op, entry_at(second, 0)->op));
	assert_int_equal(loaded->origins->len, 1);
	assert_int_equal(((const ReplicaOrigin *)g_ptr_array_index(loaded->origins, 0))->node, 2);
}

static void old_entries_are_deleted_in_steps(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) first = batch_with(1), second = batch_with(2),
				third = batch_with(3);
	g_autoptr(ReplicaBatch) loaded = NULL, later = NULL;

	for (unsigned i = 1; i <= 1000; i++)
		add_entry(first, i, "entry");
	assert_int_equal(store_write(f->store, first), 0);
	second->log_first = 10;
	assert_int_equal(store_write(f->store, second), 0);
	loaded = load(f);
	assert_int_equal(loaded->log_first, 1);

	third->log_first = 600;
	assert_int_equal(store_write(f->store, third), 0);
	later = load(f);
	assert_int_equal(later->log_first, 600);
	assert_int_equal(later->entries->len, 401);
}

static void one_process_serves_a_database(void **state)
{
	struct fixture *f = *state;
	g_autoptr(GError) err = NULL;
	Store *second = NULL;

	assert_int_equal(store_open(f->path, &second, &err), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(err->message, "served by another process"));
}

static void who_has_it_open_is_told_to_others(void **state)
{
	struct fixture *f = *state;
	pid_t self = getpid(), child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0)
		_exit(store_holder(f->path) == self ? EXIT_SUCCESS : EXIT_FAILURE);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	f->store = store_close(f->store);
	assert_int_equal(store_holder(f->path), 0);
	assert_int_equal(store_holder("/nowhere"), 0);
}

static unsigned count_damaged(const struct fixture *f)
{
	GDir *directory = g_dir_open(f->directory, 0, NULL);
	const char *name;
	unsigned n = 0;

	while ((name = g_dir_read_name(directory)))
		n += strstr(name, ".damaged-") && !g_str_has_suffix(name, "-wal") &&
		     !g_str_has_suffix(name, "-shm");
	g_dir_close(directory);
	return n;
}

static void write_at(const char *path, off_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	(void)close(fd);
}

static void overwrite(const char *path, off_t offset, size_t size)
{
	g_autofree char *noise = g_strnfill(size, 'Z');

	write_at(path, offset, noise, size);
}

/* Writes a file of about 100 pages, of which some stay in the write-ahead log. */
static void write_some(struct fixture *f)
{
	g_autoptr(ReplicaBatch) batch = batch_with(60);
	g_autofree char *content = g_strnfill(1500, 'x');

	for (unsigned i = 1; i <= 50; i++) {
		g_autofree char *name = g_strdup_printf("file-%u", i);

		add_file(batch, i, name, content);
	}
	assert_int_equal(store_write(f->store, batch), 0);
}

/* As after kill -9: what sqlite would do at closing does not happen. */
static void crash(struct fixture *f)
{
	g_autofree char *copy = g_strconcat(f->path, ".copy", NULL);
	g_autofree char *command =
		g_strdup_printf("cp %s %s && cp %s-wal %s-wal", f->path, copy, f->path, copy);
	g_autofree char *back =
		g_strdup_printf("mv %s %s && mv %s-wal %s-wal", copy, f->path, copy, f->path);

	assert_int_equal(system(command), 0);
	f->store = store_close(f->store);
	assert_int_equal(system(back), 0);
}

static void is_set_aside(struct fixture *f, unsigned n_damaged)
{
	g_autoptr(ReplicaBatch) loaded = NULL;

	open_store(f);
	assert_non_null(store_kept(f->store));
	loaded = load(f);
	assert_int_equal(loaded->rows->len, 0);
	assert_int_equal(count_damaged(f), n_damaged);
}

static void damaged_pages_are_set_aside(void **state)
{
	static const off_t offsets[] = {0, 100, 1024, 1024 * 40};
	struct fixture *f = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
		write_some(f);
		f->store = store_close(f->store);
		overwrite(f->path, offsets[i], 2048);
		is_set_aside(f, i + 1);
	}
}

static void a_file_that_was_cut_is_set_aside(void **state)
{
	static const off_t sizes[] = {0, 1, 1024, 1024 * 40 + 7};
	struct fixture *f = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		write_some(f);
		f->store = store_close(f->store);
		assert_int_equal(truncate(f->path, sizes[i]), 0);
		is_set_aside(f, i + 1);
	}
}

static void what_crashed_is_not_damaged(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) loaded = NULL;

	write_some(f);
	crash(f);
	open_store(f);
	assert_null(store_kept(f->store));
	loaded = load(f);
	assert_int_equal(loaded->rows->len, 50);
}

static void a_write_ahead_log_without_head_is_set_aside(void **state)
{
	struct fixture *f = *state;
	g_autofree char *wal = g_strconcat(f->path, "-wal", NULL);

	write_some(f);
	crash(f);
	overwrite(wal, 0, 32);
	is_set_aside(f, 1);

	write_some(f);
	crash(f);
	overwrite(wal, 20, 1);
	is_set_aside(f, 2);
}

static void a_write_ahead_log_without_file_is_set_aside(void **state)
{
	struct fixture *f = *state;
	g_autofree char *lock = g_strconcat(f->path, ".lock", NULL);

	write_some(f);
	crash(f);
	assert_int_equal(truncate(f->path, 0), 0);
	assert_int_equal(truncate(lock, 0), 0);
	is_set_aside(f, 1);
}

static void a_torn_end_of_the_write_ahead_log_is_a_crash(void **state)
{
	struct fixture *f = *state;
	g_autofree char *wal = g_strconcat(f->path, "-wal", NULL);
	struct stat st;

	write_some(f);
	crash(f);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(truncate(wal, st.st_size - 700), 0);
	open_store(f);
	assert_null(store_kept(f->store));
}

static void a_database_that_is_gone_is_missed(void **state)
{
	struct fixture *f = *state;

	f->store = store_close(f->store);
	assert_int_equal(unlink(f->path), 0);
	open_store(f);
	assert_non_null(store_kept(f->store));
}

static void modes_are_put_right(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	write_some(f);
	f->store = store_close(f->store);
	assert_int_equal(chmod(f->path, 0), 0);
	open_store(f);
	assert_null(store_kept(f->store));
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void databases_of_others_are_left_alone(void **state)
{
	static const char versions[][4] = {{0}, {0, 0, 0, 99}};
	struct fixture *f = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++) {
		g_autoptr(GError) err = NULL;

		/* sqlite's user_version is at byte 60. */
		f->store = store_close(f->store);
		write_at(f->path, 60, versions[i], sizeof(versions[i]));
		assert_int_equal(store_open(f->path, &f->store, &err), -EINVAL);
		assert_int_equal(count_damaged(f), 0);
	}
}

static void what_is_left_of_a_damaged_tree_is_found(void **state)
{
	struct fixture *f = *state;
	g_autoptr(Store) reader = NULL;
	g_autoptr(ReplicaBatch) found = NULL;
	g_autoptr(GError) err = NULL;
	unsigned n_bad;

	write_some(f);
	f->store = store_close(f->store);
	overwrite(f->path, 1024 * 60, 1024);
	assert_int_equal(store_open_to_read(f->path, &reader, &err), 0);
	assert_int_equal(store_check(reader, NULL), -EUCLEAN);
	assert_int_equal(store_salvage(reader, &found, &n_bad, &err), 0);
	assert_in_range(found->rows->len, 45, 49);
	assert_int_equal(count_damaged(f), 0);
	reader = store_close(reader);
	open_store(f);
}

/* What sqlite does not notice. */
static void a_flipped_bit_of_content_is_noticed(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) batch = batch_with(2);
	g_autofree char *file = NULL, *content = g_strnfill(5000, 'y');
	g_autoptr(Store) reader = NULL;
	size_t size;

	add_file(batch, 1, "a", content);
	assert_int_equal(store_write(f->store, batch), 0);
	f->store = store_close(f->store);
	assert_int_equal(file_read(f->path, 1 << 20, &file, &size), 0);
	write_at(f->path, (char *)memmem(file, size, "yyyyyyyyyyyyyyyy", 16) - file, "x", 1);

	assert_int_equal(store_open_to_read(f->path, &reader, NULL), 0);
	assert_int_equal(store_check(reader, NULL), 0);
	assert_int_equal(store_load(reader, &batch, NULL), -EUCLEAN);
	open_store(f);
}

static void the_operators_word_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_false(store_trusted(f->store));
	assert_int_equal(store_set_trusted(f->store), 0);
	open_store(f);
	assert_true(store_trusted(f->store));
}

static void reading_does_not_write(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) batch = batch_with(2), loaded = NULL;
	uint64_t written;

	add_file(batch, 1, "a", "x");
	assert_int_equal(store_write(f->store, batch), 0);
	store_maintain(f->store);
	written = store_bytes_written(f->store);
	assert_true(written > 0);
	loaded = load(f);
	store_maintain(f->store);
	assert_true(store_bytes_written(f->store) == written);
}

/* The measure of the design: a change of 512 bytes may touch the row, its entry, the version and
 * the scalars, and no more. */
static void small_change_costs_few_bytes(void **state)
{
	struct fixture *f = *state;
	g_autofree char *content = g_strnfill(512, 'x');
	uint64_t before = 0;

	for (unsigned i = 1; i <= 200; i++) {
		g_autoptr(ReplicaBatch) batch = batch_with(i);

		if (i == 101)
			before = store_bytes_written(f->store);
		add_file(batch, 1, "a", content);
		add_entry(batch, i, content);
		assert_int_equal(store_write(f->store, batch), 0);
	}
	assert_true((store_bytes_written(f->store) - before) / 100 < 8192);
}

/* A file that is replaced is a page or two, whatever was there before. */
static void free_pages_are_not_written(void **state)
{
	struct fixture *f = *state;
	g_autofree char *content = g_strnfill(256 * 1024, 'x');
	g_autoptr(ReplicaBatch) first = batch_with(1), second = batch_with(2);
	uint64_t before;

	add_file(first, 1, "a", content);
	assert_int_equal(store_write(f->store, first), 0);
	before = store_bytes_written(f->store);
	add_file(second, 1, "a", "small");
	assert_int_equal(store_write(f->store, second), 0);
	assert_true(store_bytes_written(f->store) - before < 16384);
}

/* What is written behind its beginning is found again, though most of it is zeros. */
static void the_write_ahead_log_has_its_length_from_the_start(void **state)
{
	struct fixture *f = *state;
	g_autofree char *wal = g_strconcat(f->path, "-wal", NULL);
	g_autoptr(ReplicaBatch) loaded = NULL;
	struct stat before, after;

	store_maintain(f->store);
	assert_int_equal(stat(wal, &before), 0);
	write_some(f);
	store_maintain(f->store);
	assert_int_equal(stat(wal, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	crash(f);
	open_store(f);
	assert_null(store_kept(f->store));
	loaded = load(f);
	assert_int_equal(loaded->rows->len, 50);
}

static void what_is_known_comes_back_with_the_entries(void **state)
{
	struct fixture *f = *state;
	g_autoptr(ReplicaBatch) batch = batch_with(2), loaded = NULL;

	for (unsigned i = 3; i <= 6; i++)
		add_entry(batch, i, "entry");
	batch->scalars.known = 5;
	assert_int_equal(store_write(f->store, batch), 0);
	open_store(f);
	loaded = load(f);
	assert_int_equal(loaded->scalars.commit, 2);
	assert_int_equal(loaded->scalars.known, 5);
}

static void write_ahead_log_stays_bounded(void **state)
{
	struct fixture *f = *state;
	g_autofree char *content = g_strnfill(1024 * 1024, 'x');
	g_autofree char *wal = g_strconcat(f->path, "-wal", NULL);
	struct stat st;

	for (unsigned i = 1; i <= 40; i++) {
		g_autoptr(ReplicaBatch) batch = batch_with(i);

		batch->sync = false;
		add_file(batch, 1, "a", content);
		assert_int_equal(store_write(f->store, batch), 0);
		store_maintain(f->store);
	}
	assert_int_equal(stat(wal, &st), 0);
	assert_true(st.st_size < 16 * 1024 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			new_database_is_empty_and_private, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_of_a_batch_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(later_batches_change_and_remove, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writing_twice_does_no_harm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			replacing_leaves_nothing_of_the_old, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_end_of_the_log_is_cut_before_entries_are_put, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			old_entries_are_deleted_in_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_process_serves_a_database, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_has_it_open_is_told_to_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_pages_are_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_was_cut_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_crashed_is_not_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_write_ahead_log_without_head_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_write_ahead_log_without_file_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_torn_end_of_the_write_ahead_log_is_a_crash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_database_that_is_gone_is_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(modes_are_put_right, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			databases_of_others_are_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_left_of_a_damaged_tree_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_flipped_bit_of_content_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_operators_word_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_does_not_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(small_change_costs_few_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(free_pages_are_not_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_write_ahead_log_has_its_length_from_the_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_known_comes_back_with_the_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(write_ahead_log_stays_bounded, set_up, tear_down),
	};

	log_open("test_store", LOG_TARGET_STDERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
