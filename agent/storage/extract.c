/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/extract.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/storage/extract_child.h"
#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"
#include "base/process.h"
#include "base/safepath.h"

#define PROGRESS_INTERVAL_MS 250

struct extraction {
	const ExtractOptions *options;
	int archive_fd;
	uint64_t archive_size;
	int channel_fd; /* Our end of the child's socket. */
	pid_t pid;
	pid_t filter_pid; /* 0: the child decompresses. */
};

static void report_progress(const struct extraction *x)
{
	off_t done;

	if (!x->options->progress)
		return;
	/* Whoever reads shares the open file with us, so its position is the progress. */
	done = lseek(x->archive_fd, 0, SEEK_CUR);
	if (done >= 0)
		x->options->progress((uint64_t)done, x->archive_size, x->options->data);
}

static int write_map(const struct extraction *x, IdKind kind, GError **err)
{
	g_autofree char *path = g_strdup_printf(
		"/proc/%d/%s", x->pid, kind == ID_KIND_USER ? "uid_map" : "gid_map");
	g_autofree char *map = id_map_to_proc(x->options->idmap, kind);
	auto_close int fd = -1;
	int r;

	/* The kernel takes the map in one write only. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : file_write_all(fd, map, strlen(map));
	return r < 0 ? err_set_errno(err, r, "cannot write '%s'", path) : 0;
}

static int answer_unshared(const struct extraction *x, GError **err)
{
	int r;

	r = write_map(x, ID_KIND_USER, err);
	if (r >= 0)
		r = write_map(x, ID_KIND_GROUP, err);
	if (r < 0)
		return r;
	if (send(x->channel_fd, EXTRACT_MESSAGE_MAPPED, strlen(EXTRACT_MESSAGE_MAPPED),
		    MSG_NOSIGNAL) < 0)
		return err_set_errno(err, -errno, "cannot talk to the unpacking process");
	return 0;
}

static int parse_failure(const char *text, GError **err)
{
	char *sentence;
	long code = strtol(text, &sentence, 10);

	/* Our own child's, but it reads what strangers have made. */
	if (code <= 0 || code >= 4096)
		code = EPROTO;
	return err_set(err, (int)code, "%s", sentence + (*sentence == ' '));
}

/* Handles one message of the child: 0 to go on, 1 when it is done. */
static int handle_message(const struct extraction *x, const char *message, GError **err)
{
	if (str_equal(message, EXTRACT_MESSAGE_DONE))
		return 1;
	if (str_equal(message, EXTRACT_MESSAGE_UNSHARED))
		return answer_unshared(x, err);
	if (g_str_has_prefix(message, EXTRACT_MESSAGE_WARN)) {
		if (x->options->warn)
			x->options->warn(message + strlen(EXTRACT_MESSAGE_WARN), x->options->data);
		return 0;
	}
	if (g_str_has_prefix(message, EXTRACT_MESSAGE_FAIL))
		return parse_failure(message + strlen(EXTRACT_MESSAGE_FAIL), err);
	return err_set(err, EPROTO, "the unpacking process said '%.64s'", message);
}

/* Serves the child until it has said how it ended. */
static int follow_child(const struct extraction *x, GError **err)
{
	struct pollfd poll_fd = {.fd = x->channel_fd, .events = POLLIN};

	for (;;) {
		char message[EXTRACT_MESSAGE_MAX + 1];
		ssize_t size;
		int r;

		/* EINTR: a signal asks a worker to give up; its caller decides, we only unpack. */
		r = poll(&poll_fd, 1, PROGRESS_INTERVAL_MS);
		if (r < 0)
			return err_set_errno(err, -errno, "unpacking was interrupted");
		report_progress(x);
		if (r == 0)
			continue;
		size = recv(x->channel_fd, message, sizeof(message) - 1, 0);
		if (size <= 0)
			return err_set(err, EIO, "the unpacking process ended unexpectedly");
		message[size] = '\0';
		r = handle_message(x, message, err);
		if (r != 0)
			return MIN(r, 0);
	}
}

