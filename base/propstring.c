/* SPDX-License-Identifier: Apache-2.0 */
#include "base/propstring.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"

struct PropString {
	const SchemaOption *props; /* Borrowed. */
	GTree *values;             /* char * key → char * canonical value, both owned. */
};

static int compare_keys(gconstpointer a, gconstpointer b, gpointer data)
{
	return strcmp(a, b);
}

PropString *propstring_new(const SchemaOption *props)
{
	PropString *ps = g_new0(PropString, 1);

	assert(props);

	ps->props = props;
	ps->values = g_tree_new_full(compare_keys, NULL, g_free, g_free);
	return ps;
}

PropString *propstring_free(PropString *ps)
{
	if (!ps)
		return NULL;

	g_clear_pointer(&ps->values, g_tree_unref);
	g_free(ps);
	return NULL;
}

static const SchemaOption *default_key(const SchemaOption *props)
{
	for (; props->name; props++)
		if (props->flags & SCHEMA_DEFAULT_KEY)
			return props;

	return NULL;
}

/* One reason a line, as "key: reason". */
static void add_problem(GString *problems, const char *key, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

static void add_problem(GString *problems, const char *key, const char *format, ...)
{
	va_list ap;

	g_string_append_printf(problems, "\n%s: ", key);
	va_start(ap, format);
	g_string_append_vprintf(problems, format, ap);
	va_end(ap);
}

static void parse_part(
	PropString *ps, SchemaStrictness strictness, const char *part, GString *problems)
{
	const char *equals = strchr(part, '=');
	const SchemaOption *prop = equals ? NULL : default_key(ps->props);
	g_autofree char *key = equals ? g_strndup(part, (gsize)(equals - part)) : NULL;
	g_autoptr(GError) error = NULL;
	char *canonical;

	if (!equals && !prop) {
		add_problem(problems, part,
			"value without key, but schema does not define a default key");
		return;
	}
	if (equals)
		prop = schema_find(ps->props, key, NULL);
	if (!prop) {
		add_problem(problems, key, "property is not defined in schema");
		return;
	}
	if (g_tree_lookup(ps->values, prop->name)) {
		add_problem(problems, prop->name, "duplicate key in comma-separated list property");
		return;
	}
	if (schema_normalize(prop, strictness, equals ? equals + 1 : part, &canonical, &error) <
		0) {
		add_problem(problems, prop->name, "%s", error->message);
		return;
	}

	g_tree_insert(ps->values, g_strdup(prop->name), canonical);
}

int propstring_parse(const SchemaOption *props, SchemaStrictness strictness, const char *text,
	PropString **ret, GError **err)
{
	g_autoptr(PropString) ps = propstring_new(props);
	g_autoptr(GString) problems = g_string_new(NULL);
	g_auto(GStrv) parts = NULL;

	assert(text && ret);

	parts = g_strsplit(text, ",", -1);
	for (char **part = parts; *part; part++) {
		g_strstrip(*part);
		if (**part)
			parse_part(ps, strictness, *part, problems);
	}

	for (const SchemaOption *prop = props; prop->name; prop++)
		if ((prop->flags & SCHEMA_REQUIRED) && !g_tree_lookup(ps->values, prop->name) &&
			problems->len == 0)
			add_problem(
				problems, prop->name, "property is missing and it is not optional");

	if (problems->len > 0)
		return err_set(err, EINVAL, "format error%s", problems->str);

	*ret = g_steal_pointer(&ps);
	return 0;
}

typedef struct PrintPass {
	const PropString *ps;
	GString *text;
	bool required; /* Which keys this pass prints; the default key was printed before. */
} PrintPass;

static gboolean print_key(gpointer key, gpointer value, gpointer data)
{
	PrintPass *pass = data;
	const SchemaOption *prop = schema_find(pass->ps->props, key, NULL);

	if (!(prop->flags & SCHEMA_DEFAULT_KEY) &&
		pass->required == !!(prop->flags & SCHEMA_REQUIRED))
		g_string_append_printf(pass->text, "%s%s=%s", pass->text->len ? "," : "",
			(char *)key, (char *)value);
	return FALSE;
}

char *propstring_to_string(const PropString *ps)
{
	GString *text = g_string_new(NULL);
	const SchemaOption *prop;
	const char *value;

	assert(ps);

	prop = default_key(ps->props);
	value = prop ? propstring_get(ps, prop->name) : NULL;
	/* Alone, what is before its '=' would be read as a key. */
	if (value && strchr(value, '='))
		g_string_append_printf(text, "%s=", prop->name);
	if (value)
		g_string_append(text, value);
	g_tree_foreach(ps->values, print_key, &(PrintPass){ps, text, true});
	g_tree_foreach(ps->values, print_key, &(PrintPass){ps, text, false});
	return g_string_free(text, FALSE);
}

const char *propstring_get(const PropString *ps, const char *key)
{
	assert(ps);
	assert(schema_find(ps->props, key, NULL));

	return g_tree_lookup(ps->values, key);
}

int64_t propstring_get_integer(const PropString *ps, const char *key, int64_t fallback)
{
	const char *value = propstring_get(ps, key);

	return value ? g_ascii_strtoll(value, NULL, 10) : fallback;
}

bool propstring_get_boolean(const PropString *ps, const char *key, bool fallback)
{
	const char *value = propstring_get(ps, key);

	return value ? str_equal(value, "1") : fallback;
}

void propstring_set(PropString *ps, const char *key, const char *value)
{
	assert(ps);
	assert(schema_find(ps->props, key, NULL));

	if (value)
		g_tree_replace(ps->values, g_strdup(key), g_strdup(value));
	else
		g_tree_remove(ps->values, key);
}

/* Longer texts are not sizes: 2^63 has 19 digits, and a fraction needs no more than these. */
#define SIZE_TEXT_MAX 40

int size_parse(const char *text, int64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	size_t whole, length;
	double bytes;
	const char *unit;

	assert(text && ret_bytes);

	whole = strspn(text, "0123456789");
	length = whole;
	if (text[whole] == '.') {
		size_t fraction = strspn(text + whole + 1, "0123456789");

		if (fraction == 0)
			return -EINVAL;
		length += fraction + 1;
	}
	if (whole == 0 || length > SIZE_TEXT_MAX)
		return -EINVAL;

	bytes = g_ascii_strtod(text, NULL);
	unit = text[length] ? strchr(units, text[length]) : NULL;
	if (unit) {
		bytes = ldexp(bytes, 10 * (int)(unit - units + 1));
		length++;
		if (strcmp(text + length, "iB") == 0)
			length += 2;
	}
	if (text[length])
		return -EINVAL;
	if (bytes >= (double)INT64_MAX)
		return -ERANGE;

	/* Whole numbers are taken exactly; a double has only 53 bits. */
	*ret_bytes = unit ? (int64_t)bytes : (int64_t)g_ascii_strtoull(text, NULL, 10);
	return 0;
}

char *size_to_string(int64_t bytes)
{
	static const char units[] = "KMGT";
	char unit = '\0';

	assert(bytes >= 0);

	for (const char *next = units; *next && bytes > 0 && bytes % 1024 == 0; next++) {
		bytes /= 1024;
		unit = *next;
	}

	if (!unit)
		return g_strdup_printf("%" G_GINT64_FORMAT, bytes);
	return g_strdup_printf("%" G_GINT64_FORMAT "%c", bytes, unit);
}
