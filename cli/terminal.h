/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The user's terminal: raw mode that never outlives the program, its size, and a password prompt.
 *
 * Raw mode changes the terminal, not the process, so it must be undone on every way out: by
 * terminal_restore(), at exit(), and on signals that end the program.  That needs a little static state,
 * the third exception from the rule (docs/STYLE.md). */

#include <stdbool.h>

#include <glib.h>

typedef struct TerminalSize {
	unsigned rows;
	unsigned cols;
} TerminalSize;

/* Whether both standard input and output are a terminal. */
bool terminal_is_interactive(void);

/* Size of the terminal at standard input; 24 × 80 where it has none. */
TerminalSize terminal_size(void);

/* Puts standard input into raw mode: every byte, the interrupt character too, goes to the reader.
 * Calling it twice does no harm. */
int terminal_raw(GError **err);

/* Back to what terminal_raw() found.  Without effect when not in raw mode. */
void terminal_restore(void);

/* Asks on the controlling terminal without echo, twice, until both agree; *ret is owned by the caller.
 * -ENOTTY when there is no terminal to ask on, -ECANCELED at its end of input. */
int terminal_ask_password(const char *prompt, char **ret, GError **err);