static int start_child(struct extraction *x, int input_fd, int rootfs_fd, GError **err)
{
	auto_close int ours = -1, theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(err, -errno, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];

	x->pid = fork();
	if (x->pid < 0)
		return err_set_errno(err, -errno, "cannot fork");
	if (x->pid == 0)
		extract_child_run(&(ExtractChild){
			.archive_fd = input_fd,
			.rootfs_fd = rootfs_fd,
			.channel_fd = theirs,
			.user_namespace = !id_map_is_host(x->options->idmap),
			.ignore_errors = x->options->ignore_errors,
		});
	x->channel_fd = fd_steal(&ours);
	return 0;
}

/* lzop is the one compression that libarchive has no code for; its program is the host's, and runs
 * outside.  *ret_fd is what comes out of it. */
static int start_lzop(struct extraction *x, int *ret_fd, GError **err)
{
	static const char *const argv[] = {"lzop", "-dc", NULL};
	ProcessSpec spec = process_spec(argv);
	auto_close int read_fd = -1, write_fd = -1;
	int pipe_fds[2];
	int r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_set_errno(err, -errno, "cannot make a pipe");
	read_fd = pipe_fds[0];
	write_fd = pipe_fds[1];
	spec.stdin_fd = x->archive_fd;
	spec.stdout_fd = write_fd;
	r = process_start(&spec, &x->filter_pid, err);
	if (r < 0)
		return r;
	*ret_fd = fd_steal(&read_fd);
	return 0;
}

static bool is_lzop(int fd)
{
	static const unsigned char magic[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n'};
	unsigned char start[sizeof(magic)];

	return pread(fd, start, sizeof(start), 0) == sizeof(start) &&
	       memcmp(start, magic, sizeof(magic)) == 0;
}

static int run(struct extraction *x, int rootfs_fd, GError **err)
{
	auto_close int filter_fd = -1;
	int r;

	if (is_lzop(x->archive_fd)) {
		r = start_lzop(x, &filter_fd, err);
		if (r < 0)
			return r;
	}
	r = start_child(x, filter_fd >= 0 ? filter_fd : x->archive_fd, rootfs_fd, err);
	if (r < 0)
		return r;
	fd_clear(&filter_fd); /* So that lzop ends when the child does. */
	return follow_child(x, err);
}

/* Ends what still runs, and waits for all. */
static void reap(struct extraction *x, bool failed)
{
	if (x->pid > 0) {
		if (failed)
			(void)kill(x->pid, SIGKILL);
		(void)waitpid(x->pid, NULL, 0);
	}
	if (x->filter_pid > 0) {
		/* Its own errors show in what the child reads. */
		(void)kill(x->filter_pid, SIGKILL);
		(void)waitpid(x->filter_pid, NULL, 0);
	}
	fd_clear(&x->channel_fd);
}

int extract_template(const char *archive_path, const char *rootfs_path,
	const ExtractOptions *options, GError **err)
{
	auto_close int archive_fd = -1, rootfs_fd = -1;
	struct extraction x = {.options = options, .channel_fd = -1, .pid = -1};
	struct stat st;
	int r;

	assert(archive_path);
	assert(rootfs_path);
	assert(options && options->idmap);

	/* O_NONBLOCK: opening a FIFO must not hang. */
	archive_fd = open(archive_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (archive_fd < 0)
		return err_set_errno(err, -errno, "cannot open archive '%s'", archive_path);
	if (fstat(archive_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "archive '%s' is not a regular file", archive_path);
	rootfs_fd = safepath_open_root(rootfs_path);
	if (rootfs_fd < 0)
		return err_set_errno(err, rootfs_fd, "cannot open '%s'", rootfs_path);
	x.archive_fd = archive_fd;
	x.archive_size = (uint64_t)st.st_size;

	r = run(&x, rootfs_fd, err);
	reap(&x, r < 0);
	return r < 0 ? err_prefix(err, r, "cannot unpack '%s'", archive_path) : 0;
}
