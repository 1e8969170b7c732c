/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guestnames.h"

#include "base/macro.h"
#include "tests/unit/test.h"

#define LOOPBACKS "127.0.0.1 localhost.localnet localhost\n::1 localhost.localnet localhost\n"

static const char host_conf[] =
	"# the host's\n"
	"domain old.example\n"
	"search host.example lan\n"
	"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";

static CtConfig *config_of(const char *hostname, const char *search, const char *servers)
{
	CtConfig *config = ct_config_new();
	CtSection *section = ct_config_current(config);

	if (hostname)
		ct_section_set(section, "hostname", hostname);
	if (search)
		ct_section_set(section, "searchdomain", search);
	if (servers)
		ct_section_set(section, "nameserver", servers);
	return config;
}

static void missing_parts_come_from_the_host(void **state)
{
	static const struct {
		const char *search, *servers, *expected;
	} cases[] = {
		{NULL, NULL,
			"search host.example lan\n"
			"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"},
		{"a.example", NULL,
			"search a.example\n"
			"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"},
		{NULL, "198.51.100.1 2001:db8::1",
			"search host.example lan\n"
			"nameserver 198.51.100.1\nnameserver 2001:db8::1\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(CtConfig) config = config_of(NULL, cases[i].search, cases[i].servers);
		g_autoptr(GuestDns) dns = guest_dns_new(ct_config_current(config), host_conf);
		g_autofree char *text = guest_resolv_dup_text(dns);

		assert_string_equal(text, cases[i].expected);
	}
}

static void hosts_names_the_guest(void **state)
{
	static const struct {
		const char *hostname, *search, *primary, *old, *expected;
	} cases[] = {
		{NULL, NULL, NULL, NULL, LOOPBACKS "127.0.1.1 localhost\n"},
		{"web", NULL, NULL, NULL, LOOPBACKS "127.0.1.1 web\n"},
		{"web", "a.example b.example", "10.0.0.9", NULL,
			LOOPBACKS "10.0.0.9 web.a.example web.b.example web\n"},
		{"web.c.example", "a.example", "10.0.0.9", NULL,
			LOOPBACKS "10.0.0.9 web.c.example web\n"},
		{"web", NULL, NULL, " 127.0.0.1\tlocalhost\n",
			"::1 localhost.localnet localhost\n127.0.1.1 web\n"},
		/* What stands in our own section does not count as the guest's line. */
		{"web", NULL, NULL, "# --- BEGIN PVE ---\n127.0.0.1 localhost\n# --- END PVE ---\n",
			LOOPBACKS "127.0.1.1 web\n"},
		{"web", NULL, NULL, "127.0.0.11 other\n", LOOPBACKS "127.0.1.1 web\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(CtConfig) config = config_of(cases[i].hostname, cases[i].search, NULL);
		g_autoptr(GuestDns) dns = guest_dns_new(ct_config_current(config), NULL);
		g_autofree char *text = guest_hosts_dup_section(
			cases[i].old, ct_config_current(config), dns, cases[i].primary);

		assert_string_equal(text, cases[i].expected);
	}
}

static void label_ends_at_the_first_dot(void **state)
{
	g_autoptr(CtConfig) named = config_of("web.example", NULL, NULL);
	g_autoptr(CtConfig) nameless = config_of(NULL, NULL, NULL);
	g_autofree char *label = guest_name_dup_label(ct_config_current(named));
	g_autofree char *fallback = guest_name_dup_label(ct_config_current(nameless));

	assert_string_equal(label, "web");
	assert_string_equal(fallback, "localhost");
}

static void name_of_templates_is_dropped(void **state)
{
	g_autofree char *text = guest_hosts_drop_template_name(
		"127.0.0.1 localhost\n127.0.1.1\tLXC_NAME\n127.0.1.1 LXC_NAME other\n");

	assert_string_equal(text, "127.0.0.1 localhost\n127.0.1.1 LXC_NAME other\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_parts_come_from_the_host),
		cmocka_unit_test(hosts_names_the_guest),
		cmocka_unit_test(name_of_templates_is_dropped),
		cmocka_unit_test(label_ends_at_the_first_dot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
