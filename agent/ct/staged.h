/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changes that wait in a configuration's pending section, and what happens when they are applied.
 *
 * Every change of options goes through the pending section.  Its option `delete` names those that
 * are to be removed; an entry with '!' in front is forced: the volume is freed and not kept as
 * unusedN.  An option is never both there and among the new values.  Pure: volumes that have to be
 * made before, or freed after, are left to the caller. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "agent/ct/config.h"

/* Options that wait to be removed, sorted; char* without '!', owned by the caller. */
GPtrArray *ct_staged_deletes(const CtSection *pending);

bool ct_staged_is_deleted(const CtSection *pending, const char *key);
bool ct_staged_is_forced(const CtSection *pending, const char *key);

/* Puts key among the deletes and drops its new value; or takes it out of both. */
void ct_staged_delete(CtSection *pending, const char *key, bool force);
void ct_staged_revert(CtSection *pending, const char *key);

/* Gives key a new value, and takes it out of the deletes. */
void ct_staged_set(CtSection *pending, const char *key, const char *value);

/* Drops new values that are the current ones, and deletes of options that are not set. */
void ct_staged_simplify(CtConfig *config);

/* The current section with all that is pending merged in, without raw entries; owned by the caller.
 */
CtSection *ct_staged_dup_merged(CtConfig *config);

/* Keys of pending volumes that have to be made first ("local:8"), char*, owned by the caller. */
GPtrArray *ct_staged_requests(CtConfig *config);

/* Whether volume is such a request: a size, alone or behind a storage's name. */
bool ct_volume_is_request(const char *volume);

/* Puts the volume that was made for the request of key in its place, with its size. */
void ct_staged_fulfil(CtConfig *config, const char *key, const char *volid, int64_t size_bytes);

/* Makes pending changes current: all of a stopped container, of a running one those that are
 * configuration only.  Volumes that nothing refers to any more become unusedN, or are appended to
 * freed (char*, owned by the array): the caller frees them once the new configuration is written.
 * -ENOSPC when there is no free unusedN, -EINVAL when a request of a stopped container was not
 * fulfilled; then nothing has changed. */
int ct_staged_apply(CtConfig *config, bool running, GPtrArray *freed, GError **err);
