/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Storages as the API shows them. */

#include <jansson.h>

#include <glib.h>

/* The storages of this node for GET /cluster/resources; owned by the caller. */
int storageview_resources(const char *node, json_t **ret, GError **err);
