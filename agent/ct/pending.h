/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pending changes of a container (agent/ct/staged.h) made effective: volumes that they ask for are
 * made, the configuration is written, volumes that nobody needs any more are freed.  The caller
 * holds the file lock. */

#include <stdbool.h>

#include <glib.h>

#include "agent/ct/ctfile.h"
#include "agent/job.h"

/* Applies to config what is pending in it, of a running container only what needs no work on it, and
 * writes it.  With nothing pending that can be applied, it is written all the same. */
int pending_apply_to(Job *job, unsigned vmid, CtConfig *config, bool running, GError **err);

/* Applies what is pending for a stopped container; writes nothing when that is nothing.  job NULL
 * (in a hook): changes that ask for new volumes wait for the next start. */
int pending_apply(Job *job, const CtStore *store, unsigned vmid, GError **err);
