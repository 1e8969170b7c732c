/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sets of CPUs as the kernel writes them: "0-3,8".  Pure. */

#include <glib.h>

/* CPU numbers are below this. */
#define CPUSET_CPUS_MAX 8192U

/* Parses text, white space around it ignored, into an array of unsigned in ascending order that the
 * caller owns.  An empty set is a set.  -EINVAL for anything else. */
int cpuset_parse(const char *text, GArray **ret);

/* The shortest text for an array of unsigned in ascending order; owned by the caller. */
char *cpuset_to_string(const GArray *cpus);
