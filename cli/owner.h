/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which node a container is on: commands work for every container from every node. */

#include <stddef.h>

/* The node of container vmid by the text of the store's .vmlist, owned by the caller; NULL: it names
 * none. */
char *owner_parse(const char *text, size_t size, const char *vmid);

/* The same by the mounted store. */
char *owner_find(const char *vmid);
