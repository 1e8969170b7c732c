/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"

/* A member as text; "" when it is missing or null.  Owned by the caller. */
static char *member_dup(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return g_strdup(json_string_value(value));
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (json_is_real(value))
		return g_strdup_printf("%g", json_real_value(value));
	if (json_is_boolean(value))
		return g_strdup(json_is_true(value) ? "1" : "0");
	return g_strdup("");
}

static int64_t member_integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_boolean(value))
		return json_is_true(value);
	return (int64_t)json_number_value(value);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The members' names in byte order; the strings are borrowed, the array is the caller's. */
static GPtrArray *sorted_keys(const json_t *object)
{
	GPtrArray *keys = g_ptr_array_new();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
		g_ptr_array_add(keys, (gpointer)key);
	g_ptr_array_sort(keys, compare_strings);
	return keys;
}

static void print_members(const json_t *object, const char *const *hidden)
{
	g_autoptr(GPtrArray) keys = sorted_keys(object);

	for (unsigned i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i);
		g_autofree char *value = member_dup(object, key);

		if (!g_strv_contains(hidden, key))
			printf("%s: %s\n", key, value);
	}
}

void print_containers(const json_t *data, const Args *args)
{
	json_t *row;
	size_t i;

	if (json_array_size(data) > 0)
		printf("%-10s %-10s %-12s %-20s\n", "VMID", "Status", "Lock", "Name");
	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *vmid = member_dup(row, "vmid");
		g_autofree char *status = member_dup(row, "status");
		g_autofree char *lock = member_dup(row, "lock");
		g_autofree char *name = member_dup(row, "name");

		printf("%-10s %-10s %-12s %-20s\n", vmid, status, lock, name);
	}
}

void print_container_status(const json_t *data, const Args *args)
{
	static const char *const hidden[] = {NULL};
	g_autofree char *status = member_dup(data, "status");

	if (args_get_boolean(args, "verbose", false))
		print_members(data, hidden);
	else
		printf("status: %s\n", status);
}

/* A value on one line: the description, which has lines of its own, is encoded as in the file, without
 * its '#'.  Owned by the caller. */
static char *value_dup_line(const char *key, const char *value)
{
	if (str_equal(key, "description"))
		return g_uri_escape_string(value, " !\"#$&'()*+,-./;<=>?@[\\]^_`{|}~", false);
	return g_strdup(value);
}

/* The variables of the environment have a line each, as the command line takes them. */
static void print_option(const char *prefix, const char *key, const char *value)
{
	g_autofree char *line = value_dup_line(key, value);
	g_auto(GStrv) variables = g_strsplit(line, "\n", -1);

	if (!str_equal(key, "env")) {
		printf("%s%s: %s\n", prefix, key, line);
		return;
	}
	for (char **variable = variables; *variable; variable++)
		printf("%s%s: %s\n", prefix, key, *variable);
}

static void print_config_member(const json_t *data, const char *key)
{
	g_autofree char *value = member_dup(data, key);

	print_option("", key, value);
}

void print_config(const json_t *data, const Args *args)
{
	g_autoptr(GPtrArray) keys = sorted_keys(data);
	json_t *entry;
	size_t i;

	for (unsigned k = 0; k < keys->len; k++) {
		const char *key = g_ptr_array_index(keys, k);

		if (!str_equal(key, "digest") && !str_equal(key, "lxc"))
			print_config_member(data, key);
	}

	json_array_foreach(json_object_get(data, "lxc"), i, entry)
		printf("%s: %s\n", json_string_value(json_array_get(entry, 0)),
			json_string_value(json_array_get(entry, 1)));
}

void print_pending(const json_t *data, const Args *args)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *key = member_dup(row, "key");
		g_autofree char *value = member_dup(row, "value");
		g_autofree char *pending = member_dup(row, "pending");

		if (json_object_get(row, "value"))
			print_option(json_object_get(row, "delete") ? "del " : "cur ", key, value);
		if (json_object_get(row, "pending"))
			print_option("new ", key, pending);
	}
}

