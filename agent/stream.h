/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Streams: exec, enter and console as binary messages on a WebSocket.
 *
 * A message is one byte that names a channel, and a payload:
 *
 *	0  stdin	client to agent	bytes; an empty payload is the end of input
 *	1  stdout	agent to client	bytes; all output when there is a terminal
 *	2  stderr	agent to client	bytes
 *	3  resize	client to agent	{"rows": R, "cols": C}
 *	4  exit		agent to client	{"status": N}, or {"error": "…", "errno": N}; the last message
 *	5  window	both ways	{"bytes": N}: the sender has passed on N bytes that it got
 *
 * Neither side may have more than STREAM_WINDOW bytes under way that the other has not confirmed on
 * channel 5 (stdout and stderr count together), so whoever is slow slows the other down, and nothing
 * piles up in memory.  A side that does not keep to it is cut off.
 *
 * Exit statuses are those of the shell: 128 + N for a command killed by signal N. */

#include <stddef.h>
#include <stdint.h>

typedef enum StreamChannel {
	STREAM_STDIN,
	STREAM_STDOUT,
	STREAM_STDERR,
	STREAM_RESIZE,
	STREAM_EXIT,
	STREAM_WINDOW_UPDATE,
} StreamChannel;

#define STREAM_WINDOW (256 * 1024)

/* Payload of one message at most. */
#define STREAM_PAYLOAD_MAX (16 * 1024)

/* Received bytes are confirmed in pieces of at least this, or when there are no more. */
#define STREAM_CONFIRM_MIN (32 * 1024)
