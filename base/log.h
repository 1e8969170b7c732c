/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Logging over libqb.  Levels are chosen by audience: err, the operator must act; warning, degraded
 * or recovered; notice, an event of the cluster; info, what an administrator asked for; debug,
 * ours. Messages start with a capital letter, name the object and the operation, and have no final
 * stop. Only the layer that decides what to do about a failure logs it; base/ and the pure cores
 * stay at debug. */

#include <stdbool.h>
#include <syslog.h>

#include <glib.h>
#include <qb/qblog.h>

typedef enum LogTarget {
	LOG_TARGET_JOURNAL, /* Daemons under systemd. */
	LOG_TARGET_STDERR,  /* Daemons in the foreground, workers, tests. */
} LogTarget;

/* To be called once, from main.  name is borrowed for the life of the process. */
void log_open(const char *name, LogTarget target);

/* Verbose logging on or off, at run time. */
void log_set_debug(bool on);
bool log_is_debug(void);

/* Closes the log at the end of main. */
void log_close(void);

#define log_err(...)     qb_log(LOG_ERR, __VA_ARGS__)
#define log_warning(...) qb_log(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  qb_log(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    qb_log(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   qb_log(LOG_DEBUG, __VA_ARGS__)

/* Log with the text of a negative errno, and are worth that errno:
 *         return log_err_errno(r, "Cannot open '%s'", path); */
#define log_err_errno(r, format, ...)     LOG_ERRNO_AT(LOG_ERR, r, format, ##__VA_ARGS__)
#define log_warning_errno(r, format, ...) LOG_ERRNO_AT(LOG_WARNING, r, format, ##__VA_ARGS__)
#define log_debug_errno(r, format, ...)   LOG_ERRNO_AT(LOG_DEBUG, r, format, ##__VA_ARGS__)

#define LOG_ERRNO_AT(level, r, format, ...)                                            \
	({                                                                             \
		int log_errno_r = (r);                                                 \
		qb_log(level, format ": %s", ##__VA_ARGS__, g_strerror(-log_errno_r)); \
		log_errno_r;                                                           \
	})
