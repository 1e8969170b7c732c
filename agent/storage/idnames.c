/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/idnames.h"

#include <glib.h>

#include "base/macro.h"
#include "base/safepath.h"

#define FILE_SIZE_MAX (1024 * 1024)

static int64_t line_parse_id(const char *line, const char *name)
{
	g_auto(GStrv) fields = g_strsplit(line, ":", 4);
	guint64 id;
	char *end;

	if (g_strv_length(fields) < 3 || !str_equal(fields[0], name) ||
		!g_ascii_isdigit(*fields[2]))
		return -ENOENT;
	id = g_ascii_strtoull(fields[2], &end, 10);
	return *end || id >= UINT32_MAX ? -ENOENT : (int64_t)id;
}

int64_t id_by_name(const char *path, const char *name)
{
	auto_close int root_fd = -1;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r;

	assert(path);
	assert(name);

	root_fd = safepath_open_root("/");
	if (root_fd < 0)
		return -ENOENT;
	r = safepath_read(root_fd, path, FILE_SIZE_MAX, &text, NULL);
	if (r < 0)
		return -ENOENT;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		int64_t id = line_parse_id(lines[i], name);

		if (id >= 0)
			return id;
	}
	return -ENOENT;
}
