/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells the kernel what to forget, from a thread of its own: the kernel may make a notification
 * wait for a lock that one of our requesters holds until it is answered, so the thread that answers
 * may never wait for one.
 *
 * An answer may, if its requester holds no lock that a notification needs: those are the locks of
 * directories, which creating, removing and renaming hold. */

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

/* Attributes and, if data, the pages of an inode (the kernel's number).  Both functions return the
 * place of the notification in the queue, counted from 1. */
uint64_t inval_inode(Inval *inval, uint64_t number, bool data);

/* The entry of a name in a directory, be it there or known to be missing. */
uint64_t inval_entry(Inval *inval, uint64_t directory, const char *name);

/* The place of the last notification. */
uint64_t inval_place(const Inval *inval);

/* Whether the kernel has been told everything up to a place.  If not, inval_fd() will become readable
 * when it has; inval_acknowledge() makes it unreadable again. */
bool inval_done(Inval *inval, uint64_t place);
int inval_fd(const Inval *inval);
void inval_acknowledge(Inval *inval);

/* The attributes of an inode that a request which is not answered yet has in use, at once and in the
 * caller's thread: only so the kernel has nothing to wait for. */
void inval_inode_now(Inval *inval, uint64_t number);
