/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/marked.h"

#include <string.h>

#include <glib.h>

#include "base/macro.h"

static bool line_matches(const char *line, const char *mark)
{
	for (;;) {
		while (*line == ' ' || *line == '\t' || *line == '\r')
			line++;
		while (*mark == ' ')
			mark++;
		if (!*line || *line == '\n')
			return !*mark;
		if (*line++ != *mark++)
			return false;
	}
}

bool marked_is_begin(const char *line)
{
	return line_matches(line, MARKED_BEGIN);
}

bool marked_is_end(const char *line)
{
	return line_matches(line, MARKED_END);
}

static const char *next_line(const char *line)
{
	const char *newline = strchr(line, '\n');

	return newline ? newline + 1 : line + strlen(line);
}

/* Finds the first begin mark and the first end mark after it: [*ret_start, *ret_after) are the
 * section's lines, marks included. */
static bool find_section(const char *text, const char **ret_start, const char **ret_after)
{
	const char *start = NULL;

	for (const char *line = text; *line; line = next_line(line)) {
		if (!start && marked_is_begin(line)) {
			start = line;
		} else if (start && marked_is_end(line)) {
			*ret_start = start;
			*ret_after = next_line(line);
			return true;
		}
	}

	return false;
}

static void append_section(GString *to, const char *text)
{
	size_t length = strlen(text);

	if (to->len > 0 && to->str[to->len - 1] != '\n')
		g_string_append_c(to, '\n');
	g_string_append(to, MARKED_BEGIN "\n");
	g_string_append(to, text);
	if (length > 0 && text[length - 1] != '\n')
		g_string_append_c(to, '\n');
	g_string_append(to, MARKED_END "\n");
}

char *marked_apply(const char *old, const char *text, MarkedPlace place)
{
	g_autoptr(GString) result = g_string_new(NULL);
	const char *start, *after;

	assert(text);

	if (old && find_section(old, &start, &after)) {
		g_string_append_len(result, old, start - old);
		if (*text)
			append_section(result, text);
		g_string_append(result, after);
	} else if (!*text) {
		return NULL;
	} else {
		if (old && place == MARKED_APPEND)
			g_string_append(result, old);
		append_section(result, text);
		if (old && place == MARKED_PREPEND)
			g_string_append(result, old);
	}

	return g_string_free(g_steal_pointer(&result), FALSE);
}

char *marked_strip(const char *text)
{
	const char *start, *after;

	assert(text);

	if (!find_section(text, &start, &after))
		return g_strdup(text);
	return g_strdup_printf("%.*s%s", (int)(start - text), text, after);
}
