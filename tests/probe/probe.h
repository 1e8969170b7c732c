/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* atoll-probe runs parts of the agent from outside, without a cluster: each sub-command is a file
 * of its own, named in the table in main.c, and calls the production code. */

/* argv[0] is the sub-command's name.  Returns the exit status: 0, or 1 with the reason on stderr.
 */
int probe_bindmount(int argc, char **argv);
int probe_guest_setup(int argc, char **argv);
int probe_storage(int argc, char **argv);
