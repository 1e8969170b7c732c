/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arguments of a command, by the conventions that users of these commands know:
 *
 *	--name value   --name=value   -name value   -name=value
 *
 * A boolean may leave its value out (it is then 1) and takes the next argument only when that is a
 * boolean.  A secret may leave it out too and is asked for on the terminal.  An option that is a
 * list may be given several times.  "--" ends the options.  A
 * positional that is SCHEMA_MULTIPLE takes everything from its place on, options or not.
 *
 * GOption is not used: it knows neither long options with one dash nor booleans with an optional
 * value, and it wants a static variable an option where we have schema tables.  Pure. */

#include <glib.h>

#include "base/schema.h"

typedef struct Args Args;

/* Where options are looked up, in this order; unused places are NULL. */
#define ARGS_TABLES_MAX 4

typedef struct ArgsSpec {
	const SchemaOption *tables[ARGS_TABLES_MAX];
	const char *const
		*positionals; /* Names of positional parameters in order, NULL-terminated. */
	unsigned n_optional;  /* How many of the last ones may be missing. */
} ArgsSpec;

/* Parses argv (without program and command) into *ret, owned by the caller.  -EINVAL with one sentence
 * as users of these commands know it ("400 too many arguments", "Unknown option: foo").  Values are
 * not checked beyond what finding their end needs: that is the agent's business. */
int args_parse(const ArgsSpec *spec, int argc, char *const *argv, Args **ret, GError **err);
Args *args_free(Args *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Args, args_free)

/* The option's entry in the spec's tables; NULL: no such option. */
const SchemaOption *args_find(const ArgsSpec *spec, const char *name);

/* The value; NULL: not given.  A secret without value is "". */
const char *args_get(const Args *args, const char *name);

/* 1 or absent-value booleans; fallback when not given or not a boolean. */
bool args_get_boolean(const Args *args, const char *name, bool fallback);

/* Replaces or adds a value; NULL removes it. */
void args_set(Args *args, const char *name, const char *value);

/* What the SCHEMA_MULTIPLE positional took; empty when there is none.  Borrowed, NULL-terminated. */
const char *const *args_rest(const Args *args);

/* Calls visit for each given option and positional but the rest, in order of names. */
void args_each(const Args *args, void (*visit)(const char *name, const char *value, void *data),
	void *data);
