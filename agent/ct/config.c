/* SPDX-License-Identifier: Apache-2.0 */

/* The grammar of a container's configuration, line by line; blank lines mean nothing:
 *
 *	[pve:pending]        in any case: the pending section starts
 *	[NAME]               the snapshot section NAME starts
 *	#TEXT                one line of the section's description, percent-encoded
 *	description: TEXT    old form: percent-encoded, without the newline at its end
 *	lxc.KEY: VALUE       raw LXC entry, also "lxc.KEY = VALUE"; order kept, repeats allowed
 *	delete: A,!B         pending section only: options that wait to be removed
 *	KEY: VALUE           option; KEY is [a-z][a-z_]*[0-9]*
 *
 * What stands before the first section line is the current section.  Every comment, wherever it
 * stands, is part of its section's description; there are no others.  An encoded description has
 * %XX for each byte but 0x20-0x24, 0x26-0x39 and 0x3b-0x7e.  Raw `lxc.environment.runtime` entries
 * are collected into the option `env`.
 *
 * What cannot be kept is reported and dropped: lines of no valid shape, LXC keys that are unknown or
 * ours to generate, and everything below a section line of no valid shape, because it would
 * otherwise become part of another section.
 *
 * A section is written as description, options sorted by byte order of their keys, environment, raw
 * entries; after an empty line each follow the pending section, if it has anything, and the
 * snapshots in order of their names. */

#include "agent/ct/config.h"

#include <string.h>

#include "agent/ct/lxckeys.h"
#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"

#define ENVIRONMENT_KEY    "lxc.environment.runtime"
#define SNAPSHOT_NAME_MAX  40
#define PARSE_WARNINGS_MAX 100

struct CtConfig {
	CtSection *current;
	CtSection *pending;
	GTree *snapshots; /* char * name → CtSection *, both owned. */
};

/* --- Objects ---------------------------------------------------------------------------------- */

static int compare_keys(gconstpointer a, gconstpointer b, gpointer data)
{
	return strcmp(a, b);
}

static void snapshot_free(gpointer data)
{
	ct_section_free(data);
}

CtConfig *ct_config_new(void)
{
	CtConfig *config = g_new0(CtConfig, 1);

	config->current = ct_section_new();
	config->pending = ct_section_new();
	config->snapshots = g_tree_new_full(compare_keys, NULL, g_free, snapshot_free);
	return config;
}

CtConfig *ct_config_free(CtConfig *config)
{
	if (!config)
		return NULL;

	g_clear_pointer(&config->current, ct_section_free);
	g_clear_pointer(&config->pending, ct_section_free);
	g_clear_pointer(&config->snapshots, g_tree_unref);
	g_free(config);
	return NULL;
}

CtSection *ct_config_current(CtConfig *config)
{
	assert(config);

	return config->current;
}

CtSection *ct_config_pending(CtConfig *config)
{
	assert(config);

	return config->pending;
}

CtSection *ct_config_snapshot(CtConfig *config, const char *name)
{
	assert(config && name);

	return g_tree_lookup(config->snapshots, name);
}

CtSection *ct_config_add_snapshot(CtConfig *config, const char *name)
{
	CtSection *section;

	assert(config && ct_snapshot_name_valid(name));
	assert(!g_tree_lookup(config->snapshots, name));

	section = ct_section_new();
	g_tree_insert(config->snapshots, g_strdup(name), section);
	return section;
}

void ct_config_remove_snapshot(CtConfig *config, const char *name)
{
	assert(config && name);

	g_tree_remove(config->snapshots, name);
}

static gboolean append_key(gpointer key, gpointer value, gpointer data)
{
	g_ptr_array_add(data, key);
	return FALSE;
}

GPtrArray *ct_config_snapshot_names(const CtConfig *config)
{
	GPtrArray *names = g_ptr_array_new();

	assert(config);

	g_tree_foreach(config->snapshots, append_key, names);
	return names;
}

