/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The self-signed "snakeoil" certificate of Debian's package ssl-cert, whose private key must not be
 * the same in every container of a template. */

#include "agent/guest/family.h"

/* Removes the key; systemd makes a new one at the first boot, elsewhere there is a warning. */
int snakeoil_reset(GuestRun *run, GError **err);
