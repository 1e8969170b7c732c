/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Commands that become a program inside a container: exec, enter, console.  Each is the `prepare` of
 * its entry in the table and does all of it; the exit status is that of the program. */

#include "cli/command.h"

int attach_exec(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err);
int attach_enter(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err);

/* Needs no more than the terminal. */
int attach_console(Cli *cli, const Command *command, Args *args, int *ret_status, GError **err);
