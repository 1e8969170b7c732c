/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <glib.h>

#include "base/macro.h"

static int64_t system_monotonic_ms(const Clock *clock)
{
	return g_get_monotonic_time() / 1000;
}

static int64_t system_wall_s(const Clock *clock)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

const Clock *clock_system(void)
{
	static const Clock system_clock = {
		.monotonic_ms = system_monotonic_ms,
		.wall_s = system_wall_s,
	};

	return &system_clock;
}

static int64_t manual_monotonic_ms(const Clock *clock)
{
	return ((const ClockManual *)clock->data)->monotonic_now_ms;
}

static int64_t manual_wall_s(const Clock *clock)
{
	return ((const ClockManual *)clock->data)->wall_now_s;
}

void clock_manual_init(ClockManual *manual)
{
	assert(manual);

	*manual = (ClockManual){
		.clock =
			{
				.data = manual,
				.monotonic_ms = manual_monotonic_ms,
				.wall_s = manual_wall_s,
			},
	};
}
