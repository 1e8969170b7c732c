/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guest's account files: lines of passwd(5) and shadow(5), and hashes of passwords.  Pure but
 * for the salt. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Whether text is a crypt(5) hash that is stored as it is, rather than a password. */
bool shadow_is_hash(const char *text);

/* What to store for a password: a hash as it is, other text hashed with SHA-512 and a random salt,
 * "*" (no password fits) for NULL.  Owned by the caller. */
int shadow_hash_password(const char *password, char **ret, GError **err);

/* The text of passwd with field 2 of user's lines set to value; owned by the caller. */
char *shadow_set_passwd(const char *passwd, const char *user, const char *value);

/* The text of shadow with user's hash, and the day of now_s as its date of change. */
char *shadow_set_hash(const char *shadow, const char *user, const char *hash, int64_t now_s);

/* The home directory of user, NULL when the line or field is missing; owned by the caller. */
char *shadow_dup_home(const char *passwd, const char *user);