bool ct_snapshot_name_valid(const char *name)
{
	size_t length = strlen(name);

	if (length < 2 || length > SNAPSHOT_NAME_MAX || !g_ascii_isalpha(name[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!g_ascii_isalnum(name[i]) && name[i] != '_' && name[i] != '-')
			return false;
	return true;
}

char *ct_config_dup_digest(const char *text, size_t size)
{
	assert(text);

	return g_compute_checksum_for_data(G_CHECKSUM_SHA1, (const guchar *)text, size);
}

/* --- Parse ------------------------------------------------------------------------------------ */

typedef struct Parser {
	CtConfig *config;
	CtSection *section;   /* The one that lines go to; NULL below a damaged section line. */
	GString *description; /* Of that section, so far. */
	GString *environment; /* The same of its variables, each ended by a newline. */
	unsigned line;        /* From 1. */
	GPtrArray *warnings;  /* Borrowed, may be NULL. */
	unsigned n_warnings;
	bool strict;
	GError **err;
} Parser;

/* Reports something wrong with the line: 0, or -EINVAL in strict mode. */
static int parser_report(Parser *p, const char *format, ...) G_GNUC_PRINTF(2, 3);

static int parser_report(Parser *p, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list ap;

	va_start(ap, format);
	reason = g_strdup_vprintf(format, ap);
	va_end(ap);

	if (p->strict)
		return err_set(p->err, EINVAL, "line %u: %s", p->line, reason);
	if (p->warnings && p->n_warnings < PARSE_WARNINGS_MAX)
		g_ptr_array_add(p->warnings, g_strdup_printf("line %u: %s", p->line, reason));
	else if (p->warnings && p->n_warnings == PARSE_WARNINGS_MAX)
		g_ptr_array_add(p->warnings,
			g_strdup_printf("line %u: further problems are not listed", p->line));
	p->n_warnings++;
	return 0;
}

/* Decodes %XX; anything else after a '%' stands for itself, and so does %00, which no text can
 * hold. */
static void append_decoded(GString *to, const char *text)
{
	while (*text) {
		int high = (*text == '%') ? g_ascii_xdigit_value(text[1]) : -1;
		int low = (high >= 0) ? g_ascii_xdigit_value(text[2]) : -1;

		if (low < 0 || (high == 0 && low == 0)) {
			g_string_append_c(to, *text++);
			continue;
		}
		g_string_append_c(to, (char)(high << 4 | low));
		text += 3;
	}
}

/* Hands what was collected from several lines over to its section. */
static int parser_end_section(Parser *p)
{
	int r = 0;

	if (p->section && p->description->len > 0) {
		g_autofree char *valid = g_utf8_make_valid(p->description->str, -1);

		if (!str_equal(valid, p->description->str))
			r = parser_report(p, "description above is not UTF-8, bytes are replaced");
		ct_section_set(p->section, "description", valid);
	}

	if (p->section && p->environment->len > 0)
		ct_section_set(p->section, "env", p->environment->str);

	g_string_truncate(p->description, 0);
	g_string_truncate(p->environment, 0);
	return r;
}

static int parse_section_line(Parser *p, char *line)
{
	char *name = line + 1;
	char *end = strchr(line, ']');
	int r;

	r = parser_end_section(p);
	if (r < 0)
		return r;

	p->section = NULL;
	if (!end || end[1])
		return parser_report(p, "unable to parse '%s', the section is dropped", line);

	*end = '\0';
	if (g_ascii_strcasecmp(name, "pve:pending") == 0) {
		p->section = p->config->pending;
		if (!ct_section_is_empty(p->section))
			return parser_report(p, "a second pending section, both are merged");
		return 0;
	}
	if (!ct_snapshot_name_valid(name))
		return parser_report(
			p, "'%s' is not a snapshot name, the section is dropped", name);
	if (g_tree_lookup(p->config->snapshots, name)) {
		r = parser_report(p, "snapshot '%s' appears twice, the last one counts", name);
		if (r < 0)
			return r;
		ct_config_remove_snapshot(p->config, name);
	}

	p->section = ct_config_add_snapshot(p->config, name);
	return 0;
}

/* Whether line is "lxc.KEY: VALUE" or "lxc.KEY = VALUE"; if so, it is cut into its two parts. */
static bool split_raw(char *line, char **ret_value)
{
	size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_-.");
	char *separator = line + length;

	if (!g_str_has_prefix(line, "lxc.") || length == strlen("lxc."))
		return false;
	if (*separator != ':') {
		separator += strspn(separator, " \t");
		if (*separator != '=')
			return false;
	}

	line[length] = '\0';
	*ret_value = g_strstrip(separator + 1);
	return true;
}

static int parse_environment(Parser *p, const char *value)
{
	const SchemaOption *option = schema_find(ct_options, "env", NULL);
	g_autoptr(GError) error = NULL;

	g_string_append_printf(p->environment, "%s\n", value);
	if (option->check(value, &error) < 0)
		return parser_report(p, "%s: %s", ENVIRONMENT_KEY, error->message);
	return 0;
}

static int parse_raw(Parser *p, const char *key, const char *value)
{
	if (str_equal(key, ENVIRONMENT_KEY))
		return parse_environment(p, value);

	switch (lxc_key_judge(key)) {
	case LXC_KEY_UNKNOWN:
		return parser_report(p, "unknown LXC key '%s' is dropped", key);
	case LXC_KEY_REFUSED:
		return parser_report(p, "LXC key '%s' is generated and is dropped here", key);
	case LXC_KEY_OLD:
		ct_section_add_raw(p->section, key, value);
		return parser_report(p, "LXC key '%s' is deprecated", key);
	case LXC_KEY_GOOD:
		break;
	}

	ct_section_add_raw(p->section, key, value);
	return 0;
}

/* Whether line is "KEY: VALUE" with something in both; if so, it is cut into its two parts. */
static bool split_option(char *line, char **ret_value)
{
	size_t letters = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
	size_t length = letters + strspn(line + letters, "0123456789");

	if (!g_ascii_islower(line[0]) || line[length] != ':')
		return false;

	*ret_value = g_strstrip(line + length + 1);
	if (!**ret_value)
		return false;

	line[length] = '\0';
	return true;
}

/* Values stay as they are written, because whoever edits a file by hand wants to find it again;
 * only booleans get one form. */
static int parse_option(Parser *p, const char *key, const char *value)
{
	const SchemaOption *option = schema_find(ct_options, key, NULL);
	g_autofree char *canonical = NULL;
	g_autoptr(GError) error = NULL;
	bool repeated = ct_section_get(p->section, key);
	int r;

	if (str_equal(key, "delete") && p->section != p->config->pending)
		return parser_report(p, "'delete' outside the pending section is dropped");

	ct_section_set(p->section, key, value);
	if (repeated) {
		r = parser_report(p, "option '%s' appears twice, the last one counts", key);
		if (r < 0)
			return r;
	}
	if (str_equal(key, "delete"))
		return 0;
	if (!option)
		return parser_report(p, "unknown option '%s'", key);
	if (schema_normalize(option, SCHEMA_FILE, value, &canonical, &error) < 0) {
		g_strdelimit(error->message, "\n", ' ');
		return parser_report(p, "option '%s': %s", key, error->message);
	}

	if (option->type == SCHEMA_BOOLEAN)
		ct_section_set(p->section, key, canonical);
	return 0;
}

static int parse_line(Parser *p, char *line)
{
	char *value;

	if (line[strspn(line, " \t\r\f\v")] == '\0')
		return 0;
	if (line[0] == '[')
		return parse_section_line(p, g_strchomp(line));
	if (!p->section)
		return 0; /* Reported with its section line. */
	if (line[0] == '#') {
		append_decoded(p->description, line + 1);
		g_string_append_c(p->description, '\n');
		return 0;
	}
	if (!g_utf8_validate(line, -1, NULL))
		return parser_report(p, "a line that is not UTF-8 is dropped");
	if (split_raw(line, &value))
		return parse_raw(p, line, value);
	if (split_option(line, &value)) {
		if (str_equal(line, "env"))
			return parse_environment(p, value);
		if (!str_equal(line, "description"))
			return parse_option(p, line, value);
		append_decoded(p->description, value);
		return 0;
	}

	return parser_report(p, "unable to parse '%s', the line is dropped", line);
}

int ct_config_parse(const char *text, size_t size, bool strict, CtConfig **ret, GPtrArray *warnings,
	GError **err)
{
	g_autoptr(CtConfig) config = ct_config_new();
	g_autoptr(GString) description = g_string_new(NULL);
	g_autoptr(GString) environment = g_string_new(NULL);
	g_autofree char *copy = NULL;
	Parser p = {.config = config,
		.section = config->current,
		.description = description,
		.environment = environment,
		.warnings = warnings,
		.strict = strict,
		.err = err};
	char *next;
	int r;

	assert(text && ret);

	if (size > CT_CONFIG_SIZE_MAX)
		return err_set(
			err, EFBIG, "configuration is larger than %d bytes", CT_CONFIG_SIZE_MAX);
	if (memchr(text, '\0', size))
		return err_set(err, EINVAL, "configuration is not text");

	copy = g_strndup(text, size);
	for (char *line = copy; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		p.line++;
		r = parse_line(&p, line);
		if (r < 0)
			return r;
	}
	r = parser_end_section(&p);
	if (r < 0)
		return r;

	*ret = g_steal_pointer(&config);
	return 0;
}

/* --- Print ------------------------------------------------------------------------------------ */

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c <= 0x7e && c != '%' && c != ':';
}

static void print_description(GString *to, const char *description)
{
	g_auto(GStrv) lines = g_strsplit(description, "\n", -1);

	for (char **line = lines; *line; line++) {
		if (!line[1] && !**line)
			break; /* What stands after the last newline: nothing. */
		g_string_append_c(to, '#');
		for (const char *c = *line; *c; c++)
			if (is_plain((unsigned char)*c))
				g_string_append_c(to, *c);
			else
				g_string_append_printf(to, "%%%02X", (unsigned char)*c);
		g_string_append_c(to, '\n');
	}
}

/* Volumes of rootfs and mpN. */
static GHashTable *used_volumes(const CtSection *section)
{
	GHashTable *used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) keys = ct_section_keys(section);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);
		char *volume = g_str_has_prefix(key, "unused")
				       ? NULL
				       : ct_section_dup_volume(section, key);

		if (volume)
			g_hash_table_add(used, volume);
	}
	return used;
}

