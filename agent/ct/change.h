/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a user may change in a container's configuration (`pct set`): checks of a request, and its
 * way into the pending section.  What is applied when is the business of staged.h.
 *
 * Pure: what has to be asked of storages or the host comes through CtChangeEnv. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <jansson.h>

#include "agent/ct/config.h"

/* Prefix of generated MAC addresses unless the cluster's options name one. */
#define CT_MAC_PREFIX_DEFAULT "BC:24:11"

typedef struct CtChangeEnv CtChangeEnv;

/* What a request is checked against.  Strings are borrowed. */
struct CtChangeEnv {
	void *data;             /* The implementation's own state. */
	bool is_root;           /* The user is root@pam. */
	const char *mac_prefix; /* One to three bytes; NULL: CT_MAC_PREFIX_DEFAULT. */
	const char *zone_tab;   /* Text of the host's zone.tab; NULL: any zone's name will do. */

	/* A random number, all bits of it. */
	uint32_t (*random)(CtChangeEnv *env);

	/* Whether volumes of containers may be on this storage here (NULL: not asked): 0, or negative
	 * errno with the reason. */
	int (*check_storage)(CtChangeEnv *env, const char *storage, GError **err);

	/* Whether this volume is a hook script that can be run here (NULL: not asked). */
	int (*check_hookscript)(CtChangeEnv *env, const char *volid, GError **err);
};

/* Stages a request in config's pending section.  params is an object of strings: options to set,
 * and `delete`, `revert` (lists of names), `digest`; other members are ignored.  digest is that of
 * the file that config was read from.
 *
 * -EBUSY when the container is locked, -ESTALE when its digest is another one, -EINVAL "no options
 * specified"; -EINVAL JOB_BAD_PARAMETERS followed by a line "option: reason" for each
 * option that is refused.  config is unchanged then.  Warnings (array of char*) get one sentence
 * each. */
int ct_change_stage(CtConfig *config, json_t *params, const char *digest, CtChangeEnv *env,
	GPtrArray *warnings, GError **err);

/* Checks value for option key as a user's (also for `pct create`): its canonical text in *ret, owned
 * by the caller, with generated parts of network interfaces filled in. */
int ct_change_check(const char *key, const char *value, CtChangeEnv *env, char **ret, GError **err);

/* Fills in the generated parts of all of a section's network interfaces. */
int ct_change_complete_nets(CtSection *section, CtChangeEnv *env, GError **err);

/* A random number as CtChangeEnv.random wants it, from the system. */
uint32_t ct_change_random(CtChangeEnv *env);
