/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/change.h"

#include <string.h>

#include "agent/job.h"
#include "base/err.h"
#include "base/macro.h"
#include "tests/unit/test.h"

#define DIGEST "da39a3ee5e6b4b0d3255bfef95601890afd80709"

static uint32_t count(CtChangeEnv *env)
{
	return ++*(uint32_t *)env->data;
}

static int check_storage(CtChangeEnv *env, const char *storage, GError **err)
{
	if (str_equal(storage, "local"))
		return 0;
	return err_set(err, ENOENT, "storage '%s' does not exist", storage);
}

static int check_hookscript(CtChangeEnv *env, const char *volid, GError **err)
{
	if (str_equal(volid, "local:snippets/good"))
		return 0;
	return err_set(err, ENOENT, "hook script '%s' does not exist", volid);
}

struct fixture {
	uint32_t counter;
	CtChangeEnv env;
};

static int set_up(void **state)
{
	struct fixture *f = g_new0(struct fixture, 1);

	f->env = (CtChangeEnv){.data = &f->counter,
		.is_root = true,
		.zone_tab = "# comment\nAT\t+4813+01620\tEurope/Vienna\nXX\tshort\n",
		.random = count,
		.check_storage = check_storage,
		.check_hookscript = check_hookscript};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	g_free(*state);
	return 0;
}

static CtConfig *parse(const char *text)
{
	CtConfig *config = NULL;

	assert_int_equal(ct_config_parse(text, strlen(text), false, &config, NULL, NULL), 0);
	return config;
}

static char *print(const CtConfig *config)
{
	char *text = NULL;

	assert_int_equal(ct_config_print(config, &text, NULL), 0);
	return text;
}

static int stage(
	struct fixture *f, CtConfig *config, const char *json, GPtrArray *warnings, GError **err)
{
	json_auto_t *params = json_loads(json, 0, NULL);

	assert_non_null(params);
	return ct_change_stage(config, params, DIGEST, &f->env, warnings, err);
}

/* What a request makes of a configuration. */
static const struct {
	const char *before;
	const char *request;
	const char *after;
} accepted[] = {
	{"", "{\"memory\": \"64\"}", "\n[pve:pending]\nmemory: 64\n"},
	{"memory: 64\n", "{\"memory\": \"64\", \"tags\": \"B a\"}",
		"memory: 64\n\n[pve:pending]\ntags: a;b\n"},
	{"swap: 1\n", "{\"delete\": \"swap\"}", "swap: 1\n\n[pve:pending]\ndelete: swap\n"},
	{"swap: 1\n[pve:pending]\ndelete: swap\n", "{\"swap\": \"2\"}",
		"swap: 1\n\n[pve:pending]\nswap: 2\n"},
	{"swap: 1\n[pve:pending]\nswap: 2\n", "{\"delete\": \"swap\"}",
		"swap: 1\n\n[pve:pending]\ndelete: swap\n"},
	{"swap: 1\n[pve:pending]\ndelete: tags\nswap: 2\n", "{\"revert\": \"swap, tags\"}",
		"swap: 1\n"},
	{"tags: a\n", "{\"tags\": \"\"}", "tags: a\n\n[pve:pending]\ndelete: tags\n"},
	{"", "{\"net0\": \"name=eth0,bridge=vmbr0\"}",
		"\n[pve:pending]\nnet0: "
		"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:01:02:03,type=veth\n"},
	{"", "{\"net0\": \"name=eth0,hwaddr=02:00:00:00:00:01\"}",
		"\n[pve:pending]\nnet0: name=eth0,hwaddr=02:00:00:00:00:01,type=veth\n"},
	{"net0: name=eth0,type=veth\n[pve:pending]\ndelete: net0\n",
		"{\"net1\": \"name=eth0,hwaddr=02:00:00:00:00:01\"}",
		"net0: name=eth0,type=veth\n\n[pve:pending]\ndelete: net0\n"
		"net1: name=eth0,hwaddr=02:00:00:00:00:01,type=veth\n"},
	{"net0: name=eth0\nnet1: name=eth0\n", "{\"memory\": \"64\"}",
		"net0: name=eth0\nnet1: name=eth0\n\n[pve:pending]\nmemory: 64\n"},
	{"", "{\"mp0\": \"local:8,mp=/srv\", \"skiplock\": \"1\"}",
		"\n[pve:pending]\nmp0: local:8,mp=/srv\n"},
	{"", "{\"timezone\": \"Europe/Vienna\", \"hookscript\": \"local:snippets/good\"}",
		"\n[pve:pending]\nhookscript: local:snippets/good\ntimezone: Europe/Vienna\n"},
	{"", "{\"description\": \"a\\nb\", \"digest\": \"" DIGEST "\"}",
		"\n[pve:pending]\n#a\n#b\n"},
};

