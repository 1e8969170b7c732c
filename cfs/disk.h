/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The disk thread: writes batches to the store, so that the thread of the state never waits for a
 * disk.  It is the only user of the store while it runs. */

#include <stdint.h>

#include <glib.h>

#include "cfs/replica.h"
#include "cfs/store.h"

typedef struct Disk Disk;

/* Called from the main loop of the thread that made the disk, once for each batch, with the result
 * of store_write(). */
typedef void (*DiskDone)(void *data, int result);

/* Starts the thread; store is borrowed until disk_free(). */
Disk *disk_new(Store *store, DiskDone done, void *data);

/* Finishes what was given to it (its done is not called any more), and ends the thread. */
Disk *disk_free(Disk *disk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Disk, disk_free)

/* Hands over a batch, borrowed until its done has been called; one at a time. */
void disk_write(Disk *disk, const ReplicaBatch *batch);

/* store_bytes_written() as of the last batch that is done. */
uint64_t disk_bytes_written(const Disk *disk);
