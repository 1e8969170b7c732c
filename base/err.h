/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Errors have two readers: the program gets a negative errno as the function's result, the person a
 * sentence in a GError whose code is the positive errno, so that text and number cannot disagree.
 * Sentences start with a lower-case letter, name the operation and the object, and do not end in a
 * full stop, because others are put in front of them. */

#include <glib.h>

#define ERR_DOMAIN (err_domain())

GQuark err_domain(void);

/* Sets *err (if err is not NULL) and returns -code (code > 0), so that failing is one statement:
 *         return err_set(err, ENOENT, "no container %u on this node", id); */
int err_set(GError **err, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same for a failed system call: the text of the error is put behind the sentence, after ": ".
 * r is a negative errno and is returned unchanged:
 *         return err_set_errno(err, r, "cannot open '%s'", path); */
int err_set_errno(GError **err, int r, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Puts context in front of a message that a callee has set, and returns r unchanged. */
int err_prefix(GError **err, int r, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Turns an error of GLib or GIO in *source (which is freed and set to NULL) into one of ours, with
 * code as its errno; returns -code. */
int err_take(GError **err, int code, GError **source);
