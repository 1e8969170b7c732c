/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a request's verb, path and parameters to a method of a table, checked against its schema.
 *
 * Pure. */

#include <jansson.h>

#include <glib.h>

#include "agent/methods.h"

/* Finds the method for verb and path in table (ended by an entry without verb).  path is below
 * /api2/json and still percent-encoded, since a parameter in it may hold an encoded slash.
 * *ret_params, owned by the caller, is an object with the decoded and checked parameters from the
 * path.  -ENOENT: there is no such path; -EOPNOTSUPP: it has no such verb; -EINVAL: a parameter in
 * the path is wrong. */
int router_match(const ApiMethod *table, const char *verb, const char *path,
	const ApiMethod **ret_method, json_t **ret_params, GError **err);

/* Checks given, an object of strings, and adds it in canonical form to params.  -EINVAL with
 * *ret_errors, an object that gives the reason for each wrong parameter, owned by the caller;
 * params is then as it was. */
int router_check(
	const ApiMethod *method, json_t *given, json_t *params, json_t **ret_errors, GError **err);