/* used: volumes in use, NULL outside the current section. */
static bool is_left_out(const CtSection *section, const char *key, GHashTable *used)
{
	g_autofree char *volume = NULL;

	if (str_equal(key, "description") || str_equal(key, "env"))
		return true; /* Printed in their own places. */
	if (!used)
		return false;
	if (str_equal(key, "snapstate"))
		return true;
	if (!g_str_has_prefix(key, "unused"))
		return false;

	volume = ct_section_dup_volume(section, key);
	return volume && g_hash_table_contains(used, volume);
}

static int print_line(GString *to, const char *key, const char *value, GError **err)
{
	if (strchr(value, '\n'))
		return err_set(err, EINVAL, "value of '%s' has a newline", key);

	g_string_append_printf(to, "%s: %s\n", key, value);
	return 0;
}

static void print_environment(GString *to, const char *env)
{
	g_auto(GStrv) variables = g_strsplit(env, "\n", -1);

	for (char **variable = variables; *variable; variable++)
		if (**variable)
			g_string_append_printf(to, "%s: %s\n", ENVIRONMENT_KEY, *variable);
}

static int print_section(GString *to, const CtSection *section, GHashTable *used, GError **err)
{
	g_autoptr(GPtrArray) keys = ct_section_keys(section);
	const GPtrArray *raw = ct_section_raw(section);
	const char *description = ct_section_get(section, "description");
	const char *env = ct_section_get(section, "env");
	int r = 0;

	if (description)
		print_description(to, description);
	for (unsigned i = 0; i < keys->len && r == 0; i++) {
		const char *key = g_ptr_array_index(keys, i);

		if (!is_left_out(section, key, used))
			r = print_line(to, key, ct_section_get(section, key), err);
	}
	if (env)
		print_environment(to, env);
	for (unsigned i = 0; i < raw->len && r == 0; i++) {
		const CtRawEntry *entry = g_ptr_array_index(raw, i);

		r = print_line(to, entry->key, entry->value, err);
	}
	return r;
}

int ct_config_print(const CtConfig *config, char **ret, GError **err)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GHashTable) used = NULL;
	g_autoptr(GPtrArray) names = NULL;
	int r;

	assert(config && ret);

	used = used_volumes(config->current);
	r = print_section(text, config->current, used, err);
	if (r < 0)
		return r;

	if (!ct_section_is_empty(config->pending)) {
		g_string_append(text, "\n[pve:pending]\n");
		r = print_section(text, config->pending, NULL, err);
		if (r < 0)
			return r;
	}

	names = ct_config_snapshot_names(config);
	for (unsigned i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);

		g_string_append_printf(text, "\n[%s]\n", name);
		r = print_section(text, g_tree_lookup(config->snapshots, name), NULL, err);
		if (r < 0)
			return r;
	}

	*ret = g_string_free(g_steal_pointer(&text), FALSE);
	return 0;
}
