/* SPDX-License-Identifier: Apache-2.0 */

/* Does one kind of file system work in a directory, again and again, in some processes at once, and
 * prints how long each piece of it took.  For tests/bench/cfs: an interpreter would take longer than
 * most of what it would measure.
 *
 *	fsload DIRECTORY WORK WORKERS COUNT SECONDS SIZE TAG
 *
 * Each worker ends after COUNT pieces of work, or SECONDS.  Prints a line for each worker: seconds
 * from the common start to its end, failures, then the microseconds of each piece that succeeded. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"

#define WORKERS_MAX 64
#define NAMES_MAX   20000
#define ERRORS_MAX  134 /* Above all errnos of Linux. */

typedef struct Load {
	const char *tag; /* Begins the names of the files. */
	unsigned worker, workers, number;
	int fd; /* Of the file that is appended to; 0: not open yet. */
	char *data;
	size_t size;
	char *names[NAMES_MAX]; /* Of the directory, for works that go through it. */
	unsigned n_names;
} Load;

typedef struct Work {
	const char *name;
	int (*once)(Load *load); /* 0, or -1 with errno. */
	bool names;              /* Needs the names of the directory. */
} Work;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void file_name(const Load *load, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s-%u", load->tag, load->worker);
}

static int write_file(Load *load, const char *name, int flags)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0640);
	ssize_t written;
	int error;

	if (fd < 0)
		return -1;

	/* All lines of a version are alike and differ from those of the next, so that a reader
	 * knows a mixture when it sees one. */
	for (size_t at = 0; at + 16 <= load->size; at += 16)
		(void)snprintf(load->data + at, 17, "%015u\n", load->number);
	written = write(fd, load->data, load->size);
	error = errno;
	if (close(fd) < 0)
		return -1;
	errno = written < 0 ? error : EIO;
	return written == (ssize_t)load->size ? 0 : -1;
}

static int do_replace(Load *load)
{
	char name[64];

	file_name(load, name, sizeof(name));
	return write_file(load, name, O_TRUNC);
}

static int do_rename(Load *load)
{
	char name[64], temporary[80];

	file_name(load, name, sizeof(name));
	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	if (write_file(load, temporary, O_TRUNC) < 0)
		return -1;
	return rename(temporary, name);
}

static int create(Load *load, int flags)
{
	char name[64];

	(void)snprintf(
		name, sizeof(name), "%u.conf", 100000 + load->worker * 1000000 + load->number);
	return write_file(load, name, flags);
}

static int do_create(Load *load)
{
	return create(load, O_TRUNC);
}

static int do_create_excl(Load *load)
{
	return create(load, O_EXCL);
}

static int do_unlink(Load *load)
{
	unsigned i = load->number * load->workers + load->worker;

	return i < load->n_names ? unlink(load->names[i]) : 0;
}

/* What a change costs on the disk alone. */
static int do_append(Load *load)
{
	char name[64];

	file_name(load, name, sizeof(name));
	if (load->fd == 0)
		load->fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (load->fd < 0 || write(load->fd, load->data, load->size) < 0)
		return -1;
	return fsync(load->fd);
}

static int read_file(Load *load, const char *name)
{
	char bytes[4096];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, bytes, sizeof(bytes));
	if (close(fd) < 0 || got < 0)
		return -1;
	errno = EIO;
	return got > 0 ? 0 : -1;
}

static int do_read(Load *load)
{
	char name[64];

	file_name(load, name, sizeof(name));
	return read_file(load, name);
}

static int do_read_all(Load *load)
{
	for (unsigned i = 0; i < load->n_names; i++)
		if (read_file(load, load->names[i]) < 0)
			return -1;
	return 0;
}

static int do_stat_all(Load *load)
{
	struct stat st;

	for (unsigned i = 0; i < load->n_names; i++)
		if (stat(load->names[i], &st) < 0)
			return -1;
	return 0;
}

static int do_list(Load *load)
{
	DIR *directory = opendir(".");
	unsigned n = 0;

	if (!directory)
		return -1;
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	errno = EIO;
	return n > 0 ? 0 : -1;
}

