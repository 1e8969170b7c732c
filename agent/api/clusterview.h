/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The cluster as the store's own files tell it: .members, .vmlist, datacenter.cfg.
 *
 * The functions named clusterview_load_… read files; the others are pure. */

#include <jansson.h>

#include <glib.h>

/* .members with "nodelist" in any case: a node without a cluster is its own only member.  *ret is
 * owned by the caller.  -ENOTCONN: the store is not mounted. */
int clusterview_load_members(json_t **ret, GError **err);

/* The member "ids" of .vmlist, an object that may be empty; owned by the caller. */
int clusterview_load_guests(json_t **ret, GError **err);

/* A file of the store, by its path below /etc/pve; owned by the caller.  -ENOENT "configuration
 * file 'PATH' does not exist". */
int clusterview_load_file(const char *path, char **ret, size_t *ret_size, GError **err);

/* Completes what .members says.  -EBADMSG when it is no such thing. */
int clusterview_parse_members(const char *text, json_t **ret);

/* Answer of GET /cluster/status: the cluster if there is one, then its nodes by name. */
json_t *clusterview_status(json_t *members, const char *local_node);

/* Answer of GET /nodes. */
json_t *clusterview_nodes(json_t *members);

/* The lowest id that no guest has, within [lower, upper) of `next-id` in the text of datacenter.cfg
 * (NULL: no such file).  -ENOENT when all are taken, -EINVAL when next-id cannot be understood. */
int clusterview_next_id(json_t *guests, const char *datacenter, unsigned *ret, GError **err);

/* Names of an object's members in order; borrowed strings, the array is the caller's. */
GPtrArray *clusterview_sorted_keys(json_t *object);
