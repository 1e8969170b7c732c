/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/params.h"

#include <string.h>

#include "base/err.h"
#include "base/macro.h"

static int params_add(json_t *params, const char *name, const char *value, GError **err)
{
	if (json_object_size(params) >= PARAMS_MAX)
		return err_set(err, EINVAL, "more than %d parameters", PARAMS_MAX);
	if (json_object_get(params, name))
		return err_set(err, EINVAL, "parameter '%.64s' is given twice", name);
	/* jansson takes UTF-8 only. */
	if (json_object_set_new(params, name, json_string(value)) < 0)
		return err_set(err, EINVAL, "a parameter is not UTF-8");
	return 0;
}

/* One side of NAME=VALUE; NULL when it is not encoded as it should be, or hides a NUL byte. */
static char *form_decode(const char *text, size_t size)
{
	g_autofree char *copy = g_strndup(text, size);

	if (strlen(copy) != size)
		return NULL;
	g_strdelimit(copy, "+", ' ');
	return g_uri_unescape_string(copy, NULL);
}

int params_add_form(json_t *params, const char *text, size_t size, GError **err)
{
	const char *end = text + size;
	int r;

	assert(json_is_object(params));
	assert(text || size == 0);

	for (const char *p = text; p < end;) {
		const char *stop = memchr(p, '&', (size_t)(end - p)) ?: end;
		const char *equals = memchr(p, '=', (size_t)(stop - p)) ?: stop;
		const char *value_start = equals < stop ? equals + 1 : stop;
		g_autofree char *name = form_decode(p, (size_t)(equals - p));
		g_autofree char *value = form_decode(value_start, (size_t)(stop - value_start));

		if (!name || !value)
			return err_set(err, EINVAL, "parameters are not encoded correctly");
		if (stop > p) {
			r = params_add(params, name, value, err);
			if (r < 0)
				return r;
		}
		p = stop + 1;
	}
	return 0;
}

/* The text of a JSON value; NULL for what no parameter can be. */
static char *json_dup_text(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return g_strdup(json_string_value(value));
	case JSON_TRUE:
		return g_strdup("1");
	case JSON_FALSE:
		return g_strdup("0");
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_ARRAY: {
		char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		char *text = g_strdup(dump);

		free(dump);
		return text;
	}
	default:
		return NULL;
	}
}

int params_add_json(json_t *params, const char *text, size_t size, GError **err)
{
	json_auto_t *root = NULL;
	json_error_t error;
	const char *name;
	json_t *member;
	int r;

	assert(json_is_object(params));

	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return err_set(err, EINVAL, "body is not JSON: %s", error.text);
	if (!json_is_object(root))
		return err_set(err, EINVAL, "body is not a JSON object");

	json_object_foreach(root, name, member) {
		g_autofree char *value = json_dup_text(member);

		if (!value)
			return err_set(
				err, EINVAL, "parameter '%.64s' must be text or a number", name);
		r = params_add(params, name, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}
