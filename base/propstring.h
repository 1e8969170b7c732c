/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Property strings, the values of options with parts: "name=eth0,bridge=vmbr0,mtu=1400".
 *
 * Parts are separated by commas, empty parts are ignored, a value runs to the next comma and may
 * hold
 * '='; there is no quoting.  One part may have no key: it is the value of the table's default key.
 * A second such part, a repeated or unknown key, and a part without value are errors.  The
 * canonical text has the default key first and without its name, then required keys, then the rest,
 * both sorted.  Format: reference of `pct`, "Value formats". */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "base/schema.h"

typedef struct PropString PropString;

/* props is borrowed and must outlive the object. */
PropString *propstring_new(const SchemaOption *props);
PropString *propstring_free(PropString *ps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PropString, propstring_free)

/* Parses text into *ret, owned by the caller.  -EINVAL with "format error" and one line a key. */
int propstring_parse(const SchemaOption *props, SchemaStrictness strictness, const char *text,
	PropString **ret, GError **err);

/* The canonical text; owned by the caller. */
char *propstring_to_string(const PropString *ps);

/* The value in canonical form, borrowed until the next change; NULL if the key is not set.  The
 * table's default is not applied.  Asking for a key that the table does not know is a bug. */
const char *propstring_get(const PropString *ps, const char *key);

/* The same as a number or a boolean, with fallback when it is not set. */
int64_t propstring_get_integer(const PropString *ps, const char *key, int64_t fallback);
bool propstring_get_boolean(const PropString *ps, const char *key, bool fallback);

/* value NULL removes the key.  value must be canonical already (ours, or taken from a PropString).
 */
void propstring_set(PropString *ps, const char *key, const char *value);

/* Sizes: digits with an optional fraction and an optional binary unit K, M, G, T (or KiB … TiB);
 * bytes without unit, truncated to whole bytes.  -EINVAL, or -ERANGE above INT64_MAX. */
int size_parse(const char *text, int64_t *ret_bytes);

/* In the largest binary unit that divides evenly: "4G", "1536M", "1000".  Owned by the caller. */
char *size_to_string(int64_t bytes);
