/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/macro.h"
#include "tests/unit/test.h"

/* A pseudo terminal; the tests' children have its far end as standard input. */
struct fixture {
	int master_fd;
	int slave_fd;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	*state = f;
	f->master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (f->master_fd < 0 || grantpt(f->master_fd) < 0 || unlockpt(f->master_fd) < 0)
		return -1;
	f->slave_fd = open(ptsname(f->master_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	return f->slave_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)close(f->slave_fd);
	(void)close(f->master_fd);
	g_free(f);
	return 0;
}

static bool is_raw(const struct fixture *f)
{
	struct termios mode;

	assert_int_equal(tcgetattr(f->slave_fd, &mode), 0);
	return !(mode.c_lflag & ICANON);
}

/* How a child leaves raw mode, or not. */
typedef enum Leaving {
	LEAVE_BY_EXIT,
	LEAVE_BY_RESTORE,
	LEAVE_BY_SIGNAL,
} Leaving;

static G_GNUC_NORETURN void child(const struct fixture *f, Leaving leaving)
{
	struct termios mode;

	if (dup2(f->slave_fd, STDIN_FILENO) < 0 || terminal_raw(NULL) < 0 ||
		tcgetattr(STDIN_FILENO, &mode) < 0 || (mode.c_lflag & (ICANON | ECHO | ISIG)))
		_exit(2);

	if (leaving == LEAVE_BY_RESTORE) {
		terminal_restore();
		_exit(0);
	}
	if (leaving == LEAVE_BY_SIGNAL)
		(void)raise(SIGTERM);
	exit(0);
}

static int status_of(const struct fixture *f, Leaving leaving)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		child(f, leaving);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void every_way_out_restores_the_mode(void **state)
{
	struct fixture *f = *state;

	assert_false(is_raw(f));
	assert_int_equal(status_of(f, LEAVE_BY_RESTORE), 0);
	assert_false(is_raw(f));
	assert_int_equal(status_of(f, LEAVE_BY_EXIT), 0);
	assert_false(is_raw(f));
}

static void signal_restores_and_still_ends_us(void **state)
{
	struct fixture *f = *state;
	int status = status_of(f, LEAVE_BY_SIGNAL);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_false(is_raw(f));
}

static void size_is_that_of_the_terminal(void **state)
{
	struct fixture *f = *state;
	struct winsize size = {.ws_row = 43, .ws_col = 132};
	auto_close int saved_fd = dup(STDIN_FILENO);
	TerminalSize unknown, known;

	assert_true(saved_fd >= 0);
	assert_true(dup2(f->slave_fd, STDIN_FILENO) >= 0);
	unknown = terminal_size();
	assert_int_equal(ioctl(f->slave_fd, TIOCSWINSZ, &size), 0);
	known = terminal_size();
	assert_true(dup2(saved_fd, STDIN_FILENO) >= 0);

	assert_int_equal(unknown.rows, 24);
	assert_int_equal(unknown.cols, 80);
	assert_int_equal(known.rows, 43);
	assert_int_equal(known.cols, 132);
}

/* Makes the pseudo terminal the child's controlling one, asks there, and says what it got: 0 the
 * password "secret", 1 another, 2 an error. */
static G_GNUC_NORETURN void ask_in_child(const struct fixture *f)
{
	g_autofree char *password = NULL;

	(void)setsid();
	if (ioctl(f->slave_fd, TIOCSCTTY, 0) < 0)
		_exit(3);
	if (terminal_ask_password("Password: ", &password, NULL) < 0)
		_exit(2);
	_exit(str_equal(password, "secret") ? 0 : 1);
}

/* Reads what the child shows until it has asked n times in all. */
static void wait_for_prompts(const struct fixture *f, GString *shown, unsigned n)
{
	unsigned found = 0;

	while (found < n) {
		char buffer[256];
		ssize_t got = read(f->master_fd, buffer, sizeof(buffer));

		assert_true(got > 0);
		g_string_append_len(shown, buffer, got);
		found = 0;
		for (const char *at = shown->str; (at = strstr(at, "assword: ")); at++)
			found++;
	}
}

static void password_is_asked_for_twice_without_echo(void **state)
{
	/* The first pair differs, the second one agrees. */
	static const char *const lines[] = {"one\n", "two\n", "secret\n", "secret\n"};
	struct fixture *f = *state;
	g_autoptr(GString) shown = g_string_new(NULL);
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		ask_in_child(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		wait_for_prompts(f, shown, i + 1);
		assert_int_equal(write(f->master_fd, lines[i], strlen(lines[i])), strlen(lines[i]));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_null(strstr(shown->str, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_way_out_restores_the_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			signal_restores_and_still_ends_us, set_up, tear_down),
		cmocka_unit_test_setup_teardown(size_is_that_of_the_terminal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			password_is_asked_for_twice_without_echo, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
