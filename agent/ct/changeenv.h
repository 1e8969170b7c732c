/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What this node has to say to a change of options: CtChangeEnv (agent/ct/change.h) on the real
 * storages, files and random numbers. */

#include "agent/ct/change.h"
#include "agent/job.h"
#include "agent/storage/storage.h"

typedef struct CtHostEnv {
	CtChangeEnv env;            /* What change.h wants. */
	const StorageSet *storages; /* Borrowed. */
	const char *node;           /* Borrowed. */
	char *mac_prefix;
	char *zone_tab;
} CtHostEnv;

/* For the user of job; storages is borrowed and must outlive it. */
void ct_host_env_init(CtHostEnv *host, const Job *job, const StorageSet *storages);
void ct_host_env_clear(CtHostEnv *host);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtHostEnv, ct_host_env_clear)

/* The value of key in the text of datacenter.cfg ("key: value" lines), owned by the caller; NULL
 * when it is not there.  Pure. */
char *datacenter_find(const char *text, const char *key);