static void requests_become_pending_changes(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(accepted); i++) {
		g_autoptr(CtConfig) config = parse(accepted[i].before);
		g_autoptr(GError) error = NULL;
		g_autofree char *after = NULL;

		f->counter = 0;
		if (stage(f, config, accepted[i].request, NULL, &error) < 0)
			fail_msg("%s: %s", accepted[i].request, error->message);
		after = print(config);
		if (!str_equal(after, accepted[i].after))
			fail_msg("%s:\n%s", accepted[i].request, after);
	}
}

#define FAILED JOB_BAD_PARAMETERS "\n"

static const struct {
	const char *before;
	const char *request;
	int code;
	const char *reason;
} refused[] = {
	{"", "{}", EINVAL, "no options specified"},
	{"", "{\"skiplock\": \"1\"}", EINVAL, "no options specified"},
	{"lock: backup\n", "{\"memory\": \"64\"}", EBUSY, "CT is locked (backup)"},
	{"", "{\"memory\": \"64\", \"digest\": \"0\"}", ESTALE,
		"detected modified configuration: it was changed by another user, try again"},
	{"", "{\"memory\": \"1\", \"tty\": \"9\"}", EINVAL,
		FAILED "memory: value must have a minimum value of 16\n"
		       "tty: value must have a maximum value of 6"},
	{"", "{\"mp0\": \"/srv,mp=/a\\rswap: 9\"}", EINVAL,
		FAILED "mp0: value has a control character"},
	{"", "{\"delete\": \"memory\"}", EINVAL,
		FAILED "delete: option 'memory' cannot be deleted"},
	{"", "{\"delete\": \"warp\"}", EINVAL, FAILED "delete: unknown option 'warp'"},
	{"", "{\"revert\": \"parent\"}", EINVAL, FAILED "revert: unknown option 'parent'"},
	{"", "{\"swap\": \"1\", \"delete\": \"swap\"}", EINVAL,
		FAILED "delete: option 'swap' is also set"},
	{"", "{\"revert\": \"swap\", \"delete\": \"swap\"}", EINVAL,
		FAILED "delete: option 'swap' is also reverted"},
	{"", "{\"unprivileged\": \"1\"}", EINVAL,
		FAILED "unprivileged: cannot be changed after creation"},
	{"", "{\"template\": \"1\"}", EINVAL,
		FAILED "template: a container becomes a template by 'pct template'"},
	{"", "{\"unused0\": \"local:100/a.raw\"}", EINVAL,
		FAILED "unused0: unused volumes are recorded, not set"},
	{"", "{\"snaptime\": \"1\"}", EINVAL, FAILED "snaptime: cannot be set"},
	{"", "{\"mp0\": \"other:8,mp=/a\"}", EINVAL, FAILED "mp0: storage 'other' does not exist"},
	{"", "{\"mp0\": \"8,mp=/a\"}", EINVAL, FAILED "mp0: volume '8' does not name a storage"},
	{"protection: 1\n", "{\"mp0\": \"local:8,mp=/a\"}", EINVAL,
		FAILED "mp0: can't change volumes - protection mode enabled"},
	{"protection: 1\n", "{\"delete\": \"unused0\"}", EINVAL,
		FAILED "delete: can't remove 'unused0' - protection mode enabled"},
	{"", "{\"net0\": \"name=eth0,host-managed=1,ip6=auto\"}", EINVAL,
		FAILED "net0: ip6=auto cannot be managed by the host"},
	{"", "{\"net0\": \"name=eth0,colour=red\"}", EINVAL,
		FAILED "net0: format error colour: property is not defined in schema"},
	{"", "{\"net0\": \"name=eth0,tag=5\", \"net1\": \"name=eth1,trunks=5;6\"}", EINVAL,
		FAILED "net0: VLANs (tag, trunks) are not supported\n"
		       "net1: VLANs (tag, trunks) are not supported"},
	{"", "{\"dev0\": \"/dev/null\"}", EINVAL,
		FAILED "dev0: handing devices of the host to a container is not supported"},
	{"net3: name=eth0\n", "{\"net0\": \"name=eth0\"}", EINVAL,
		FAILED "net0: name 'eth0' is that of net3 too"},
	{"[pve:pending]\nnet3: name=eth0\n", "{\"net0\": \"name=eth0\"}", EINVAL,
		FAILED "net0: name 'eth0' is that of net3 too"},
	{"net0: name=eth0\n[pve:pending]\nnet0: name=eth1\nnet1: name=eth0\n",
		"{\"revert\": \"net0\"}", EINVAL, FAILED "net0: name 'eth0' is that of net1 too"},
	{"", "{\"timezone\": \"Europe/Nowhere\"}", EINVAL,
		FAILED "timezone: there is no time zone 'Europe/Nowhere'"},
	{"", "{\"hookscript\": \"local:snippets/bad\"}", EINVAL,
		FAILED "hookscript: hook script 'local:snippets/bad' does not exist"},
};

