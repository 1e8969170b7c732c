/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs run without a shell: argv goes to posix_spawn as it is, descriptors are close-on-exec,
 * the environment is a fixed small one (PATH, LANG=C.UTF-8) plus what the caller names. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

/* Output of a program that is kept; the rest is read and thrown away. */
#define PROCESS_OUTPUT_MAX (1024 * 1024)

typedef struct ProcessSpec {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in the fixed PATH. */
	const char *const *envp; /* Additional "NAME=VALUE", NULL-terminated, or NULL. */
	const char *directory;   /* Working directory, NULL: "/". */
	int stdin_fd;            /* Borrowed; -1: /dev/null. */
	int stdout_fd;           /* Borrowed; -1: /dev/null. */
	int stderr_fd;           /* Borrowed; -1: /dev/null. */
	const int *keep_fds;     /* Further descriptors to hand over under the same number … */
	unsigned n_keep_fds;     /* … and how many. */
	bool new_session;        /* setsid(): survives the end of our session. */
} ProcessSpec;

/* A spec for argv, with the defaults named above. */
ProcessSpec process_spec(const char *const *argv);

/* The path of a program in the fixed PATH, owned by the caller; NULL when it is not installed. */
char *process_find(const char *name);

/* Starts the program; *ret_pid must be waited for.  Negative errno with reason. */
int process_start(const ProcessSpec *spec, pid_t *ret_pid, GError **err);

/* Waits for pid.  0 when it exited with status 0, otherwise -EIO and "NAME failed: exit status 3"
 * or "… killed by signal 9". */
int process_wait(pid_t pid, const char *name, GError **err);

/* Runs argv to its end.  *ret_output (if wanted, owned by the caller) is its standard output.  On
 * failure the last line of its standard error is part of the reason. */
int process_run(const char *const *argv, char **ret_output, GError **err);

/* The start time of a process in clock ticks since boot (field 22 of /proc/PID/stat): with the pid
 * it names a process for ever.  -ESRCH when it does not exist. */
int process_start_time(pid_t pid, uint64_t *ret_ticks);
