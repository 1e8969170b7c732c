/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdwatch.h"

#include "base/macro.h"

guint fd_watch_add(int fd, GIOCondition condition, GUnixFDSourceFunc callback, void *data)
{
	g_autoptr(GSource) source = g_unix_fd_source_new(fd, condition);

	assert(callback);

	g_source_set_can_recurse(source, TRUE);
	g_source_set_callback(source, G_SOURCE_FUNC(callback), data, NULL);
	return g_source_attach(source, g_main_context_get_thread_default());
}
