/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Capabilities of the process: giving up for good what it does not need. */

#include <stdbool.h>

/* Keeps of the capabilities that the process has only those listed (CAP_… of linux/capability.h),
 * in every set, the bounding set included; they cannot be had back, not even by executing a
 * set-user-id program.  Negative errno. */
int caps_keep(const int *capabilities, unsigned n_capabilities);

/* Puts down what caps_keep() left, or takes it up again, for the calling thread and those that it
 * starts: to hold a capability only while it is used.  Negative errno. */
int caps_set_effective(bool on);
