/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/mountns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/err.h"
#include "base/macro.h"

int mountns_enter(int *ret_host_fd, GError **err)
{
	auto_close int fd = -1;
	int r;

	fd = r = RET_ERRNO(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
	if (r >= 0)
		r = RET_ERRNO(unshare(CLONE_NEWNS));
	if (r < 0)
		return err_set_errno(err, r, "cannot make a mount name space");

	/* Slave and not private: what the host unmounts must not stay busy because of us. */
	r = RET_ERRNO(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	if (r < 0) {
		(void)mountns_leave(&fd, NULL);
		return err_set_errno(err, r, "cannot make a mount name space private");
	}

	*ret_host_fd = fd_steal(&fd);
	return 0;
}

int mountns_leave(int *host_fd, GError **err)
{
	auto_close int fd = fd_steal(host_fd);

	if (fd < 0)
		return 0;
	if (setns(fd, CLONE_NEWNS) < 0)
		return err_set_errno(err, -errno, "cannot leave a mount name space");
	return 0;
}