/* Reads a file that others replace meanwhile: fails with what it saw that was never written. */
static int do_watch(Load *load)
{
	int fd = open(load->tag, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1; /* ENOENT: it was missing. */
	got = read(fd, load->data, load->size + 1);
	(void)close(fd);
	if (got < 0)
		return -1;
	errno = got == 0 ? ENODATA : EMSGSIZE;
	if ((size_t)got != load->size)
		return -1; /* Empty, or a part of it. */
	errno = EILSEQ;    /* A mixture. */
	for (size_t at = 16; at + 16 <= load->size; at += 16)
		if (memcmp(load->data, load->data + at, 16) != 0)
			return -1;
	return 0;
}

static const Work works[] = {
	{"replace", do_replace, false},
	{"rename", do_rename, false},
	{"create", do_create, false},
	{"create-excl", do_create_excl, false},
	{"unlink", do_unlink, true},
	{"append", do_append, false},
	{"read", do_read, false},
	{"read-all", do_read_all, true},
	{"stat-all", do_stat_all, true},
	{"list", do_list, false},
	{"watch", do_watch, false},
};

/* The names of the directory, so mixed that two neighbours are seldom neighbours in it. */
static void load_names(Load *load)
{
	DIR *directory = opendir(".");
	struct dirent *entry;
	unsigned random = 1;

	assert(directory);

	while ((entry = readdir(directory)) && load->n_names < NAMES_MAX)
		if (entry->d_name[0] != '.')
			load->names[load->n_names++] = strdup(entry->d_name);
	(void)closedir(directory);
	for (unsigned i = load->n_names; i > 1; i--) {
		unsigned other;
		char *name = load->names[i - 1];

		random = random * 1103515245 + 12345;
		other = (random >> 8) % i;
		load->names[i - 1] = load->names[other];
		load->names[other] = name;
	}
}

static void work(const Work *work, Load *load, unsigned count, double seconds, FILE *out)
{
	uint32_t *times = calloc(count, sizeof(*times));
	uint64_t begun = now_ns(), end = begun + (uint64_t)(seconds * 1e9), before = begun;
	unsigned n = 0, failures = 0, by_error[ERRORS_MAX] = {0};

	assert(times);

	for (load->number = 0; load->number < count && before < end; load->number++) {
		int r = work->once(load);
		uint64_t after;

		if (r < 0) {
			by_error[MIN(errno, ERRORS_MAX - 1)]++;
			failures++;
		}
		after = now_ns();
		if (r == 0)
			times[n++] = (uint32_t)((after - before) / 100);
		before = after;
	}
	for (int error = 0; error < ERRORS_MAX; error++)
		if (by_error[error])
			(void)fprintf(stderr, "fsload: %s: %u times: %s\n", work->name,
				by_error[error], strerror(error));
	(void)fprintf(out, "%.6f %u", (double)(before - begun) / 1e9, failures);
	for (unsigned i = 0; i < n; i++)
		(void)fprintf(out, " %.1f", times[i] / 10.0);
	(void)fputc('\n', out);
	free(times);
}

static const Work *work_of(const char *name)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	(void)fprintf(stderr, "fsload: no work '%s'\n", name);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	FILE *outputs[WORKERS_MAX];
	const Work *wanted;
	static Load load;
	double seconds;
	unsigned count;
	int gate[2];

	if (argc != 8) {
		(void)fprintf(
			stderr, "usage: fsload DIRECTORY WORK WORKERS COUNT SECONDS SIZE TAG\n");
		return EXIT_FAILURE;
	}
	if (chdir(argv[1]) < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	argv++;
	wanted = work_of(argv[1]);
	load.workers = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	seconds = atof(argv[4]);
	load.size = (size_t)atol(argv[5]);
	load.tag = argv[6];
	load.data = malloc(load.size + 17);
	assert(load.workers >= 1 && load.workers <= WORKERS_MAX && load.data);
	if (pipe(gate) < 0)
		return EXIT_FAILURE;
	memset(load.data, 'x', load.size + 17);

	if (wanted->names)
		load_names(&load);
	for (load.worker = 0; load.worker < load.workers; load.worker++) {
		outputs[load.worker] = tmpfile();
		assert(outputs[load.worker]);
		switch (fork()) {
		case -1:
			return EXIT_FAILURE;
		case 0:
			/* All begin when the writing end of the gate is closed. */
			(void)close(gate[1]);
			(void)read(gate[0], &(char){0}, 1);
			work(wanted, &load, count, seconds, outputs[load.worker]);
			(void)fflush(outputs[load.worker]);
			_exit(EXIT_SUCCESS);
		default:
			break;
		}
	}
	/* Who started us says when to begin, so that several of us begin together. */
	(void)puts("ready");
	(void)fflush(stdout);
	(void)getchar();
	(void)close(gate[1]);
	while (wait(NULL) > 0)
		continue;
	for (unsigned i = 0; i < load.workers; i++) {
		int c;

		rewind(outputs[i]);
		while ((c = fgetc(outputs[i])) != EOF)
			(void)putchar(c);
	}
	return EXIT_SUCCESS;
}
