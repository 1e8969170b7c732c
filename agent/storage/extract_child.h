/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The process that unpacks an archive, locked into the target (agent/storage/extract.h).
 *
 * It talks to its parent over a SOCK_SEQPACKET socket, one message a packet:
 *
 *	child				parent
 *	"unshared" ->			  writes the id maps (only with a user namespace)
 *					<- "mapped"
 *	"warn: SENTENCE" ->		  as often as needed
 *	"done" | "fail: ERRNO SENTENCE" ->
 *
 * and then ends. */

#include <stdbool.h>

#include <glib.h>

/* Longest message; sentences are cut. */
#define EXTRACT_MESSAGE_MAX 4096

#define EXTRACT_MESSAGE_UNSHARED "unshared"
#define EXTRACT_MESSAGE_MAPPED   "mapped"
#define EXTRACT_MESSAGE_WARN     "warn: "
#define EXTRACT_MESSAGE_DONE     "done"
#define EXTRACT_MESSAGE_FAIL     "fail: "

typedef struct ExtractChild {
	int archive_fd;      /* Read from its current position. */
	int rootfs_fd;       /* The target, which becomes the root. */
	int channel_fd;      /* The socket. */
	bool user_namespace; /* Whether ids are mapped. */
	bool ignore_errors;
} ExtractChild;

/* To be called in the child after fork(). */
G_NORETURN void extract_child_run(const ExtractChild *child);
