/* SPDX-License-Identifier: Apache-2.0 */
#include "base/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

/* "0" or digits without leading zero, below n. */
static bool parse_index(const char *text, unsigned n, unsigned *ret_index)
{
	uint64_t value;

	if (!g_ascii_isdigit(*text) || (text[0] == '0' && text[1]))
		return false;
	if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &value, NULL) || value >= n)
		return false;

	*ret_index = (unsigned)value;
	return true;
}

const SchemaOption *schema_find(const SchemaOption *table, const char *key, unsigned *ret_index)
{
	assert(key);

	for (; table && table->name; table++) {
		size_t length = strlen(table->name);
		unsigned index = 0;

		if (table->n_index == 0
				? !str_equal(table->name, key)
				: (strncmp(table->name, key, length) != 0 ||
					  !parse_index(key + length, table->n_index, &index)))
			continue;
		if (ret_index)
			*ret_index = index;
		return table;
	}

	return NULL;
}

int schema_parse_boolean(const char *text)
{
	static const char *const yes[] = {"1", "on", "yes", "true"};
	static const char *const no[] = {"0", "off", "no", "false"};

	assert(text);

	for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
		if (g_ascii_strcasecmp(text, yes[i]) == 0)
			return 1;
		if (g_ascii_strcasecmp(text, no[i]) == 0)
			return 0;
	}

	return -EINVAL;
}

static int check_limits(const SchemaOption *option, double value, GError **err)
{
	if (!option->limited)
		return 0;
	if (value < option->min)
		return err_set(err, EINVAL, "value must have a minimum value of %.0f", option->min);
	if (value > option->max)
		return err_set(err, EINVAL, "value must have a maximum value of %.0f", option->max);
	return 0;
}

static int normalize_boolean(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	int r = schema_parse_boolean(value);

	if (r < 0)
		return err_set(err, EINVAL, "type check ('boolean') failed - got '%s'", value);

	*ret = g_strdup(r ? "1" : "0");
	return 0;
}

static int normalize_integer(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	bool negative_allowed = option->limited && option->min < 0;
	const char *digits = (negative_allowed && *value == '-') ? value + 1 : value;
	int64_t number;

	if (!g_ascii_isdigit(*digits) ||
		!g_ascii_string_to_signed(value, 10, G_MININT64, SCHEMA_INTEGER_MAX, &number, NULL))
		return err_set(err, EINVAL, "type check ('integer') failed - got '%s'", value);

	if (strictness == SCHEMA_INPUT) {
		int r = check_limits(option, (double)number, err);
		if (r < 0)
			return r;
	}

	*ret = g_strdup_printf("%" G_GINT64_FORMAT, number);
	return 0;
}

static int normalize_number(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	size_t whole = strspn(value, "0123456789");
	size_t fraction = (value[whole] == '.') ? strspn(value + whole + 1, "0123456789") : 0;
	size_t length = whole + (fraction ? fraction + 1 : 0);

	if (whole == 0 || value[length])
		return err_set(err, EINVAL, "type check ('number') failed - got '%s'", value);

	if (strictness == SCHEMA_INPUT) {
		int r = check_limits(option, g_ascii_strtod(value, NULL), err);
		if (r < 0)
			return r;
	}

	*ret = g_strdup(value);
	return 0;
}

static int normalize_enum(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	if (strictness == SCHEMA_INPUT && !g_strv_contains(option->values, value)) {
		g_autofree char *values = g_strjoinv(", ", (char **)option->values);

		return err_set(err, EINVAL,
			"value '%s' does not have a value in the enumeration '%s'", value, values);
	}

	*ret = g_strdup(value);
	return 0;
}

static int normalize_string(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	*ret = g_strdup(value);
	return 0;
}

static int normalize_props(const SchemaOption *option, SchemaStrictness strictness,
	const char *value, char **ret, GError **err)
{
	g_autoptr(PropString) ps = NULL;
	int r = propstring_parse(option->props, strictness, value, &ps, err);

	if (r < 0)
		return r;

	*ret = propstring_to_string(ps);
	return 0;
}

int schema_normalize(const SchemaOption *option, SchemaStrictness strictness, const char *value,
	char **ret, GError **err)
{
	static int (*const normalize[SCHEMA_N_TYPES])(
		const SchemaOption *, SchemaStrictness, const char *, char **, GError **) = {
		[SCHEMA_STRING] = normalize_string,
		[SCHEMA_BOOLEAN] = normalize_boolean,
		[SCHEMA_INTEGER] = normalize_integer,
		[SCHEMA_NUMBER] = normalize_number,
		[SCHEMA_ENUM] = normalize_enum,
		[SCHEMA_PROPS] = normalize_props,
	};
	unsigned length_max;
	g_autofree char *canonical = NULL;
	int r;

	assert(option && option->type < SCHEMA_N_TYPES);
	assert(value && ret);

	length_max = option->length_max ?: SCHEMA_LENGTH_MAX;
	if (strlen(value) > length_max)
		return err_set(err, EINVAL, "value may only be %u characters long", length_max);

	r = normalize[option->type](option, strictness, value, &canonical, err);
	if (r < 0)
		return r;
	if (option->check) {
		r = option->check(canonical, err);
		if (r < 0)
			return r;
	}

	*ret = option->canonical ? option->canonical(canonical) : g_steal_pointer(&canonical);
	return 0;
}

static char *help_props(const SchemaOption *props)
{
	GString *help = g_string_new(NULL);

	for (const SchemaOption *key = props; key->name; key++) {
		g_autofree char *type = schema_type_dup_help(key);
		bool required = key->flags & SCHEMA_REQUIRED;

		if (key->flags & SCHEMA_HIDDEN)
			continue;
		if (help->len > 0)
			g_string_append(help, required ? "" : " ");
		if (!required)
			g_string_append_c(help, '[');
		if (key != props)
			g_string_append_c(help, ',');
		if (key->flags & SCHEMA_DEFAULT_KEY)
			g_string_append_printf(help, "[%s=]%s", key->name, type);
		else
			g_string_append_printf(help, "%s=%s", key->name, type);
		if (!required)
			g_string_append_c(help, ']');
	}

	return g_string_free(help, FALSE);
}

static char *help_limited(const SchemaOption *option, const char *type)
{
	if (!option->limited)
		return g_strdup_printf("<%s>", type);
	if (option->max >= (double)G_MAXUINT)
		return g_strdup_printf("<%s> (%.0f - N)", type, option->min);
	return g_strdup_printf("<%s> (%.0f - %.0f)", type, option->min, option->max);
}

char *schema_type_dup_help(const SchemaOption *option)
{
	assert(option);

	if (option->format_description)
		return g_strdup(option->format_description);

	switch (option->type) {
	case SCHEMA_BOOLEAN:
		return g_strdup("<boolean>");
	case SCHEMA_INTEGER:
		return help_limited(option, "integer");
	case SCHEMA_NUMBER:
		return help_limited(option, "number");
	case SCHEMA_ENUM: {
		g_autofree char *values = g_strjoinv(" | ", (char **)option->values);

		return g_strdup_printf("<%s>", values);
	}
	case SCHEMA_PROPS:
		return help_props(option->props);
	case SCHEMA_STRING:
	case SCHEMA_N_TYPES:
		break;
	}

	return g_strdup("<string>");
}
