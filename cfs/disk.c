/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/disk.h"

#include "base/macro.h"

struct Disk {
	Store *store; /* Borrowed; the thread's while it runs. */
	GThread *thread;
	GMainContext *context; /* Of the maker. */
	GAsyncQueue *queue;    /* Of const ReplicaBatch*, or stop. */
	DiskDone done;
	void *done_data;
	bool under_way; /* A batch has been handed over and is not done. */
	uint64_t bytes_written;
	GSource *completion; /* On its way to the main loop; guarded by lock. */
	GMutex lock;
};

/* What the thread tells the main loop. */
typedef struct Completion {
	Disk *disk;
	int result;
	uint64_t bytes_written;
} Completion;

/* In the queue: end the thread.  Its address differs from every batch's. */
static const char stop;

static gboolean on_completion(gpointer data)
{
	Completion *completion = data;
	Disk *disk = completion->disk;

	g_mutex_lock(&disk->lock);
	g_clear_pointer(&disk->completion, g_source_unref);
	g_mutex_unlock(&disk->lock);

	disk->under_way = false;
	disk->bytes_written = completion->bytes_written;
	disk->done(disk->done_data, completion->result);
	return G_SOURCE_REMOVE;
}

static void post(Disk *disk, int result)
{
	Completion *completion = g_new0(Completion, 1);

	completion->disk = disk;
	completion->result = result;
	completion->bytes_written = store_bytes_written(disk->store);

	g_mutex_lock(&disk->lock);
	assert(!disk->completion);
	disk->completion = g_idle_source_new();
	g_source_set_priority(disk->completion, G_PRIORITY_HIGH);
	g_source_set_callback(disk->completion, on_completion, completion, g_free);
	(void)g_source_attach(disk->completion, disk->context);
	g_mutex_unlock(&disk->lock);
}

static gpointer disk_run(gpointer data)
{
	Disk *disk = data;
	const void *item;

	while ((item = g_async_queue_pop(disk->queue)) != &stop) {
		post(disk, store_write(disk->store, item));
		store_maintain(disk->store);
	}
	return NULL;
}

Disk *disk_new(Store *store, DiskDone done, void *data)
{
	Disk *disk = g_new0(Disk, 1);

	assert(store && done);

	disk->store = store;
	disk->done = done;
	disk->done_data = data;
	disk->context = g_main_context_ref_thread_default();
	disk->queue = g_async_queue_new();
	g_mutex_init(&disk->lock);
	disk->thread = g_thread_new("disk", disk_run, disk);
	return disk;
}

Disk *disk_free(Disk *disk)
{
	if (!disk)
		return NULL;

	g_async_queue_push(disk->queue, (gpointer)&stop);
	(void)g_thread_join(disk->thread);
	if (disk->completion) {
		g_source_destroy(disk->completion);
		g_source_unref(disk->completion);
	}
	g_mutex_clear(&disk->lock);
	g_async_queue_unref(disk->queue);
	g_main_context_unref(disk->context);
	g_free(disk);
	return NULL;
}

void disk_write(Disk *disk, const ReplicaBatch *batch)
{
	assert(!disk->under_way);

	disk->under_way = true;
	g_async_queue_push(disk->queue, (gpointer)batch);
}

uint64_t disk_bytes_written(const Disk *disk)
{
	return disk->bytes_written;
}
