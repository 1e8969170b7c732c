/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers of users and groups by the name that a tree's own /etc/passwd or /etc/group has for them.
 *
 * libc's functions would ask the host's data bases, and load the modules for it from wherever the
 * root is now. */

#include <stdint.h>

/* The id of name in a file of lines NAME:PASSWORD:ID:…, -ENOENT when there is none (or no such
 * file). */
int64_t id_by_name(const char *path, const char *name);
