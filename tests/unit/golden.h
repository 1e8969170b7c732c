/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Golden files: tests/data/MODULE/NAME.in is what goes in, NAME.out what must come out. */

#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "base/fileutil.h"
#include "tests/unit/test.h"

#define GOLDEN_SIZE_MAX (1024 * 1024)

/* Directory of a module's files, owned by the caller. */
static inline char *golden_dup_directory(const char *module)
{
	const char *srcdir = getenv("srcdir"); /* Set by make check. */

	return g_build_filename(srcdir ? srcdir : ".", "tests", "data", module, NULL);
}

static inline int golden_compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all files NAME.in of a module, sorted, owned by the caller.  There is at least one. */
static inline GPtrArray *golden_names(const char *module)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *path = golden_dup_directory(module);
	GDir *directory = g_dir_open(path, 0, NULL);
	const char *file;

	assert_non_null(directory);
	while ((file = g_dir_read_name(directory)))
		if (g_str_has_suffix(file, ".in"))
			g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".in")));
	g_dir_close(directory);

	assert_true(names->len > 0);
	g_ptr_array_sort(names, golden_compare);
	return names;
}

/* Content of NAME.EXTENSION, owned by the caller. */
static inline char *golden_read(const char *module, const char *name, const char *extension)
{
	g_autofree char *directory = golden_dup_directory(module);
	g_autofree char *path = g_strdup_printf("%s/%s.%s", directory, name, extension);
	char *text = NULL;

	if (file_read(path, GOLDEN_SIZE_MAX, &text, NULL) < 0)
		fail_msg("cannot read '%s'", path);
	return text;
}
