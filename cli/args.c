/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <string.h>

#include "base/err.h"
#include "base/macro.h"

struct Args {
	GTree *values;   /* char * name → char * value, both owned. */
	GPtrArray *rest; /* Of char *, owned, NULL-terminated. */
};

static int compare_names(gconstpointer a, gconstpointer b, gpointer data)
{
	return strcmp(a, b);
}

static Args *args_new(void)
{
	Args *args = g_new0(Args, 1);

	args->values = g_tree_new_full(compare_names, NULL, g_free, g_free);
	args->rest = g_ptr_array_new_with_free_func(g_free);
	return args;
}

Args *args_free(Args *args)
{
	if (!args)
		return NULL;

	g_clear_pointer(&args->values, g_tree_unref);
	g_clear_pointer(&args->rest, g_ptr_array_unref);
	g_free(args);
	return NULL;
}

const SchemaOption *args_find(const ArgsSpec *spec, const char *name)
{
	for (unsigned i = 0; i < ARGS_TABLES_MAX; i++) {
		const SchemaOption *option = schema_find(spec->tables[i], name, NULL);

		if (option)
			return option;
	}

	return NULL;
}

static bool is_positional(const ArgsSpec *spec, const char *name)
{
	return spec->positionals && g_strv_contains(spec->positionals, name);
}

/* What is under way while the vector is walked. */
typedef struct Walk {
	const ArgsSpec *spec;
	int argc;
	char *const *argv;
	int next; /* Index of the next argument. */
	Args *args;
	unsigned n_positionals; /* How many have been taken. */
} Walk;

/* The value of an option that is not written with '=': the next argument, or what leaving it out means.
 */
static int take_value(
	Walk *walk, const SchemaOption *option, const char *name, const char **ret, GError **err)
{
	const char *following = (walk->next < walk->argc) ? walk->argv[walk->next] : NULL;

	if (option->type == SCHEMA_BOOLEAN) {
		bool given = following && schema_parse_boolean(following) >= 0;

		*ret = given ? following : "1";
		walk->next += given;
		return 0;
	}
	if ((option->flags & SCHEMA_SECRET) && (!following || following[0] == '-')) {
		*ret = "";
		return 0;
	}
	if (!following)
		return err_set(err, EINVAL, "Option %s requires an argument", name);

	*ret = following;
	walk->next++;
	return 0;
}

/* A list that is given again grows. */
static void add_value(Args *args, const SchemaOption *option, const char *name, const char *value)
{
	const char *before = args_get(args, name);
	const char *separator = (option->flags & SCHEMA_LINES) ? "\n" : ",";
	g_autofree char *both = before ? g_strconcat(before, separator, value, NULL) : NULL;

	args_set(args, name, both ?: value);
}

static int walk_option(Walk *walk, const char *argument, GError **err)
{
	const char *text = argument + ((argument[1] == '-') ? 2 : 1);
	const char *equals = strchr(text, '=');
	g_autofree char *name = equals ? g_strndup(text, (gsize)(equals - text)) : g_strdup(text);
	const SchemaOption *option = args_find(walk->spec, name);
	const char *value = equals ? equals + 1 : NULL;

	if (!option || (option->flags & (SCHEMA_HIDDEN | SCHEMA_INTERNAL)) ||
		is_positional(walk->spec, name))
		return err_set(err, EINVAL, "Unknown option: %s", name);
	if (args_get(walk->args, name) && !(option->flags & (SCHEMA_LIST | SCHEMA_LINES)))
		return err_set(err, EINVAL, "Option %s is given twice", name);
	if (!value) {
		int r = take_value(walk, option, name, &value, err);
		if (r < 0)
			return r;
	}

	add_value(walk->args, option, name, value);
	return 0;
}

/* The positional whose turn it is; NULL when all have been taken. */
static const char *positional_due(const Walk *walk)
{
	return walk->spec->positionals ? walk->spec->positionals[walk->n_positionals] : NULL;
}

static bool is_multiple(const ArgsSpec *spec, const char *name)
{
	const SchemaOption *option = name ? args_find(spec, name) : NULL;

	return option && (option->flags & SCHEMA_MULTIPLE);
}

static void take_rest(Walk *walk)
{
	for (; walk->next < walk->argc; walk->next++)
		g_ptr_array_add(walk->args->rest, g_strdup(walk->argv[walk->next]));
	walk->n_positionals++;
}

static int walk_positional(Walk *walk, const char *argument, GError **err)
{
	const char *name = positional_due(walk);

	if (!name)
		return err_set(err, EINVAL, "400 too many arguments");

	args_set(walk->args, name, argument);
	walk->n_positionals++;
	return 0;
}

static int walk_all(Walk *walk, GError **err)
{
	bool options_ended = false;

	while (walk->next < walk->argc) {
		const char *argument = walk->argv[walk->next];
		bool looks_like_option = !options_ended && argument[0] == '-' && argument[1];
		int r;

		if (looks_like_option && str_equal(argument, "--")) {
			options_ended = true;
			walk->next++;
			continue;
		}
		if (!looks_like_option && is_multiple(walk->spec, positional_due(walk))) {
			take_rest(walk);
			return 0;
		}

		walk->next++;
		r = looks_like_option ? walk_option(walk, argument, err)
				      : walk_positional(walk, argument, err);
		if (r < 0)
			return r;
	}

	return 0;
}

int args_parse(const ArgsSpec *spec, int argc, char *const *argv, Args **ret, GError **err)
{
	g_autoptr(Args) args = args_new();
	Walk walk = {.spec = spec, .argc = argc, .argv = argv, .args = args};
	unsigned n_wanted;
	int r;

	assert(spec && ret);
	assert(argc == 0 || argv);

	r = walk_all(&walk, err);
	if (r < 0)
		return r;

	n_wanted = spec->positionals ? g_strv_length((char **)spec->positionals) : 0;
	assert(spec->n_optional <= n_wanted);
	if (walk.n_positionals < n_wanted - spec->n_optional)
		return err_set(err, EINVAL, "400 not enough arguments");

	g_ptr_array_add(args->rest, NULL);
	*ret = g_steal_pointer(&args);
	return 0;
}

const char *args_get(const Args *args, const char *name)
{
	assert(args && name);

	return g_tree_lookup(args->values, name);
}

bool args_get_boolean(const Args *args, const char *name, bool fallback)
{
	const char *value = args_get(args, name);
	int parsed = value ? schema_parse_boolean(value) : -EINVAL;

	return (parsed < 0) ? fallback : parsed;
}

void args_set(Args *args, const char *name, const char *value)
{
	assert(args && name);

	if (value)
		g_tree_replace(args->values, g_strdup(name), g_strdup(value));
	else
		g_tree_remove(args->values, name);
}

const char *const *args_rest(const Args *args)
{
	assert(args);

	return (const char *const *)args->rest->pdata;
}

typedef struct Visit {
	void (*visit)(const char *name, const char *value, void *data);
	void *data;
} Visit;

static gboolean visit_value(gpointer name, gpointer value, gpointer data)
{
	const Visit *v = data;

	v->visit(name, value, v->data);
	return FALSE;
}

void args_each(const Args *args, void (*visit)(const char *name, const char *value, void *data),
	void *data)
{
	Visit v = {visit, data};

	assert(args && visit);

	g_tree_foreach(args->values, visit_value, &v);
}
