/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names of tasks:
 *
 *	UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:
 *
 * PID, PSTART (start of the process in clock ticks since boot) and STARTTIME (seconds since the
 * epoch) are upper-case hexadecimal of 8 digits; PSTART has 9 after about 497 days of uptime.  ID
 * may be empty.  Node, pid and start of a process name it for ever, so a UPID never comes twice.
 *
 * Pure.  The text is also the name of the task's log, so it is parsed with distrust. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#define UPID_LENGTH_MAX 256

typedef struct Upid {
	char *node;
	pid_t pid;
	uint64_t pid_start_ticks;
	int64_t start_s;
	char *type;
	char *id; /* "" when the task is about nothing in particular. */
	char *user;
} Upid;

/* -EINVAL "unable to parse worker upid 'X'" for anything that upid_to_string() does not make. */
int upid_parse(const char *text, Upid **ret, GError **err);
Upid *upid_free(Upid *upid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upid, upid_free)

/* Owned by the caller.  No field may hold a character that upid_parse() refuses. */
char *upid_to_string(const Upid *upid);

/* DIRECTORY/X/UPID with X = last hexadecimal digit of STARTTIME; NULL when text is no UPID.  Owned
 * by the caller. */
char *upid_dup_log_path(const char *directory, const char *text);

/* The task's container, 0 when ID is not a number. */
unsigned upid_vmid(const Upid *upid);
