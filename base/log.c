/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/macro.h"

/* The logger is one of the two places that may keep static state (docs/STYLE.md). */
static int32_t log_target_id = QB_LOG_SYSLOG;
static bool log_debug_on;

void log_open(const char *name, LogTarget target)
{
	assert(name);

	qb_log_init(name, LOG_DAEMON, LOG_INFO);
	log_target_id = (target == LOG_TARGET_JOURNAL) ? QB_LOG_SYSLOG : QB_LOG_STDERR;

	(void)qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, target == LOG_TARGET_JOURNAL);
	(void)qb_log_ctl(QB_LOG_STDERR, QB_LOG_CONF_ENABLED, target == LOG_TARGET_STDERR);

	if (target == LOG_TARGET_JOURNAL) {
		/* -EOPNOTSUPP where libqb was built without the journal: syslog serves there. */
		(void)qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_USE_JOURNAL, 1);
	} else {
		qb_log_format_set(QB_LOG_STDERR, "%t %N %p: %b");
	}

	log_set_debug(false);
}

void log_set_debug(bool on)
{
	(void)qb_log_filter_ctl(
		log_target_id, QB_LOG_FILTER_CLEAR_ALL, QB_LOG_FILTER_FILE, "*", LOG_TRACE);
	(void)qb_log_filter_ctl(log_target_id, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*",
		on ? LOG_DEBUG : LOG_INFO);
	log_debug_on = on;
}

bool log_is_debug(void)
{
	return log_debug_on;
}

void log_close(void)
{
	qb_log_fini();
}
