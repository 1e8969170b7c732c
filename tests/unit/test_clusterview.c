/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "agent/api/clusterview.h"
#include "base/macro.h"

#define CLUSTER                                                                  \
	"{\"nodename\": \"n1\", \"version\": 4, \"cluster\": {\"name\": \"x\", " \
	"\"version\": 3, \"nodes\": 2, \"quorate\": 1}, \"nodelist\": {"         \
	"\"n2\": {\"id\": 2, \"online\": 0, \"ip\": \"10.0.0.2\"}, "             \
	"\"n1\": {\"id\": 1, \"online\": 1, \"ip\": \"10.0.0.1\"}}}"

static const char *text_of(json_t *entry, const char *name)
{
	return json_string_value(json_object_get(entry, name));
}

static json_int_t number_of(json_t *entry, const char *name)
{
	return json_integer_value(json_object_get(entry, name));
}

static void status_has_cluster_first_then_nodes_by_name(void **state)
{
	json_auto_t *members = NULL;
	json_auto_t *status = NULL;

	assert_int_equal(clusterview_parse_members(CLUSTER, &members), 0);
	status = clusterview_status(members, "n2");
	assert_int_equal(json_array_size(status), 3);
	assert_string_equal(text_of(json_array_get(status, 0), "type"), "cluster");
	assert_int_equal(number_of(json_array_get(status, 0), "quorate"), 1);
	assert_string_equal(text_of(json_array_get(status, 1), "name"), "n1");
	assert_int_equal(number_of(json_array_get(status, 1), "local"), 0);
	assert_string_equal(text_of(json_array_get(status, 2), "ip"), "10.0.0.2");
	assert_int_equal(number_of(json_array_get(status, 2), "local"), 1);
}

static void node_without_cluster_is_its_only_member(void **state)
{
	json_auto_t *members = NULL;
	json_auto_t *status = NULL;
	json_auto_t *nodes = NULL;

	assert_int_equal(
		clusterview_parse_members("{\"nodename\": \"n1\", \"version\": 1}", &members), 0);
	status = clusterview_status(members, "n1");
	assert_int_equal(json_array_size(status), 1);
	assert_int_equal(number_of(json_array_get(status, 0), "online"), 1);
	nodes = clusterview_nodes(members);
	assert_int_equal(json_array_size(nodes), 1);
	assert_string_equal(text_of(json_array_get(nodes, 0), "status"), "online");
}

static void damaged_members_are_refused(void **state)
{
	static const char *const texts[] = {"", "[]", "{}", "{\"nodename\": 1}", "{\"nodename\""};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		json_t *members = NULL;

		assert_int_equal(clusterview_parse_members(texts[i], &members), -EBADMSG);
		assert_null(members);
	}
}

static void next_id_is_the_lowest_free_one(void **state)
{
	static const struct {
		const char *datacenter;
		int r;
		unsigned id;
	} cases[] = {
		{NULL, 0, 102},
		{"", 0, 102},
		{"keyboard: de\nnext-id: lower=101\n", 0, 102},
		{"next-id:upper=200,lower=150", 0, 150},
		{"# next-id: lower=150\n", 0, 102},
		{"next-id: lower=100,upper=102", -ENOENT, 0},
		{"next-id: lower=500,upper=400", -ENOENT, 0},
		{"next-id: lower=1", -EINVAL, 0},
		{"next-id: what", -EINVAL, 0},
	};
	json_auto_t *guests = json_pack("{s:{}, s:{}, s:{}}", "100", "101", "103");

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) err = NULL;
		unsigned id = 0;

		assert_int_equal(
			clusterview_next_id(guests, cases[i].datacenter, &id, &err), cases[i].r);
		assert_int_equal(id, cases[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_has_cluster_first_then_nodes_by_name),
		cmocka_unit_test(node_without_cluster_is_its_only_member),
		cmocka_unit_test(damaged_members_are_refused),
		cmocka_unit_test(next_id_is_the_lowest_free_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
