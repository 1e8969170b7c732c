/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Help from the tables: usage lines of a program, and the options of a command. */

#include <stdbool.h>
#include <stdio.h>

#include "cli/command.h"

/* Names and usage of all commands; with options, each as help_command() shows it. */
void help_program(const CliProgram *program, bool options, FILE *out);

/* Usage of a command; with options, each option with its type, default and description. */
void help_command(const CliProgram *program, const Command *command, bool options, FILE *out);

/* Tables of a command's parameters: those of the path, its own, those of the method. */
void command_spec(const Command *command, ArgsSpec *ret);
