/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/fileutil.h"
#include "base/macro.h"

#define PROCESS_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ProcessSpec process_spec(const char *const *argv)
{
	assert(argv && argv[0]);

	return (ProcessSpec){
		.argv = argv,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
	};
}

static char **environment_new(const char *const *more)
{
	GPtrArray *environment = g_ptr_array_new();

	g_ptr_array_add(environment, g_strdup("PATH=" PROCESS_PATH));
	g_ptr_array_add(environment, g_strdup("LANG=C.UTF-8"));
	for (; more && *more; more++)
		g_ptr_array_add(environment, g_strdup(*more));
	g_ptr_array_add(environment, NULL);
	return (char **)g_ptr_array_free(environment, FALSE);
}

/* Descriptors are copied upwards first: what is to become 0 may itself be wanted as 2. */
static int actions_add_fds(
	posix_spawn_file_actions_t *actions, const ProcessSpec *spec, int *copies)
{
	const int wanted[3] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		if (wanted[i] >= 0)
			copies[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, 100);
		else
			copies[i] = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
		if (copies[i] < 0)
			return -errno;
		r = -posix_spawn_file_actions_adddup2(actions, copies[i], i);
	}

	/* dup2 onto itself clears close-on-exec in the child (POSIX, glibc 2.29 and later). */
	for (unsigned i = 0; i < spec->n_keep_fds && r == 0; i++)
		r = -posix_spawn_file_actions_adddup2(
			actions, spec->keep_fds[i], spec->keep_fds[i]);

	if (r == 0)
		r = -posix_spawn_file_actions_addchdir_np(actions, spec->directory ?: "/");
	return r;
}

static int attributes_set(posix_spawnattr_t *attributes, const ProcessSpec *spec)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (spec->new_session)
		flags |= POSIX_SPAWN_SETSID;

	(void)posix_spawnattr_setsigmask(attributes, &none);
	(void)posix_spawnattr_setsigdefault(attributes, &all);
	return -posix_spawnattr_setflags(attributes, flags);
}

static int spawn_with(const ProcessSpec *spec, posix_spawn_file_actions_t *actions,
	posix_spawnattr_t *attributes, pid_t *ret_pid)
{
	g_auto(GStrv) environment = environment_new(spec->envp);
	g_autofree char *program = NULL;
	int copies[3] = {-1, -1, -1};
	int r;

	/* Looked up in our PATH, not in the caller's. */
	if (strchr(spec->argv[0], '/'))
		program = g_strdup(spec->argv[0]);
	else
		program = process_find(spec->argv[0]);
	if (!program)
		return -ENOENT;

	r = attributes_set(attributes, spec);
	if (r == 0)
		r = actions_add_fds(actions, spec, copies);
	if (r == 0)
		r = -posix_spawn(ret_pid, program, actions, attributes, (char *const *)spec->argv,
			environment);

	for (int i = 0; i < 3; i++)
		fd_clear(&copies[i]);
	return r;
}

char *process_find(const char *name)
{
	g_auto(GStrv) directories = g_strsplit(PROCESS_PATH, ":", -1);

	assert(name && *name && !strchr(name, '/'));

	for (char **directory = directories; *directory; directory++) {
		g_autofree char *path = g_build_filename(*directory, name, NULL);

		if (access(path, X_OK) == 0)
			return g_steal_pointer(&path);
	}

	return NULL;
}

int process_start(const ProcessSpec *spec, pid_t *ret_pid, GError **err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid = -1;
	int r;

	assert(spec && spec->argv && spec->argv[0]);
	assert(ret_pid);

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	r = spawn_with(spec, &actions, &attributes, &pid);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		return err_set_errno(err, r, "cannot run '%s'", spec->argv[0]);

	*ret_pid = pid;
	return 0;
}

static int process_reap(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;

	return 0;
}

static int status_to_error(const char *name, int status, const char *detail, GError **err)
{
	const char *separator = (detail && *detail) ? ": " : "";

	if (!detail)
		detail = "";
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		return err_set(err, EIO, "%s failed: exit status %d%s%s", name, WEXITSTATUS(status),
			separator, detail);
	return err_set(err, EIO, "%s failed: killed by signal %d%s%s", name, WTERMSIG(status),
		separator, detail);
}

int process_wait(pid_t pid, const char *name, GError **err)
{
	int status, r;

	assert(pid > 0 && name);

	r = process_reap(pid, &status);
	if (r < 0)
		return err_set_errno(err, r, "cannot wait for %s", name);

	return status_to_error(name, status, NULL, err);
}

/* Both outputs go to unnamed files, so that neither can block the other or grow our memory. */
static int output_file_new(int *ret_fd)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;

	*ret_fd = fd;
	return 0;
}

static int output_read(int fd, char **ret)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;

	return file_read_fd(fd, PROCESS_OUTPUT_MAX, ret, NULL);
}

static char *last_line_dup(int fd)
{
	g_autofree char *text = NULL;
	char *newline;

	if (output_read(fd, &text) < 0)
		return NULL;

	g_strstrip(text);
	newline = strrchr(text, '\n');
	return g_strdup(newline ? newline + 1 : text);
}

int process_run(const char *const *argv, char **ret_output, GError **err)
{
	ProcessSpec spec = process_spec(argv);
	g_autofree char *output = NULL;
	g_autofree char *detail = NULL;
	auto_close int output_fd = -1;
	auto_close int error_fd = -1;
	int r, status;
	pid_t pid;

	r = output_file_new(&output_fd);
	if (r == 0)
		r = output_file_new(&error_fd);
	if (r < 0)
		return err_set_errno(err, r, "cannot make a file for the output of %s", argv[0]);

	spec.stdout_fd = output_fd;
	spec.stderr_fd = error_fd;
	r = process_start(&spec, &pid, err);
	if (r < 0)
		return r;
	r = process_reap(pid, &status);
	if (r < 0)
		return err_set_errno(err, r, "cannot wait for %s", argv[0]);

	if (status != 0) {
		detail = last_line_dup(error_fd);
		return status_to_error(argv[0], status, detail, err);
	}

	if (ret_output) {
		r = output_read(output_fd, &output);
		if (r < 0)
			return err_set_errno(err, r, "cannot read the output of %s", argv[0]);
		*ret_output = g_steal_pointer(&output);
	}
	return 0;
}

int process_start_time(pid_t pid, uint64_t *ret_ticks)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	g_auto(GStrv) fields = NULL;
	const char *after_name;
	int r;

	assert(pid > 0 && ret_ticks);

	r = file_read(path, 4096, &text, NULL);
	if (r < 0)
		return (r == -ENOENT) ? -ESRCH : r;

	/* The name (field 2) is in parentheses and may itself hold blanks and parentheses. */
	after_name = strrchr(text, ')');
	if (!after_name || after_name[1] != ' ')
		return -EBADMSG;
	fields = g_strsplit(after_name + 2, " ", 0);
	if (g_strv_length(fields) < 20)
		return -EBADMSG;

	if (!g_ascii_string_to_unsigned(fields[19], 10, 0, G_MAXUINT64, ret_ticks, NULL))
		return -EBADMSG;
	return 0;
}