static int column_width(const json_t *rows, const char *key, int least)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		const char *text = json_string_value(json_object_get(row, key));

		least = MAX(least, (int)(text ? strlen(text) : 0));
	}

	return least;
}

static const char *storage_state(const json_t *row)
{
	if (!member_integer(row, "enabled"))
		return "disabled";
	return member_integer(row, "active") ? "active" : "inactive";
}

static void print_storage(const json_t *row, int width)
{
	g_autofree char *name = member_dup(row, "storage");
	g_autofree char *type = member_dup(row, "type");
	const char *state = storage_state(row);
	int64_t total = member_integer(row, "total");
	int64_t used = member_integer(row, "used");
	g_autofree char *percent =
		str_equal(state, "disabled")
			? g_strdup("N/A")
			: g_strdup_printf(
				  "%.2f%%", total ? 100.0 * (double)used / (double)total : 0);

	printf("%-*s %10s %10s %15" PRId64 " %15" PRId64 " %15" PRId64 " %8s\n", width, name, type,
		state, total / 1024, used / 1024, member_integer(row, "avail") / 1024, percent);
}

void print_storages(const json_t *data, const Args *args)
{
	int width = column_width(data, "storage", 4);
	json_t *row;
	size_t i;

	printf("%-*s %10s %10s %15s %15s %15s %8s\n", width, "Name", "Type", "Status", "Total",
		"Used", "Available", "%");
	json_array_foreach((json_t *)data, i, row)
		print_storage(row, width);
}

void print_volumes(const json_t *data, const Args *args)
{
	int width = column_width(data, "volid", 5);
	json_t *row;
	size_t i;

	printf("%-*s %-7s %-9s %15s %s\n", width, "Volid", "Format", "Type", "Size", "VMID");
	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *volid = member_dup(row, "volid");
		g_autofree char *format = member_dup(row, "format");
		g_autofree char *content = member_dup(row, "content");
		g_autofree char *vmid = member_dup(row, "vmid");

		printf("%-*s %-7s %-9s %15" PRId64 " %s\n", width, volid, format, content,
			member_integer(row, "size"), vmid);
	}
}

void print_path(const json_t *data, const Args *args)
{
	g_autofree char *path = member_dup(data, "path");

	printf("%s\n", path);
}

void print_templates(const json_t *data, const Args *args)
{
	json_t *row;
	size_t i;

	printf("%-60s %-6s\n", "NAME", "SIZE");
	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *volid = member_dup(row, "volid");

		printf("%-60s %-.2fMB\n", volid,
			(double)member_integer(row, "size") / (1024 * 1024));
	}
}

void print_cluster_nodes(const json_t *data, const Args *args)
{
	json_t *row;
	size_t i;

	printf("%10s %8s %s\n", "Nodeid", "Online", "Name");
	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *name = member_dup(row, "name");

		if (!str_equal(json_string_value(json_object_get(row, "type")), "node"))
			continue;
		printf("%10" PRId64 " %8s %s%s\n", member_integer(row, "nodeid"),
			member_integer(row, "online") ? "yes" : "no", name,
			member_integer(row, "local") ? " (local)" : "");
	}
}

void print_cluster_status(const json_t *data, const Args *args)
{
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)data, i, row) {
		g_autofree char *name = member_dup(row, "name");

		if (!str_equal(json_string_value(json_object_get(row, "type")), "cluster"))
			continue;
		printf("%-18s%s\n", "Name:", name);
		printf("%-18s%" PRId64 "\n", "Config Version:", member_integer(row, "version"));
		printf("%-18s%" PRId64 "\n", "Nodes:", member_integer(row, "nodes"));
		printf("%-18s%s\n\n", "Quorate:", member_integer(row, "quorate") ? "Yes" : "No");
	}

	print_cluster_nodes(data, args);
}

void print_json(const json_t *data, bool pretty)
{
	size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | (pretty ? JSON_INDENT(3) : JSON_COMPACT);

	(void)json_dumpf(data, stdout, flags);
	(void)fputc('\n', stdout);
}
