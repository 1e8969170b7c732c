/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A container's file lock, as jobs take it. */

#include <glib.h>

#include "agent/ct/ctfile.h"
#include "agent/job.h"

/* ct_file_lock() that lets who reads the log of a task know what it waits for. */
int ct_job_lock(Job *job, const CtStore *store, unsigned vmid, unsigned timeout_ms, int *ret_fd,
	GError **err);
