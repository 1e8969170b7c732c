/* SPDX-License-Identifier: Apache-2.0 */

/* Reading a damaged tree.
 *
 * sqlite finds a row by its number through pages above it, and goes from row to row along the lowest
 * pages.  Where a page is damaged both fail.  So it is read forward as far as it goes; then, from
 * ever further behind, for a row that can be found again; and from there back to the damage. */

#include "cfs/store.h"

#include "base/err.h"
#include "base/macro.h"
#include "cfs/store_private.h"

typedef struct Salvage {
	Store *store;
	sqlite3_stmt *forward;  /* Rows above ?1 … */
	sqlite3_stmt *backward; /* … and rows below ?1 and above ?2. */
	ReplicaBatch *batch;
	uint64_t last; /* Row that was found last. */
	unsigned n_bad;
} Salvage;

/* Content may hang on damaged pages of its own: reading it fails after the row was found. */
static void take_row(Salvage *salvage, sqlite3_stmt *statement)
{
	int r, code;

	salvage->last = (uint64_t)sqlite3_column_int64(statement, 0);
	(void)sqlite3_column_blob(statement, 7);
	code = sqlite3_errcode(salvage->store->db);
	r = code == SQLITE_CORRUPT || code == SQLITE_IOERR
		    ? -EUCLEAN
		    : store_load_row(statement, salvage->batch);
	salvage->n_bad += r < 0;
}

/* Takes rows until there is no more (true) or until the damage (false). */
static bool run(Salvage *salvage, sqlite3_stmt *statement)
{
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		take_row(salvage, statement);
	(void)sqlite3_reset(statement);
	return code == SQLITE_DONE;
}

static bool run_forward(Salvage *salvage, uint64_t above)
{
	(void)sqlite3_bind_int64(salvage->forward, 1, (sqlite3_int64)above);
	return run(salvage, salvage->forward);
}

static void run_backward(Salvage *salvage, uint64_t below, uint64_t above)
{
	(void)sqlite3_bind_int64(salvage->backward, 1, (sqlite3_int64)below);
	(void)sqlite3_bind_int64(salvage->backward, 2, (sqlite3_int64)above);
	(void)run(salvage, salvage->backward);
}

/* The rows behind a damaged place; false when there are none that can be found. */
static bool jump(Salvage *salvage)
{
	uint64_t from = salvage->last;

	for (unsigned shift = 0; shift < 62; shift++) {
		uint64_t at = from + (UINT64_C(1) << shift);
		bool end;

		if (at > INT64_MAX)
			return false;
		end = run_forward(salvage, at);
		if (salvage->last != from) {
			uint64_t reached = salvage->last;

			run_backward(salvage, at + 1, from);
			salvage->last = reached;
			return !end;
		}
		if (end) {
			run_backward(salvage, INT64_MAX, from);
			return false;
		}
	}
	return false;
}

static gint compare_rows(gconstpointer a, gconstpointer b)
{
	const ReplicaRow *const *left = a;
	const ReplicaRow *const *right = b;

	return (*left)->inode < (*right)->inode ? -1 : (*left)->inode > (*right)->inode;
}

int store_salvage(Store *store, ReplicaBatch **ret, unsigned *ret_n_bad, GError **err)
{
	g_autoptr(ReplicaBatch) batch = replica_batch_new();
	g_autofree char *forward = g_strdup_printf(
		"SELECT %s FROM tree WHERE inode > ?1 ORDER BY inode", store->tree_columns);
	g_autofree char *backward = g_strdup_printf(
		"SELECT %s FROM tree WHERE inode < ?1 AND inode > ?2 ORDER BY inode DESC",
		store->tree_columns);
	Salvage salvage = {.store = store, .batch = batch};
	int code;

	code = sqlite3_prepare_v2(store->db, forward, -1, &salvage.forward, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(store->db, backward, -1, &salvage.backward, NULL);
	if (code == SQLITE_OK && !run_forward(&salvage, 0))
		while (jump(&salvage))
			;
	(void)sqlite3_finalize(salvage.forward);
	(void)sqlite3_finalize(salvage.backward);
	if (code != SQLITE_OK)
		return err_set(err, EUCLEAN, "nothing of database '%s' can be read: %s",
			store->path, sqlite3_errmsg(store->db));

	g_ptr_array_sort(batch->rows, compare_rows);
	*ret = g_steal_pointer(&batch);
	*ret_n_bad = salvage.n_bad;
	return 0;
}
