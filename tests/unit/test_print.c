/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "tests/unit/test.h"

typedef void (*PrintFunc)(const json_t *data, const Args *args);

static Args *parse_verbose(bool verbose)
{
	static const SchemaOption options[] = {{.name = "verbose", .type = SCHEMA_BOOLEAN}, {0}};
	static const ArgsSpec spec = {{options}, NULL, 0};
	char *const argv[] = {(char *)"--verbose"};
	Args *args;

	assert_int_equal(args_parse(&spec, verbose ? 1 : 0, argv, &args, NULL), 0);
	return args;
}

/* What print writes to standard output for an answer; owned by the caller. */
static char *printed(PrintFunc print, const char *answer, bool verbose)
{
	g_autoptr(Args) args = parse_verbose(verbose);
	json_auto_t *data = json_loads(answer, JSON_DECODE_ANY, NULL);
	g_autofree char *text = g_malloc0(65536);
	auto_close int saved_fd = dup(STDOUT_FILENO);
	FILE *file = tmpfile();

	assert_non_null(data);
	assert_non_null(file);
	assert_true(saved_fd >= 0);

	(void)fflush(stdout);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	print(data, args);
	(void)fflush(stdout);
	assert_true(dup2(saved_fd, STDOUT_FILENO) >= 0);

	assert_true(pread(fileno(file), text, 65535, 0) >= 0);
	(void)fclose(file);
	return g_steal_pointer(&text);
}

static void answers_print_as_scripts_know_them(void **state)
{
	static const struct {
		PrintFunc print;
		bool verbose;
		const char *answer, *expected;
	} cases[] = {
		{print_containers, false, "[]", ""},
		{print_containers, false,
			"[{\"vmid\":100,\"status\":\"running\",\"name\":\"web\"},"
			"{\"vmid\":\"101\",\"status\":\"stopped\",\"lock\":\"backup\",\"name\":"
			"\"db\"}]",
			"VMID       Status     Lock         Name                \n"
			"100        running                 web                 \n"
			"101        stopped    backup       db                  \n"},
		{print_container_status, false, "{\"status\":\"running\",\"pid\":7}",
			"status: running\n"},
		{print_container_status, true, "{\"status\":\"running\",\"pid\":7,\"cpu\":0.5}",
			"cpu: 0.5\npid: 7\nstatus: running\n"},
		{print_config, false,
			"{\"memory\":512,\"digest\":\"abc\",\"arch\":\"amd64\","
			"\"description\":\"a: 5%\\nb\\u00e9\",\"lxc\":[[\"lxc.b\",\"1\"],[\"lxc."
			"a\","
			"\"2\"]]}",
			"arch: amd64\ndescription: a%3A 5%25%0Ab%C3%A9\nmemory: 512\n"
			"lxc.b: 1\nlxc.a: 2\n"},
		{print_pending, false,
			"[{\"key\":\"arch\",\"value\":\"amd64\"},"
			"{\"key\":\"description\",\"value\":\"a\\nb\",\"pending\":\"c:\"},"
			"{\"key\":\"memory\",\"value\":512,\"pending\":1024},"
			"{\"key\":\"mp0\",\"value\":\"x\",\"delete\":1},"
			"{\"key\":\"tty\",\"pending\":3}]",
			"cur arch: amd64\ncur description: a%0Ab\nnew description: c%3A\n"
			"cur memory: 512\nnew memory: 1024\ndel mp0: x\nnew tty: "
			"3\n"},
		{print_config, false, "{\"env\":\"A=1\\nB=2\",\"hostname\":\"\"}",
			"env: A=1\nenv: B=2\nhostname: \n"},
		{print_pending, false,
			"[{\"key\":\"env\",\"value\":\"A=1\",\"pending\":\"A=1\\nB=2\"}]",
			"cur env: A=1\nnew env: A=1\nnew env: B=2\n"},
		{print_path, false, "{\"path\":\"/var/lib/vz/x\",\"size\":1}", "/var/lib/vz/x\n"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = printed(cases[i].print, cases[i].answer, cases[i].verbose);

		assert_string_equal(text, cases[i].expected);
	}
}

/* The words of line number `line`, joined by one blank each; owned by the caller. */
static char *line_words(const char *text, unsigned line)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_auto(GStrv) parts = NULL;
	g_autoptr(GString) words = g_string_new(NULL);

	assert_true(line < g_strv_length(lines));
	parts = g_strsplit(lines[line], " ", -1);
	for (char **part = parts; *part; part++)
		if (**part)
			g_string_append_printf(words, "%s%s", words->len ? " " : "", *part);

	return g_string_free(g_steal_pointer(&words), FALSE);
}

