/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/state.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "agent/ct/cgroup.h"
#include "agent/ct/options.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/paths.h"
#include "base/process.h"

/* A host with many sockets has a large /proc/net/unix. */
#define PROC_TEXT_MAX (64 * 1024 * 1024)

/* A command socket's line ends like this: "… @/var/lib/lxc/100/command". */
#define SOCKET_PREFIX "@" PATH_LXC "/"
#define SOCKET_SUFFIX "/command"

static int compare_ids(const void *a, const void *b)
{
	unsigned id_a = *(const unsigned *)a, id_b = *(const unsigned *)b;

	return (id_a > id_b) - (id_a < id_b);
}

/* The id in a command socket's name; 0 for any other socket. */
static unsigned parse_socket_name(const char *name, size_t length)
{
	g_autofree char *id_text = NULL;
	unsigned id;

	if (length <= strlen(SOCKET_PREFIX SOCKET_SUFFIX) ||
		strncmp(name, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) != 0 ||
		strncmp(name + length - strlen(SOCKET_SUFFIX), SOCKET_SUFFIX,
			strlen(SOCKET_SUFFIX)) != 0)
		return 0;

	id_text = g_strndup(
		name + strlen(SOCKET_PREFIX), length - strlen(SOCKET_PREFIX SOCKET_SUFFIX));
	return ct_id_parse(id_text, &id, NULL) < 0 ? 0 : id;
}

GArray *ct_state_parse_running(const char *proc_net_unix)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
	unsigned n_unique = 0;

	for (const char *at = proc_net_unix; (at = strstr(at, SOCKET_PREFIX));) {
		size_t length = strcspn(at, "\n");
		unsigned id = parse_socket_name(at, length);

		if (id)
			g_array_append_val(ids, id);
		at += length;
	}

	/* A socket with connections has a line for each of them too. */
	g_array_sort(ids, compare_ids);
	for (unsigned i = 0; i < ids->len; i++) {
		unsigned id = g_array_index(ids, unsigned, i);

		if (n_unique == 0 || g_array_index(ids, unsigned, n_unique - 1) != id)
			g_array_index(ids, unsigned, n_unique++) = id;
	}
	g_array_set_size(ids, n_unique);
	return ids;
}

GArray *ct_state_list_running(void)
{
	g_autofree char *text = NULL;

	if (file_read("/proc/net/unix", PROC_TEXT_MAX, &text, NULL) < 0)
		return g_array_new(FALSE, FALSE, sizeof(unsigned));
	return ct_state_parse_running(text);
}

bool ct_state_running(unsigned vmid)
{
	g_autoptr(GArray) ids = ct_state_list_running();

	return g_array_binary_search(ids, &vmid, compare_ids, NULL);
}

int ct_state_check_monitor(unsigned vmid, GError **err)
{
	/* An abstract socket: its name begins with a NUL byte and needs none at the end. */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int length, r;

	length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
		PATH_LXC "/%u" SOCKET_SUFFIX, vmid);
	assert(length > 0 && (size_t)length < sizeof(address.sun_path) - 1);

	fd = RET_ERRNO(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (fd < 0)
		return err_set_errno(err, fd, "cannot make a socket");
	r = RET_ERRNO(connect(fd, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)));
	if (r >= 0)
		r = RET_ERRNO(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size));
	if (r < 0)
		return err_set_errno(err, r, "cannot reach the monitor of CT %u", vmid);
	if (peer.uid != geteuid())
		return err_set(err, EPERM,
			"the socket of CT %u's monitor was made by user %u, not by LXC", vmid,
			(unsigned)peer.uid);
	return 0;
}

char *ct_state_dup_path(unsigned vmid, const char *suffix)
{
	return g_strdup_printf(PATH_RUN "/ct-%u.%s", vmid, suffix);
}

void ct_state_forget(unsigned vmid)
{
	g_autofree char *prefix = g_strdup_printf("ct-%u.", vmid);
	GDir *dir = g_dir_open(PATH_RUN, 0, NULL);
	const char *name;

	if (!dir)
		return;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(PATH_RUN, name, NULL);

		if (g_str_has_prefix(name, prefix))
			(void)unlink(path);
	}
	g_dir_close(dir);
}

int ct_state_set_monitor(unsigned vmid, pid_t pid)
{
	g_autofree char *path = ct_state_dup_path(vmid, "monitor");
	g_autofree char *text = NULL;
	uint64_t start_ticks;
	int r;

	r = process_start_time(pid, &start_ticks);
	if (r < 0)
		return r;

	text = g_strdup_printf("%d %" PRIu64 "\n", (int)pid, start_ticks);
	return file_replace(path, text, strlen(text), 0600);
}

/* The monitor, if the process that was remembered still is the same one. */
static int get_monitor(unsigned vmid, pid_t *ret)
{
	g_autofree char *path = ct_state_dup_path(vmid, "monitor");
	g_autofree char *text = NULL;
	uint64_t start_ticks, now_ticks;
	int pid;
	int r;

	r = file_read(path, 64, &text, NULL);
	if (r < 0)
		return -ESRCH;
	if (sscanf(text, "%d %" SCNu64, &pid, &start_ticks) != 2 || pid <= 0)
		return -ESRCH;
	r = process_start_time(pid, &now_ticks);
	if (r < 0 || now_ticks != start_ticks)
		return -ESRCH;

	*ret = pid;
	return 0;
}

int ct_state_open_monitor(unsigned vmid, int *ret_fd)
{
	auto_close int fd = -1;
	pid_t pid, again;
	int r;

	r = get_monitor(vmid, &pid);
	if (r < 0)
		return r;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	/* Between the look and the open the pid may have got a new owner. */
	r = get_monitor(vmid, &again);
	if (r < 0)
		return r;

	*ret_fd = fd_steal(&fd);
	return 0;
}

