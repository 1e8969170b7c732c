/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/router.h"

#include <string.h>

#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"

/* No path of the table is longer. */
#define SEGMENTS_MAX 16

/* The name in "{name}", NULL when the segment stands for itself. */
static char *segment_dup_param(const char *segment)
{
	size_t length = strlen(segment);

	if (length < 3 || segment[0] != '{' || segment[length - 1] != '}')
		return NULL;
	return g_strndup(segment + 1, length - 2);
}

static bool segments_match(char **pattern, char **path)
{
	for (; *pattern && *path; pattern++, path++) {
		if (**pattern != '{' && !str_equal(*pattern, *path))
			return false;
		if (!**path)
			return false;
	}
	return !*pattern && !*path;
}

/* Adds what stands at the places of the pattern's parameters. */
static int segments_take_params(char **pattern, char **path, json_t *params, GError **err)
{
	for (; *pattern; pattern++, path++) {
		g_autofree char *name = segment_dup_param(*pattern);
		g_autofree char *decoded = NULL;
		g_autofree char *value = NULL;
		const SchemaOption *option;
		int r;

		if (!name)
			continue;
		option = schema_find(api_path_params, name, NULL);
		assert(option); /* Patterns use only what api_path_params describes. */

		decoded = g_uri_unescape_string(*path, NULL);
		if (!decoded || !g_utf8_validate(decoded, -1, NULL))
			return err_set(
				err, EINVAL, "%s in the path is not encoded correctly", name);
		r = schema_normalize(option, SCHEMA_INPUT, decoded, &value, err);
		if (r < 0)
			return err_prefix(err, r, "%s '%.64s' in the path: ", name, decoded);
		json_object_set_new(params, name, json_string(value));
	}
	return 0;
}

int router_match(const ApiMethod *table, const char *verb, const char *path,
	const ApiMethod **ret_method, json_t **ret_params, GError **err)
{
	g_auto(GStrv) segments = NULL;
	json_auto_t *params = json_object();
	bool path_exists = false;
	int r;

	assert(table);
	assert(verb);
	assert(path);

	if (*path == '/')
		segments = g_strsplit(path + 1, "/", SEGMENTS_MAX);

	for (const ApiMethod *method = table; segments && method->verb; method++) {
		g_auto(GStrv) pattern = g_strsplit(method->path + 1, "/", SEGMENTS_MAX);

		if (!segments_match(pattern, segments))
			continue;
		path_exists = true;
		if (!str_equal(method->verb, verb))
			continue;

		r = segments_take_params(pattern, segments, params, err);
		if (r < 0)
			return r;
		*ret_method = method;
		*ret_params = g_steal_pointer(&params);
		return 0;
	}
	if (path_exists)
		return err_set(err, EOPNOTSUPP, "method '%s %.200s' not implemented", verb, path);
	return err_set(err, ENOENT, "path '%.200s' does not exist", path);
}

/* One parameter into its canonical form. */
static int param_check(
	const ApiMethod *method, const char *name, const char *value, char **ret, GError **err)
{
	const SchemaOption *option = NULL;

	if (method->params)
		option = schema_find(method->params, name, NULL);
	if (!option && method->more)
		option = schema_find(method->more, name, NULL);
	if (!option)
		return err_set(err, EINVAL, "there is no such parameter");
	if (option->flags & SCHEMA_HIDDEN)
		return err_set(err, EINVAL, "value is set by the program itself");

	return schema_normalize(option, SCHEMA_INPUT, value, ret, err);
}

static void params_check_required(const SchemaOption *table, json_t *given, json_t *errors)
{
	for (const SchemaOption *option = table; option && option->name; option++) {
		if (!(option->flags & SCHEMA_REQUIRED) || json_object_get(given, option->name))
			continue;
		json_object_set_new(errors, option->name, json_string("value is required"));
	}
}

int router_check(
	const ApiMethod *method, json_t *given, json_t *params, json_t **ret_errors, GError **err)
{
	json_auto_t *checked = json_object();
	json_auto_t *errors = json_object();
	const char *name;
	json_t *value;

	assert(method);
	assert(json_is_object(given));
	assert(json_is_object(params));
	assert(ret_errors);

	json_object_foreach(given, name, value) {
		g_autoptr(GError) reason = NULL;
		g_autofree char *canonical = NULL;

		if (param_check(method, name, json_string_value(value), &canonical, &reason) < 0)
			json_object_set_new(errors, name, json_string(reason->message));
		else
			json_object_set_new(checked, name, json_string(canonical));
	}
	params_check_required(method->params, given, errors);
	params_check_required(method->more, given, errors);

	if (json_object_size(errors) > 0) {
		*ret_errors = g_steal_pointer(&errors);
		return err_set(err, EINVAL, "%s", JOB_BAD_PARAMETERS);
	}
	json_object_update(params, checked);
	return 0;
}