static void storages_have_kib_and_percent(void **state)
{
	g_autofree char *text = printed(print_storages,
		"[{\"storage\":\"local\",\"type\":\"dir\",\"enabled\":1,\"active\":1,"
		"\"total\":4096000,\"used\":1024000,\"avail\":3072000},"
		"{\"storage\":\"off\",\"type\":\"nfs\",\"enabled\":0,\"active\":0},"
		"{\"storage\":\"gone\",\"type\":\"nfs\",\"enabled\":1,\"active\":0}]",
		false);
	g_autofree char *head = line_words(text, 0);
	g_autofree char *active = line_words(text, 1);
	g_autofree char *disabled = line_words(text, 2);
	g_autofree char *inactive = line_words(text, 3);

	assert_string_equal(head, "Name Type Status Total Used Available %");
	assert_string_equal(active, "local dir active 4000 1000 3000 25.00%");
	assert_string_equal(disabled, "off nfs disabled 0 0 0 N/A");
	assert_string_equal(inactive, "gone nfs inactive 0 0 0 0.00%");
}

static void volumes_have_bytes_and_templates_megabytes(void **state)
{
	g_autofree char *volumes = printed(print_volumes,
		"[{\"volid\":\"local:100/vm-100-disk-0.raw\",\"format\":\"raw\","
		"\"content\":\"rootdir\",\"size\":1073741824,\"vmid\":100}]",
		false);
	g_autofree char *templates = printed(
		print_templates, "[{\"volid\":\"local:vztmpl/x.tar.gz\",\"size\":2621440}]", false);
	g_autofree char *head = line_words(volumes, 0);
	g_autofree char *volume = line_words(volumes, 1);
	g_autofree char *template = line_words(templates, 1);

	assert_string_equal(head, "Volid Format Type Size VMID");
	assert_string_equal(volume, "local:100/vm-100-disk-0.raw raw rootdir 1073741824 100");
	assert_string_equal(template, "local:vztmpl/x.tar.gz 2.50MB");
}

static void cluster_tells_quorum_and_who_we_are(void **state)
{
	static const char answer[] =
		"[{\"type\":\"cluster\",\"name\":\"x\",\"version\":4,\"nodes\":2,\"quorate\":1},"
		"{\"type\":\"node\",\"name\":\"n1\",\"nodeid\":1,\"online\":1,\"local\":1},"
		"{\"type\":\"node\",\"name\":\"n2\",\"nodeid\":2,\"online\":0}]";
	g_autofree char *status = printed(print_cluster_status, answer, false);
	g_autofree char *nodes = printed(print_cluster_nodes, answer, false);
	g_autofree char *local = line_words(nodes, 1);
	g_autofree char *away = line_words(nodes, 2);

	assert_non_null(strstr(status, "Quorate:          Yes\n"));
	assert_true(g_str_has_suffix(status, nodes));
	assert_string_equal(local, "1 yes n1 (local)");
	assert_string_equal(away, "2 no n2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_print_as_scripts_know_them),
		cmocka_unit_test(storages_have_kib_and_percent),
		cmocka_unit_test(volumes_have_bytes_and_templates_megabytes),
		cmocka_unit_test(cluster_tells_quorum_and_who_we_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
