/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The jobs about containers, one file each (job_*.c); jobs.c has their table.  Each is a
 * JobType.run (agent/job.h) and says at its top what it does and what it refuses. */

#include <jansson.h>

#include <glib.h>

#include "agent/job.h"

int job_vzcreate(Job *job, json_t **ret_result, GError **err);
int job_vzdestroy(Job *job, json_t **ret_result, GError **err);
int job_vzreboot(Job *job, json_t **ret_result, GError **err);
int job_vzshutdown(Job *job, json_t **ret_result, GError **err);
int job_vzstart(Job *job, json_t **ret_result, GError **err);
int job_vzstop(Job *job, json_t **ret_result, GError **err);
int job_console(Job *job, json_t **ret_result, GError **err);
int job_enter(Job *job, json_t **ret_result, GError **err);
int job_exec(Job *job, json_t **ret_result, GError **err);
int job_recover(Job *job, json_t **ret_result, GError **err);
int job_set(Job *job, json_t **ret_result, GError **err);
int job_startall(Job *job, json_t **ret_result, GError **err);
int job_unlock(Job *job, json_t **ret_result, GError **err);
