/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Containers as the API shows them.
 *
 * The functions that take a configuration are pure; those that take a store read its files. */

#include <stdbool.h>

#include <jansson.h>

#include <glib.h>

#include "agent/ct/config.h"
#include "agent/ct/ctfile.h"

/* Answer of GET …/config: options as text, `digest`, and raw entries as `lxc`, an array of pairs.  With
 * pending, waiting additions are in and waiting removals out.  section is one of config's. */
json_t *ctview_config(
	CtConfig *config, const CtSection *section, bool with_pending, const char *digest);

/* Answer of GET …/pending: an array, sorted by key, of {"key", "value" (of now), "pending" (to come),
 * "delete" (1: to be removed, 2: by force)}. */
json_t *ctview_pending(CtConfig *config);

/* What a list says of a container: vmid, name, status, lock, tags, limits.  running are the ids of those
 * that run on this node, ascending; NULL: it is on another node, the status is "unknown".  NULL when its
 * configuration cannot be read (any more). */
json_t *ctview_summary(const CtStore *store, const char *node, unsigned vmid, GArray *running);

/* Answer of GET …/status/current for a container of this node: the summary, and for one that runs its
 * numbers. */
int ctview_status(const CtStore *store, unsigned vmid, json_t **ret, GError **err);
