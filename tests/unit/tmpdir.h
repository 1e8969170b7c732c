/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A fixture for tests that need a directory: made in set-up, removed in tear-down; *state is its
 * path. */

#include <glib.h>

#include "base/fileutil.h"

static inline int tmpdir_set_up(void **state)
{
	char *path = g_dir_make_tmp("atoll-test-XXXXXX", NULL);

	*state = path;
	return path ? 0 : -1;
}

static inline int tmpdir_tear_down(void **state)
{
	int r = file_remove_tree(*state);

	g_free(*state);
	return r;
}
