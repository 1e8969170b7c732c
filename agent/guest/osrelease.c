/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/osrelease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/macro.h"

#define DEBIAN_OLDEST 4
#define DEBIAN_NEWEST 14

#define UBUNTU_OLDEST_YEAR 12
#define UBUNTU_NEWEST_YEAR 25

/* Below this, only releases that we know are taken. */
#define UBUNTU_UNKNOWN_FROM 17

#define CENTOS_OLDEST 5
#define CENTOS_BEYOND 11

#define FEDORA_OLDEST    22
#define OPENEULER_OLDEST 24

typedef struct NamedVersion {
	const char *name;
	const char *version;
} NamedVersion;

static char *read_quoted(const char *text, char quote)
{
	GString *value = g_string_new(NULL);

	for (; *text && *text != quote && *text != '\n'; text++) {
		if (quote == '"' && *text == '\\' && text[1] && text[1] != '\n')
			text++;
		g_string_append_c(value, *text);
	}

	return g_string_free(value, FALSE);
}

char *osrelease_dup_value(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	size_t key_length = strlen(key);

	for (char **line = lines; *line; line++) {
		const char *start = *line + strspn(*line, " \t");
		size_t length = 0;

		if (strncmp(start, key, key_length) != 0 || start[key_length] != '=')
			continue;
		start += key_length + 1;
		if (*start == '\'' || *start == '"')
			return read_quoted(start + 1, *start);
		while (g_ascii_isalnum(start[length]))
			length++;
		return g_strndup(start, length);
	}

	return NULL;
}

const char *ostype_from_id(const char *id)
{
	static const char *const types[] = {"alpine", "archlinux", "centos", "debian", "devuan",
		"fedora", "gentoo", "nixos", "openeuler", "opensuse", "ubuntu", "unmanaged"};
	static const NamedVersion aliases[] = {
		{"arch", "archlinux"},
		{"rocky", "centos"},
		{"almalinux", "centos"},
		{"opensuse-leap", "opensuse"},
		{"opensuse-tumbleweed", "opensuse"},
		{"opensuse-slowroll", "opensuse"},
		{"sles", "opensuse"},
		{"openEuler", "openeuler"},
	};

	assert(id);

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
		if (str_equal(id, types[i]))
			return types[i];
	for (unsigned i = 0; i < G_N_ELEMENTS(aliases); i++)
		if (str_equal(id, aliases[i].name))
			return aliases[i].version;

	return NULL;
}

static void warn_untested(GPtrArray *warnings, const char *ostype, const char *version)
{
	g_ptr_array_add(
		warnings, g_strdup_printf("%s %s is newer than the releases that were tried",
				  ostype, version));
}

/* The first line, without blanks around it. */
static char *dup_first_line(const char *text)
{
	return g_strstrip(g_strndup(text, strcspn(text, "\n")));
}

static const char *find_named(const NamedVersion *versions, unsigned n_versions, const char *name)
{
	for (unsigned i = 0; i < n_versions; i++)
		if (str_equal(versions[i].name, name))
			return versions[i].version;

	return NULL;
}

static int parse_debian(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	static const NamedVersion testing[] = {
		{"stretch/sid", "9.1"},
		{"buster/sid", "10"},
		{"bullseye/sid", "11"},
		{"bookworm/sid", "12"},
		{"trixie/sid", "13"},
		{"forky/sid", "14"},
		{"duke/sid", "15"},
		{"kali-rolling", "12"},
	};
	g_autofree char *line = dup_first_line(text);
	const char *named = find_named(testing, G_N_ELEMENTS(testing), line);
	const char *version = named ? named : line;
	unsigned long major;
	char *end;

	major = strtoul(version, &end, 10);
	if (end == version || !g_ascii_isdigit(*version) || major < DEBIAN_OLDEST)
		return err_set(err, EINVAL, "unsupported debian version '%s'", line);
	if (major > DEBIAN_NEWEST)
		warn_untested(warnings, "debian", version);

	*ret = g_strdup_printf("%lu", major);
	return 0;
}

static int parse_devuan(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	static const NamedVersion releases[] = {
		{"jessie", "8"},
		{"ascii", "9"},
		{"beowulf", "10"},
		{"chimaera", "11"},
		{"daedalus", "12"},
		{"excalibur", "13"},
	};
	g_autofree char *line = dup_first_line(text);
	g_autofree char *name = g_str_has_suffix(line, "/ceres")
					? g_strndup(line, strlen(line) - strlen("/ceres"))
					: g_strdup(line);
	const char *version = find_named(releases, G_N_ELEMENTS(releases), name);

	if (!version)
		return err_set(err, EINVAL, "unsupported devuan version '%s'", line);

	*ret = g_strdup(version);
	return 0;
}

