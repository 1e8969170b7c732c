/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/err.h"
#include "base/macro.h"

/* Longest password that is read. */
#define PASSWORD_MAX 1024

#define PASSWORD_TRIES 3

static struct termios saved_mode;
static volatile sig_atomic_t raw_mode;

bool terminal_is_interactive(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

TerminalSize terminal_size(void)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return (TerminalSize){.rows = 24, .cols = 80};

	return (TerminalSize){.rows = size.ws_row, .cols = size.ws_col};
}

void terminal_restore(void)
{
	if (!raw_mode)
		return;

	raw_mode = 0;
	/* tcsetattr() is async-signal-safe. */
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_mode);
}

static void restore_and_die(int signal_number)
{
	terminal_restore();
	/* SA_RESETHAND: the second one has the default effect, so that our parent sees the signal. */
	(void)raise(signal_number);
}

static void restore_on_signals(void)
{
	static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGABRT, SIGSEGV};
	struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = SA_RESETHAND};

	for (size_t i = 0; i < G_N_ELEMENTS(ending); i++)
		(void)sigaction(ending[i], &action, NULL);
}

int terminal_raw(GError **err)
{
	static bool registered;
	struct termios mode;

	if (raw_mode)
		return 0;
	if (tcgetattr(STDIN_FILENO, &saved_mode) < 0)
		return err_set_errno(err, -errno, "cannot read the terminal's mode");

	if (!registered) {
		(void)atexit(terminal_restore);
		registered = true;
	}
	restore_on_signals();

	mode = saved_mode;
	cfmakeraw(&mode);
	raw_mode = 1;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) < 0) {
		int r = -errno;

		raw_mode = 0;
		return err_set_errno(err, r, "cannot set the terminal's mode");
	}
	return 0;
}

/* A line without its newline; NULL at the end of input or when it is too long. */
static char *read_line(FILE *terminal)
{
	char line[PASSWORD_MAX + 2];
	size_t length;

	if (!fgets(line, sizeof(line), terminal))
		return NULL;

	length = strlen(line);
	if (length == 0 || line[length - 1] != '\n')
		return NULL;
	line[length - 1] = '\0';
	return g_strdup(line);
}

static char *ask_without_echo(FILE *terminal, const char *prompt)
{
	struct termios shown, hidden;
	char *line;

	if (tcgetattr(fileno(terminal), &shown) < 0)
		return NULL;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);

	/* Before the prompt: what is typed in answer to it must neither show nor be flushed. */
	if (tcsetattr(fileno(terminal), TCSAFLUSH, &hidden) < 0)
		return NULL;
	(void)fputs(prompt, terminal);
	(void)fflush(terminal);
	line = read_line(terminal);
	(void)tcsetattr(fileno(terminal), TCSAFLUSH, &shown);
	(void)fputc('\n', terminal);
	return line;
}

static int ask_twice(FILE *terminal, const char *prompt, char **ret, GError **err)
{
	for (unsigned i = 0; i < PASSWORD_TRIES; i++) {
		g_autofree char *first = ask_without_echo(terminal, prompt);
		g_autofree char *second =
			first ? ask_without_echo(terminal, "Retype new password: ") : NULL;

		if (!second)
			return err_set(err, ECANCELED, "no password was entered");
		if (str_equal(first, second)) {
			*ret = g_steal_pointer(&first);
			return 0;
		}
		(void)fputs("Passwords do not match.\n", terminal);
	}

	return err_set(err, ECANCELED, "the passwords did not match");
}

int terminal_ask_password(const char *prompt, char **ret, GError **err)
{
	FILE *terminal;
	int r;

	assert(prompt && ret);

	terminal = fopen("/dev/tty", "r+e");
	if (!terminal)
		return err_set(err, ENOTTY,
			"there is no terminal to ask for the password on: give it as a value");

	r = ask_twice(terminal, prompt, ret, err);
	(void)fclose(terminal);
	return r;
}
