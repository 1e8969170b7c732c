/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A directory for targets that need files. */

#include <glib/gstdio.h>

#include "base/macro.h"

/* The directory of this process, made at the first call; below $TMPDIR. */
static inline const char *fuzz_directory(void)
{
	static char *directory;

	if (!directory)
		directory = g_dir_make_tmp("fuzz-XXXXXX", NULL);
	assert(directory);
	return directory;
}

/* Removes all files in it. */
static inline void fuzz_clean(const char *directory)
{
	GDir *dir = g_dir_open(directory, 0, NULL);
	const char *name;

	assert(dir);

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);

		(void)g_unlink(path);
	}
	g_dir_close(dir);
}
