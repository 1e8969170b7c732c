/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells the kernel what to forget, from a thread of its own: the kernel may make a notification
 * wait for a lock that one of our requesters holds until it is answered, so neither the thread that
 * answers nor an answer may ever wait for one. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct fuse_session;

typedef struct Inval Inval;

/* session is borrowed and must outlive the thread. */
Inval *inval_new(struct fuse_session *session);

/* Asks the thread to end, dropping what is queued; whether it has ended.  It may be waiting for a
 * lock that a requester holds, so requests must be answered until this is true. */
bool inval_stop(Inval *inval);

/* inval_stop() must have been true. */
Inval *inval_free(Inval *inval);

/* Attributes and, if data, the pages of an inode (the kernel's number). */
void inval_inode(Inval *inval, uint64_t number, bool data);

/* The entry of a name in a directory, be it there or known to be missing. */
void inval_entry(Inval *inval, uint64_t directory, const char *name);
