/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/views.h"

#include <jansson.h>

#include "base/macro.h"
#include "tests/unit/test.h"

static const TreeLimits limits = {
	.file_max = 1 << 20, .total_max = 1 << 27, .entries_max = 1 << 18};

typedef struct Fixture {
	ViewsInput input;
	Tree *tree;
	ClusterConf *conf;
	ReplicaStatus status;
} Fixture;

static int set_up(void **state)
{
	Fixture *f = g_new0(Fixture, 1);

	f->tree = tree_new(&limits);
	f->conf = cluster_conf_new_single(7, "n7");
	f->input = (ViewsInput){
		.node_name = "n7",
		.tree = f->tree,
		.status = &f->status,
		.digest = "",
		.members_version = 3,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	Fixture *f = *state;

	f->tree = tree_free(f->tree);
	f->conf = cluster_conf_free(f->conf);
	g_free(f);
	return 0;
}

/* Owned by the caller. */
static json_t *parsed(GBytes *(*view)(const ViewsInput *input), const Fixture *f)
{
	g_autoptr(GBytes) text = view(&f->input);
	json_t *root = json_loadb(g_bytes_get_data(text, NULL), g_bytes_get_size(text), 0, NULL);

	assert_non_null(root);
	return root;
}

static void a_node_of_its_own_has_no_cluster(void **state)
{
	Fixture *f = *state;
	json_auto_t *members = NULL;

	f->input.standalone = true;
	members = parsed(views_members, f);
	assert_string_equal(json_string_value(json_object_get(members, "nodename")), "n7");
	assert_null(json_object_get(members, "cluster"));
	assert_null(json_object_get(members, "nodelist"));
}

/* Who sees no cluster here takes the node for one of its own, which needs no quorum. */
static void a_node_that_waits_for_corosync_has_a_cluster_without_quorum(void **state)
{
	Fixture *f = *state;
	json_auto_t *members = NULL;
	json_auto_t *store = NULL;
	json_t *cluster;

	f->input.quorate = true;
	members = parsed(views_members, f);
	store = parsed(views_store, f);
	cluster = json_object_get(members, "cluster");
	assert_int_equal(json_integer_value(json_object_get(cluster, "quorate")), 0);
	assert_true(json_is_integer(json_object_get(cluster, "quorate")));
	assert_int_equal(json_integer_value(json_object_get(cluster, "nodes")), 0);
	assert_int_equal(json_object_size(json_object_get(members, "nodelist")), 0);
	assert_string_equal(json_string_value(json_object_get(store, "mode")), "cluster");
}

static void members_are_those_of_corosync(void **state)
{
	static const uint32_t online[] = {7};
	Fixture *f = *state;
	json_auto_t *members = NULL;
	json_t *node;

	f->input.conf = f->conf;
	f->input.quorate = true;
	f->input.online = online;
	f->input.n_online = G_N_ELEMENTS(online);
	members = parsed(views_members, f);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(members, "cluster"), "quorate")),
		1);
	node = json_object_get(json_object_get(members, "nodelist"), "n7");
	assert_int_equal(json_integer_value(json_object_get(node, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(node, "online")), 1);
}

static void guests_are_listed_only_when_there_are_some(void **state)
{
	Fixture *f = *state;
	json_auto_t *vmlist = parsed(views_vmlist, f);

	assert_null(json_object_get(vmlist, "ids"));
}

static int keep(void *data, GBytes *message)
{
	return 0;
}

static void ignore_key(void *data, const StatusItem *item)
{
}

static void ignore_entry(void *data)
{
}

static void versions_have_the_status_keys_of_each_node(void **state)
{
	Fixture *f = *state;
	const StatusOptions options = {
		.env = {.send = keep}, .node = 7, .version = 41, .changed = ignore_key};
	g_autoptr(Status) keys = status_new(&options);
	g_autoptr(GBytes) value = g_bytes_new("1", 1);
	json_auto_t *version = NULL;
	json_t *node;

	assert_int_equal(status_set(keys, "load", value), 0);
	f->input.conf = f->conf;
	f->input.keys = keys;
	version = parsed(views_version, f);
	node = json_object_get(json_object_get(version, "kvstore"), "n7");
	assert_int_equal(json_integer_value(json_object_get(node, "load")), 42);
}

static void the_cluster_log_is_the_newest_first(void **state)
{
	Fixture *f = *state;
	const ClusterLogOptions options = {.env = {.send = keep}, .node = 7, .added = ignore_entry};
	g_autoptr(ClusterLog) log = clusterlog_new(&options);
	ClusterLogEntry entry = {
		.time_s = 5, .priority = 6, .pid = 9, .host = "n7", .user = "root", .tag = "cfs"};
	json_auto_t *found = NULL;
	json_t *list, *first;

	entry.message = "one";
	assert_int_equal(clusterlog_write(log, &entry), 0);
	entry.message = "two";
	assert_int_equal(clusterlog_write(log, &entry), 0);
	f->input.log = log;
	found = parsed(views_clusterlog, f);
	list = json_object_get(found, "data");
	first = json_pack("{s:i, s:i, s:i, s:s, s:i, s:s, s:s, s:s}", "uid", 2, "time", 5, "pri", 6,
		"tag", "cfs", "pid", 9, "node", "n7", "user", "root", "msg", "two");
	assert_int_equal(json_array_size(list), 2);
	assert_true(json_equal(json_array_get(list, 0), first));
	json_decref(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_node_of_its_own_has_no_cluster, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_node_that_waits_for_corosync_has_a_cluster_without_quorum, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(members_are_those_of_corosync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			guests_are_listed_only_when_there_are_some, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			versions_have_the_status_keys_of_each_node, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_cluster_log_is_the_newest_first, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