static int parse_ubuntu(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	static const char key[] = "DISTRIB_RELEASE=";
	const char *line = strstr(text, key);
	g_autofree char *release = NULL;
	unsigned year, month;
	char rest;

	/* Written like os-release, but with dots outside of quotes. */
	if (line) {
		release = dup_first_line(line + strlen(key));
		g_strdelimit(release, "\"'", ' ');
		g_strstrip(release);
	}

	if (!release || sscanf(release, "%2u.%2u%c", &year, &month, &rest) != 2)
		return err_set(err, EINVAL, "lsb-release of ubuntu tells no version");
	if (year < UBUNTU_OLDEST_YEAR || year > UBUNTU_NEWEST_YEAR || (month != 4 && month != 10)) {
		if (year < UBUNTU_UNKNOWN_FROM)
			return err_set(err, EINVAL, "unsupported ubuntu version '%s'", release);
		warn_untested(warnings, "ubuntu", release);
	}

	*ret = g_steal_pointer(&release);
	return 0;
}

static int parse_centos(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	const char *start = strstr(text, "release ");
	unsigned long major;
	size_t length;
	char *end;

	start = start ? start + strlen("release ") : "";
	major = strtoul(start, &end, 10);
	if (end == start || major < CENTOS_OLDEST || major >= CENTOS_BEYOND)
		return err_set(err, EINVAL, "unsupported centos release '%.*s'",
			(int)strcspn(text, "\n"), text);

	length = strspn(start, "0123456789.");
	*ret = g_strndup(start, length);
	return 0;
}

/* VERSION_ID of os-release, dots included. */
static char *dup_version_id(const char *text)
{
	const char *line =
		g_str_has_prefix(text, "VERSION_ID=") ? text - 1 : strstr(text, "\nVERSION_ID=");
	const char *value;

	if (!line)
		return g_strdup("");
	value = line + strlen("\nVERSION_ID=");
	value += strspn(value, "\"'");
	return g_strndup(value, strcspn(value, "\"'\n"));
}

static int parse_version_id(
	const char *text, const char *ostype, unsigned long oldest, char **ret, GError **err)
{
	g_autofree char *version = dup_version_id(text);
	char *end;
	unsigned long major = strtoul(version, &end, 10);

	if (end == version || major < oldest)
		return err_set(err, EINVAL, "unsupported %s version '%s'", ostype, version);

	*ret = g_steal_pointer(&version);
	return 0;
}

static int parse_fedora(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	return parse_version_id(text, "fedora", FEDORA_OLDEST, ret, err);
}

static int parse_openeuler(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	return parse_version_id(text, "openeuler", OPENEULER_OLDEST, ret, err);
}

static int parse_opensuse(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	g_autofree char *id = osrelease_dup_value(text, "ID");
	g_autofree char *version = dup_version_id(text);
	double number = g_ascii_strtod(version, NULL);
	bool known = number == 13.0 || number == 13.1 || number == 13.2 || number >= 42;

	/* Leap went from 42 back to 15; Tumbleweed has the day of its snapshot. */
	if (number >= 10000)
		known = number >= 20170000;
	else if (number >= 15 && number < 17)
		known = true;
	else if (id && str_equal(id, "sles"))
		known = number >= 12 && number < 13;

	if (!known)
		return err_set(err, EINVAL, "unsupported opensuse version '%s'", version);
	*ret = g_steal_pointer(&version);
	return 0;
}

static int parse_alpine(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	*ret = dup_first_line(text);
	return 0;
}

static int parse_gentoo(const char *text, char **ret, GPtrArray *warnings, GError **err)
{
	static const char prefix[] = "gentoo base system release ";
	g_autofree char *line = dup_first_line(text);

	if (g_ascii_strncasecmp(line, prefix, strlen(prefix)) != 0)
		return err_set(err, EINVAL, "unsupported gentoo release '%s'", line);

	*ret = g_strdup(line + strlen(prefix));
	return 0;
}

const OstypeVersionFile *ostype_version_file(const char *ostype)
{
	static const OstypeVersionFile files[] = {
		{"alpine", "/etc/alpine-release", parse_alpine},
		{"centos", "/etc/redhat-release", parse_centos},
		{"debian", "/etc/debian_version", parse_debian},
		{"devuan", "/etc/devuan_version", parse_devuan},
		{"fedora", "/etc/os-release", parse_fedora},
		{"gentoo", "/etc/gentoo-release", parse_gentoo},
		{"openeuler", "/etc/os-release", parse_openeuler},
		{"opensuse", "/etc/os-release", parse_opensuse},
		{"ubuntu", "/etc/lsb-release", parse_ubuntu},
	};

	assert(ostype);

	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++)
		if (str_equal(files[i].ostype, ostype))
			return &files[i];

	return NULL;
}
