/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/reboot.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>

#include <glib-unix.h>

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"

#define REBOOT_DIR PATH_RUN "/reboot"

struct RebootWatch {
	int fd; /* inotify. */
	guint source;
	RebootFunc func;
	void *data;
};

static char *dup_path(unsigned vmid)
{
	return g_strdup_printf(REBOOT_DIR "/%u", vmid);
}

int reboot_request(unsigned vmid, GError **err)
{
	g_autofree char *path = dup_path(vmid);
	auto_close int fd = -1;
	int r;

	r = file_mkdir_all(REBOOT_DIR, 0700);
	if (r >= 0)
		fd = r = RET_ERRNO(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	if (r < 0)
		return err_set_errno(err, r, "cannot ask for the reboot of CT %u", vmid);
	return 0;
}

void reboot_request_clear(unsigned vmid)
{
	g_autofree char *path = dup_path(vmid);

	(void)unlink(path);
}

static void handle_name(RebootWatch *watch, const char *name)
{
	unsigned vmid;

	if (ct_id_parse(name, &vmid, NULL) >= 0)
		watch->func(vmid, watch->data);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
	RebootWatch *watch = data;
	/* At least one event with the longest name; read() gives whole events only. */
	_Alignas(struct inotify_event) char
		buffer[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	ssize_t size = read(fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < size;) {
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		if (event->len > 0)
			handle_name(watch, event->name);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return G_SOURCE_CONTINUE;
}

int reboot_watch_new(RebootFunc func, void *data, RebootWatch **ret, GError **err)
{
	g_autoptr(RebootWatch) watch = g_new0(RebootWatch, 1);
	GDir *dir;
	const char *name;
	int r;

	assert(func);

	watch->func = func;
	watch->data = data;
	watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->fd < 0)
		return err_set_errno(err, -errno, "cannot watch for reboots");
	r = file_mkdir_all(REBOOT_DIR, 0700);
	if (r >= 0)
		r = RET_ERRNO(inotify_add_watch(watch->fd, REBOOT_DIR, IN_CLOSE_WRITE));
	if (r < 0)
		return err_set_errno(err, r, "cannot watch '%s'", REBOOT_DIR);
	watch->source = g_unix_fd_add(watch->fd, G_IO_IN, on_readable, watch);

	/* After the watch is set, so that none falls in between.  One that is seen twice is started
	 * twice; the second start finds it running. */
	dir = g_dir_open(REBOOT_DIR, 0, NULL);
	while (dir && (name = g_dir_read_name(dir)))
		handle_name(watch, name);
	if (dir)
		g_dir_close(dir);

	*ret = g_steal_pointer(&watch);
	return 0;
}

RebootWatch *reboot_watch_free(RebootWatch *watch)
{
	if (watch) {
		if (watch->source)
			g_source_remove(watch->source);
		fd_cleanup(&watch->fd);
		g_free(watch);
	}
	return NULL;
}
