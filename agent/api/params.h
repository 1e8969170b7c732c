/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Parameters as they come with a request, made one object of strings.
 *
 * A client may send them in the query, as a form, or as a JSON object.  Numbers and booleans of
 * JSON become text, an array becomes the text of that array (for the parameters that are one).
 * Naming a parameter twice is an error: which of the two was meant?
 *
 * Pure. */

#include <stddef.h>

#include <jansson.h>

#include <glib.h>

/* In one request. */
#define PARAMS_MAX 1024

/* Adds what "a=1&b=x%20y" says to params, an object.  -EINVAL with the reason. */
int params_add_form(json_t *params, const char *text, size_t size, GError **err);

/* Adds the members of a JSON object. */
int params_add_json(json_t *params, const char *text, size_t size, GError **err);
