/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Time as an injected value.  Code that must be testable asks a Clock instead of the system, and
 * gets the real one only from main. */

#include <stdint.h>

typedef struct Clock Clock;

struct Clock {
	void *data; /* The implementation's own state. */

	/* Milliseconds that never go back; only differences mean something. */
	int64_t (*monotonic_ms)(const Clock *clock);

	/* Seconds since the epoch, UTC. */
	int64_t (*wall_s)(const Clock *clock);
};

/* The system's clock; never fails, borrowed for ever. */
const Clock *clock_system(void);

/* A clock that stands still until the test sets it. */
typedef struct ClockManual {
	Clock clock;
	int64_t monotonic_now_ms;
	int64_t wall_now_s;
} ClockManual;

void clock_manual_init(ClockManual *manual);