/* Whether pid is in another PID name space than the monitor: init is, a hook is not. */
static bool in_other_pid_namespace(pid_t monitor, pid_t pid)
{
	g_autofree char *path_a = g_strdup_printf("/proc/%d/ns/pid", (int)monitor);
	g_autofree char *path_b = g_strdup_printf("/proc/%d/ns/pid", (int)pid);
	struct stat a, b;

	return stat(path_a, &a) == 0 && stat(path_b, &b) == 0 && a.st_ino != b.st_ino;
}

int ct_state_init_pid(unsigned vmid, pid_t *ret)
{
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;
	pid_t monitor;
	int r;

	r = get_monitor(vmid, &monitor);
	if (r < 0)
		return r;

	path = g_strdup_printf("/proc/%d/task/%d/children", (int)monitor, (int)monitor);
	r = file_read(path, 4096, &text, NULL);
	if (r < 0)
		return -ESRCH;

	for (char *at = text, *end;; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			return -ESRCH;
		if (pid > 0 && in_other_pid_namespace(monitor, (pid_t)pid)) {
			*ret = (pid_t)pid;
			return 0;
		}
	}
}

static void read_memory(pid_t pid, CtUsage *usage)
{
	g_autofree char *dir = NULL;
	unsigned version;
	uint64_t cache_bytes, total_bytes;

	if (ct_cgroup_of(pid, "memory", &dir, &version) < 0)
		return;

	if (version == 2) {
		total_bytes = cgroup_read_number(dir, "memory.current", 0);
		cache_bytes = cgroup_read_key(dir, "memory.stat", "file", 0);
		usage->swap_bytes = cgroup_read_number(dir, "memory.swap.current", 0);
	} else {
		uint64_t both_bytes = cgroup_read_number(dir, "memory.memsw.usage_in_bytes", 0);

		total_bytes = cgroup_read_number(dir, "memory.usage_in_bytes", 0);
		cache_bytes = cgroup_read_key(dir, "memory.stat", "total_cache", 0);
		usage->swap_bytes = both_bytes > total_bytes ? both_bytes - total_bytes : 0;
	}
	usage->mem_bytes = total_bytes > cache_bytes ? total_bytes - cache_bytes : 0;
}

static void read_cpu(pid_t pid, CtUsage *usage)
{
	g_autofree char *dir = NULL;
	unsigned version;

	if (ct_cgroup_of(pid, "cpuacct", &dir, &version) < 0)
		return;
	usage->cpu_us = version == 2 ? cgroup_read_key(dir, "cpu.stat", "usage_usec", 0)
				     : cgroup_read_number(dir, "cpuacct.usage", 0) / 1000;
}

/* Adds up the numbers that follow marker anywhere in text. */
static uint64_t sum_behind(const char *text, const char *marker)
{
	uint64_t sum = 0;

	for (const char *at = text; (at = strstr(at, marker));) {
		at += strlen(marker);
		sum += g_ascii_strtoull(at, NULL, 10);
	}
	return sum;
}

static void read_disk(pid_t pid, CtUsage *usage)
{
	/* v2 has lines "8:0 rbytes=1 wbytes=2 …", v1 "8:0 Read 1", and a "Total" without a device
	 * that has neither word. */
	g_autofree char *dir = NULL;
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;
	unsigned version;

	if (ct_cgroup_of(pid, "blkio", &dir, &version) < 0)
		return;
	path = g_build_filename(
		dir, version == 2 ? "io.stat" : "blkio.throttle.io_service_bytes_recursive", NULL);
	if (file_read(path, PROC_TEXT_MAX, &text, NULL) < 0)
		return;

	usage->disk_read_bytes = sum_behind(text, version == 2 ? " rbytes=" : " Read ");
	usage->disk_write_bytes = sum_behind(text, version == 2 ? " wbytes=" : " Write ");
}

static void read_network(pid_t pid, CtUsage *usage)
{
	/* "  eth0: RBYTES packets errs drop fifo frame compressed multicast TBYTES …" */
	g_autofree char *path = g_strdup_printf("/proc/%d/net/dev", (int)pid);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (file_read(path, PROC_TEXT_MAX, &text, NULL) < 0)
		return;

	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		char *colon = strchr(lines[i], ':');
		uint64_t in_bytes, out_bytes;

		if (!colon)
			continue;
		*colon = '\0';
		if (str_equal(g_strstrip(lines[i]), "lo"))
			continue;
		if (sscanf(colon + 1, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &in_bytes,
			    &out_bytes) == 2) {
			usage->net_in_bytes += in_bytes;
			usage->net_out_bytes += out_bytes;
		}
	}
}

int ct_state_usage(unsigned vmid, CtUsage *ret)
{
	CtUsage usage = {0};
	struct timespec since_boot;
	uint64_t start_ticks;
	int r;

	r = ct_state_init_pid(vmid, &usage.pid);
	if (r < 0)
		return r;
	r = process_start_time(usage.pid, &start_ticks);
	if (r < 0)
		return r;

	r = RET_ERRNO(clock_gettime(CLOCK_BOOTTIME, &since_boot));
	assert(r == 0);
	usage.uptime_s = (uint64_t)since_boot.tv_sec - start_ticks / (uint64_t)sysconf(_SC_CLK_TCK);

	read_memory(usage.pid, &usage);
	read_cpu(usage.pid, &usage);
	read_disk(usage.pid, &usage);
	read_network(usage.pid, &usage);

	*ret = usage;
	return 0;
}