static void refusals_name_each_option_and_change_nothing(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(CtConfig) config = parse(refused[i].before);
		g_autofree char *before = print(config);
		g_autofree char *after = NULL;
		g_autoptr(GError) error = NULL;

		assert_int_equal(
			stage(f, config, refused[i].request, NULL, &error), -refused[i].code);
		assert_string_equal(error->message, refused[i].reason);
		after = print(config);
		assert_string_equal(before, after);
	}
}

static void only_root_reaches_the_host(void **state)
{
	static const char *const requests[] = {"{\"mp0\": \"/srv,mp=/srv\"}",
		"{\"rootfs\": \"/dev/sda\"}", "{\"lock\": \"backup\"}"};
	struct fixture *f = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
		g_autoptr(CtConfig) config = ct_config_new();

		f->env.is_root = false;
		assert_int_equal(stage(f, config, requests[i], NULL, NULL), -EINVAL);
		f->env.is_root = true;
		assert_int_equal(stage(f, config, requests[i], NULL, NULL), 0);
	}
}

static void deleting_what_is_not_set_is_a_warning(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtConfig) config = parse("memory: 64\n");
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *after = NULL;

	assert_int_equal(stage(f, config, "{\"delete\": \"tags\"}", warnings, NULL), 0);
	after = print(config);
	assert_string_equal(after, "memory: 64\n");
	assert_int_equal(warnings->len, 1);
	assert_string_equal(g_ptr_array_index(warnings, 0), "cannot delete 'tags' - it is not set");
}

static void generated_addresses_take_the_clusters_prefix(void **state)
{
	struct fixture *f = *state;
	g_autoptr(CtSection) section = ct_section_new();

	f->env.mac_prefix = "02:ab:";
	ct_section_set(section, "net0", "name=eth0");
	ct_section_set(section, "net31", "name=eth31,hwaddr=02:00:00:00:00:01,type=veth");
	assert_int_equal(ct_change_complete_nets(section, &f->env, NULL), 0);
	assert_string_equal(
		ct_section_get(section, "net0"), "name=eth0,hwaddr=02:AB:01:02:03:04,type=veth");
	assert_string_equal(
		ct_section_get(section, "net31"), "name=eth31,hwaddr=02:00:00:00:00:01,type=veth");

	ct_section_set(section, "net1", "bridge=vmbr0");
	assert_int_equal(ct_change_complete_nets(section, &f->env, NULL), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_become_pending_changes),
		TEST(refusals_name_each_option_and_change_nothing),
		TEST(only_root_reaches_the_host),
		TEST(deleting_what_is_not_set_is_a_warning),
		TEST(generated_addresses_take_the_clusters_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
