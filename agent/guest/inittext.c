/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/inittext.h"

#include <string.h>

#include "base/macro.h"

/* Minutes that a job of cron is moved to: 0 … CRON_MINUTES - 1. */
#define CRON_MINUTES 59

/* Terminals that root may log in on. */
#define SECURETTY_TTYS 4

/* Skips one word and the blanks behind it; NULL when there is none, or nothing behind it. */
static const char *skip_word(const char *text)
{
	size_t word = strcspn(text, " \t");
	size_t blanks = strspn(text + word, " \t");

	return (word > 0 && blanks > 0) ? text + word + blanks : NULL;
}

/* Whether the line is `MINUTE hour day month weekday root command` with a plain number first. */
static bool is_fixed_job_of_root(const char *line, size_t *ret_minute_length)
{
	size_t length = strspn(line, "0123456789");
	const char *rest = line;

	if (length == 0 || (line[length] != ' ' && line[length] != '\t'))
		return false;
	for (unsigned i = 0; i < 5 && rest; i++)
		rest = skip_word(rest);
	if (!rest || !skip_word(rest) || strcspn(rest, " \t") != strlen("root") ||
		!g_str_has_prefix(rest, "root"))
		return false;

	*ret_minute_length = length;
	return true;
}

char *crontab_spread(const char *crontab, struct drand48_data *random)
{
	g_auto(GStrv) lines = g_strsplit(crontab, "\n", -1);

	assert(random);

	for (char **line = lines; *line; line++) {
		size_t minute_length;
		double draw;
		char *changed;

		if (!is_fixed_job_of_root(*line, &minute_length))
			continue;
		(void)drand48_r(random, &draw);
		changed = g_strdup_printf(
			"%u%s", (unsigned)(draw * CRON_MINUTES), *line + minute_length);
		g_free(*line);
		*line = changed;
	}

	return g_strjoinv("\n", lines);
}

/* Lines that we write ourselves, or that stand for a power supply which a container has not. */
static bool is_getty_or_power_line(const char *line)
{
	const char *start = line + strspn(line, " \t");
	size_t id = strspn(start, "0123456789");
	const char *action;

	if (start[0] == 'p' && strchr("fno0", start[1]) && start[1] && start[2] == ':')
		return true;
	if (id == 0 || start[id] != ':')
		return false;
	action = strchr(start + id + 1, ':');
	return action && strstr(action, "getty");
}

char *inittab_set_gettys(const char *inittab, unsigned n_ttys, const char *getty_option)
{
	g_auto(GStrv) lines = g_strsplit(inittab, "\n", -1);
	GString *text = g_string_new(NULL);

	assert(getty_option);

	for (char **line = lines; *line; line++)
		if ((line[1] || **line) && !is_getty_or_power_line(*line))
			g_string_append_printf(text, "%s\n", *line);

	g_string_append(text, "p0::powerfail:/sbin/init 0\n");
	for (unsigned i = 1; i <= n_ttys; i++)
		g_string_append_printf(text, "%u:%s:respawn:/sbin/getty %s 38400 tty%u\n", i,
			i == 1 ? "2345" : "23", getty_option, i);

	return g_string_free(text, FALSE);
}

static bool has_numbered_id(const char *line, const char *id)
{
	size_t length = strlen(id);
	size_t digits = g_str_has_prefix(line, id) ? strspn(line + length, "0123456789") : 0;

	return digits > 0 && line[length + digits] == ':';
}

char *inittab_set_plain_gettys(
	const char *inittab, unsigned n_ttys, const char *id, const char *getty)
{
	g_auto(GStrv) lines = g_strsplit(inittab, "\n", -1);
	GString *text = g_string_new(NULL);

	assert(id && getty);

	for (char **line = lines; *line; line++)
		if ((line[1] || **line) && !(has_numbered_id(*line, id) && strstr(*line, "getty")))
			g_string_append_printf(text, "%s\n", *line);
	for (unsigned i = 1; i <= n_ttys; i++)
		g_string_append_printf(text, "%s%u::respawn:%s 38400 tty%u\n", id, i, getty, i);

	return g_string_free(text, FALSE);
}

char *securetty_add(const char *securetty, const char *tty_directory)
{
	g_auto(GStrv) lines = g_strsplit(securetty, "\n", -1);
	GString *text = g_string_new(securetty);

	assert(tty_directory);

	if (text->len > 0 && text->str[text->len - 1] != '\n')
		g_string_append_c(text, '\n');
	for (unsigned i = 0; i <= SECURETTY_TTYS; i++) {
		g_autofree char *name = (i == 0) ? g_strdup_printf("%sconsole", tty_directory)
						 : g_strdup_printf("%stty%u", tty_directory, i);

		if (!g_strv_contains((const char *const *)lines, name))
			g_string_append_printf(text, "%s\n", name);
	}

	return g_string_free(text, FALSE);
}

char *getty_unit_set_tty(const char *unit, const char *tty_directory)
{
	g_autofree char *name = g_strdup_printf("%stty%%I", tty_directory);
	GString *text = g_string_new(unit);

	(void)g_string_replace(text, "lxc/tty%I", "pts/%I", 0);
	(void)g_string_replace(text, "pts/%I", name, 0);
	return g_string_free(text, FALSE);
}

char *getty_unit_set_condition(const char *unit, bool container)
{
	static const char with_tty0[] = "ConditionPathExists=/dev/tty0";
	static const char with_tty[] = "ConditionPathExists=/dev/tty";
	const char *from = container ? with_tty0 : with_tty;
	const char *to = container ? with_tty : with_tty0;
	g_auto(GStrv) lines = g_strsplit(unit, "\n", -1);

	for (char **line = lines; *line; line++) {
		if (!str_equal(*line, from))
			continue;
		g_free(*line);
		*line = g_strdup(to);
	}

	return g_strjoinv("\n", lines);
}

char *upstart_dup_getty(unsigned tty)
{
	return g_strdup_printf("# tty%u - getty\n"
			       "\n"
			       "start on stopped rc RUNLEVEL=[2345]\n"
			       "stop on runlevel [!2345]\n"
			       "\n"
			       "respawn\n"
			       "exec /sbin/getty -8 38400 tty%u\n",
		tty, tty);
}

char *preset_dup_text(const char *networkd)
{
	GString *text = g_string_new("# Added by PVE at create-time for first-boot configuration.\n"
				     "enable container-getty@.service\n"
				     "disable getty@.service\n"
				     "disable sys-kernel-config.mount\n"
				     "disable sys-kernel-debug.mount\n");

	if (networkd)
		g_string_append_printf(text, "%s systemd-networkd.service\n", networkd);
	return g_string_free(text, FALSE);
}
