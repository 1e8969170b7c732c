/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/inval.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/macro.h"
#include "cfs/fuse_private.h"

/* An inode that we told the kernel about may not be in its cache yet, because the requester has not
 * run since our answer.  It would then be made from that answer, which is old already; so what was
 * not found is asked for once more a little later. */
#define RETRY_US 20000

typedef struct Item {
	bool stop;
	bool retried;
	bool data;
	uint64_t number;
	int64_t due_us; /* Of a second try: monotonic. */
	char *name;     /* NULL: the inode itself. */
} Item;

struct Inval {
	struct fuse_session *session; /* Borrowed. */
	GThread *thread;
	GAsyncQueue *queue; /* Of Item*. */
	GQueue retries;     /* Of Item*, the thread's own, in order of due_us. */
	bool stopping;      /* The thread has been asked to end … */
	gint stopped;       /* … and has; atomic. */
	uint64_t n_queued;
	_Atomic uint64_t n_done;  /* In order of the queue, second tries not counted. */
	_Atomic uint64_t awaited; /* fd is to be made readable when n_done gets here; 0: never. */
	int fd;                   /* An eventfd. */
};

static Item *item_free(Item *item)
{
	g_free(item->name);
	g_free(item);
	return NULL;
}

static void item_destroy(gpointer data)
{
	(void)item_free(data);
}

static void handle(Inval *inval, Item *item)
{
	int r;

	if (item->name)
		r = fuse_lowlevel_notify_inval_entry(
			inval->session, item->number, item->name, strlen(item->name));
	else
		r = fuse_lowlevel_notify_inval_inode(
			inval->session, item->number, item->data ? 0 : -1, 0);

	if (r == -ENOENT && !item->name && !item->retried) {
		item->retried = true;
		item->due_us = g_get_monotonic_time() + RETRY_US;
		g_queue_push_tail(&inval->retries, item);
		return;
	}
	if (r < 0 && r != -ENOENT)
		log_debug("The kernel refused to forget inode %" G_GUINT64_FORMAT ": %s",
			item->number, g_strerror(-r));
	(void)item_free(item);
}

/* The next thing to do; waits for it. */
static Item *next_item(Inval *inval)
{
	Item *retry = g_queue_peek_head(&inval->retries), *item;
	int64_t wait_us;

	if (!retry)
		return g_async_queue_pop(inval->queue);

	wait_us = retry->due_us - g_get_monotonic_time();
	item = wait_us > 0 ? g_async_queue_timeout_pop(inval->queue, (guint64)wait_us)
			   : g_async_queue_try_pop(inval->queue);
	return item ? item : g_queue_pop_head(&inval->retries);
}

static void count_done(Inval *inval)
{
	uint64_t awaited;

	inval->n_done++;
	awaited = inval->awaited;
	if (awaited != 0 && inval->n_done >= awaited)
		(void)eventfd_write(inval->fd, 1); /* It cannot be full: it is read before. */
}

static gpointer inval_run(gpointer data)
{
	Inval *inval = data;
	Item *item;

	while (!(item = next_item(inval))->stop) {
		bool counts = !item->retried;

		handle(inval, item);
		if (counts)
			count_done(inval);
	}
	(void)item_free(item);
	g_queue_clear_full(&inval->retries, item_destroy);
	g_atomic_int_set(&inval->stopped, 1);
	return NULL;
}

Inval *inval_new(struct fuse_session *session)
{
	Inval *inval = g_new0(Inval, 1);

	inval->session = session;
	inval->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(inval->fd >= 0);
	inval->queue = g_async_queue_new_full(item_destroy);
	g_queue_init(&inval->retries);
	inval->thread = g_thread_new("inval", inval_run, inval);
	return inval;
}

bool inval_stop(Inval *inval)
{
	Item *item;

	if (!inval->stopping) {
		inval->stopping = true;
		item = g_new0(Item, 1);
		item->stop = true;
		g_async_queue_push_front(inval->queue, item);
	}
	return g_atomic_int_get(&inval->stopped);
}

Inval *inval_free(Inval *inval)
{
	if (!inval)
		return NULL;

	assert(g_atomic_int_get(&inval->stopped));
	(void)g_thread_join(inval->thread);
	g_async_queue_unref(inval->queue);
	(void)close(inval->fd);
	g_free(inval);
	return NULL;
}

static uint64_t push(Inval *inval, Item *item)
{
	g_async_queue_push(inval->queue, item);
	return ++inval->n_queued;
}

uint64_t inval_inode(Inval *inval, uint64_t number, bool data)
{
	Item *item = g_new0(Item, 1);

	item->number = number;
	item->data = data;
	return push(inval, item);
}

uint64_t inval_entry(Inval *inval, uint64_t directory, const char *name)
{
	Item *item = g_new0(Item, 1);

	item->number = directory;
	item->name = g_strdup(name);
	return push(inval, item);
}

uint64_t inval_place(const Inval *inval)
{
	return inval->n_queued;
}

bool inval_done(Inval *inval, uint64_t place)
{
	if (inval->n_done >= place)
		return true;

	/* The thread looks at this after it has counted: either it sees it, or we see its count. */
	inval->awaited = place;
	return inval->n_done >= place;
}

int inval_fd(const Inval *inval)
{
	return inval->fd;
}

void inval_acknowledge(Inval *inval)
{
	eventfd_t count;

	inval->awaited = 0;
	(void)eventfd_read(inval->fd, &count);
}

void inval_inode_now(Inval *inval, uint64_t number)
{
	/* What the kernel does not keep it need not forget. */
	(void)fuse_lowlevel_notify_inval_inode(inval->session, number, -1, 0);
}
