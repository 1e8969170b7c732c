/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestnames.h"

#include <string.h>

#include "agent/guest/marked.h"
#include "base/macro.h"

#define SEPARATORS " \t\r\n,;"

/* The words of a list option or line without empty ones, at most n_max. */
static char **split_list(const char *text, unsigned n_max)
{
	g_auto(GStrv) parts = g_strsplit_set(text, SEPARATORS, -1);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	unsigned n = 0;

	for (char **part = parts; *part && n < n_max; part++) {
		if (!**part)
			continue;
		g_strv_builder_add(builder, *part);
		n++;
	}

	return g_strv_builder_end(builder);
}

/* The values of a keyword in a resolv.conf: the last `search` line counts, each `nameserver`. */
static void read_host_conf(const char *text, GString *search, GString *servers)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = split_list(*line, G_MAXUINT);

		if (!words[0])
			continue;
		if (str_equal(words[0], "search") || str_equal(words[0], "domain")) {
			g_autofree char *joined = g_strjoinv(" ", words + 1);

			g_string_assign(search, joined);
		} else if (str_equal(words[0], "nameserver") && words[1]) {
			g_string_append_printf(servers, "%s ", words[1]);
		}
	}
}

GuestDns *guest_dns_new(const CtSection *section, const char *host_resolv_conf)
{
	g_autoptr(GString) host_search = g_string_new(NULL);
	g_autoptr(GString) host_servers = g_string_new(NULL);
	const char *search = ct_section_get(section, "searchdomain");
	const char *servers = ct_section_get(section, "nameserver");
	GuestDns *dns = g_new0(GuestDns, 1);

	if (host_resolv_conf)
		read_host_conf(host_resolv_conf, host_search, host_servers);

	dns->search = split_list(search ? search : host_search->str, G_MAXUINT);
	dns->servers = servers ? split_list(servers, G_MAXUINT)
			       : split_list(host_servers->str, GUEST_NAMESERVERS_MAX);
	return dns;
}

GuestDns *guest_dns_free(GuestDns *dns)
{
	if (!dns)
		return NULL;

	g_strfreev(dns->search);
	g_strfreev(dns->servers);
	g_free(dns);
	return NULL;
}

char *guest_resolv_dup_text(const GuestDns *dns)
{
	GString *text = g_string_new(NULL);

	assert(dns);

	if (dns->search[0]) {
		g_autofree char *joined = g_strjoinv(" ", dns->search);

		g_string_append_printf(text, "search %s\n", joined);
	}
	for (char **server = dns->servers; *server; server++)
		g_string_append_printf(text, "nameserver %s\n", *server);

	return g_string_free(text, FALSE);
}

char *guest_name_dup_label(const CtSection *section)
{
	const char *name = ct_section_get(section, "hostname");

	if (!name)
		name = "localhost";
	return g_strndup(name, strcspn(name, "."));
}

/* Whether a line of text starts with this address. */
static bool has_address(const char *text, const char *address)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	size_t length = strlen(address);

	for (char **line = lines; *line; line++) {
		const char *start = *line + strspn(*line, " \t");

		if (g_str_has_prefix(start, address) &&
			(start[length] == ' ' || start[length] == '\t'))
			return true;
	}

	return false;
}

static void append_names(GString *text, const char *name, const GuestDns *dns)
{
	const char *dot = strchr(name, '.');

	if (dot) {
		g_string_append_printf(text, " %s %.*s\n", name, (int)(dot - name), name);
		return;
	}

	for (char **domain = dns->search; *domain; domain++)
		g_string_append_printf(text, " %s.%s", name, *domain);
	g_string_append_printf(text, " %s\n", name);
}

char *guest_hosts_dup_section(
	const char *old, const CtSection *section, const GuestDns *dns, const char *primary)
{
	static const char *const loopbacks[] = {"127.0.0.1", "::1"};
	g_autofree char *others = marked_strip(old ? old : "");
	const char *name = ct_section_get(section, "hostname");
	GString *text = g_string_new(NULL);

	assert(dns);

	for (unsigned i = 0; i < G_N_ELEMENTS(loopbacks); i++)
		if (!has_address(others, loopbacks[i]))
			g_string_append_printf(
				text, "%s localhost.localnet localhost\n", loopbacks[i]);

	if (!name && !primary) {
		g_string_append(text, "127.0.1.1 localhost\n");
	} else {
		g_string_append(text, primary ? primary : "127.0.1.1");
		append_names(text, name ? name : "localhost", dns);
	}

	return g_string_free(text, FALSE);
}

char *guest_hosts_drop_template_name(const char *hosts)
{
	g_auto(GStrv) lines = g_strsplit(hosts, "\n", -1);
	g_autoptr(GStrvBuilder) kept = g_strv_builder_new();
	g_auto(GStrv) result = NULL;

	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = split_list(*line, G_MAXUINT);

		if (g_strv_length(words) != 2 || !str_equal(words[0], "127.0.1.1") ||
			!str_equal(words[1], "LXC_NAME"))
			g_strv_builder_add(kept, *line);
	}

	result = g_strv_builder_end(kept);
	return g_strjoinv("\n", result);
}
