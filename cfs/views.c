/* SPDX-License-Identifier: Apache-2.0 */
#include "cfs/views.h"

#include <string.h>

#include <jansson.h>

#include "base/macro.h"
#include "cfs/wire.h"

/* Files that programs watch by their number in .version. */
static const char *const watched[] = {
	"corosync.conf",
	"corosync.conf.new",
	"datacenter.cfg",
	"storage.cfg",
	"user.cfg",
	"domains.cfg",
	"jobs.cfg",
	"vzdump.cron",
	"firewall/cluster.fw",
	"ha/crm_commands",
	"ha/manager_status",
	"ha/resources.cfg",
	"ha/rules.cfg",
	"ha/groups.cfg",
	"ha/fence.cfg",
	"priv/shadow.cfg",
	"priv/token.cfg",
};

static GBytes *text_of(json_t *root)
{
	g_autofree char *text = NULL;
	char *dump = json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII);

	assert(dump);
	text = g_strconcat(dump, "\n", NULL);
	free(dump);
	json_decref(root);
	return g_bytes_new(text, strlen(text));
}

/* A string that may come from a file name, and need not be UTF-8. */
static json_t *safe_string(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	return json_string(valid);
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
	(void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

static bool is_online(const ViewsInput *input, uint32_t id)
{
	for (unsigned i = 0; i < input->n_online; i++)
		if (input->online[i] == id)
			return true;
	return false;
}

static json_t *node_list(const ViewsInput *input)
{
	json_t *list = json_object();

	for (unsigned i = 0; input->conf && i < input->conf->nodes->len; i++) {
		const ClusterNode *node = g_ptr_array_index(input->conf->nodes, i);
		g_autofree char *name = g_utf8_make_valid(node->name, -1);
		json_t *entry = json_object();

		set_number(entry, "id", node->id);
		set_number(entry, "online", is_online(input, node->id));
		(void)json_object_set_new(entry, "ip", safe_string(node->address));
		(void)json_object_set_new(list, name, entry);
	}
	return list;
}

static bool add_log_entry(const ClusterLogEntry *from, void *data)
{
	json_t *list = data, *entry = json_object();

	set_number(entry, "uid", from->number);
	set_number(entry, "time", from->time_s);
	set_number(entry, "pri", from->priority);
	(void)json_object_set_new(entry, "tag", safe_string(from->tag));
	set_number(entry, "pid", from->pid);
	(void)json_object_set_new(entry, "node", safe_string(from->host));
	(void)json_object_set_new(entry, "user", safe_string(from->user));
	(void)json_object_set_new(entry, "msg", safe_string(from->message));
	(void)json_array_append_new(list, entry);
	return true;
}

GBytes *views_clusterlog(const ViewsInput *input)
{
	json_t *root = json_object(), *list = json_array();

	clusterlog_each(input->log, add_log_entry, list);
	(void)json_object_set_new(root, "data", list);
	return text_of(root);
}

GBytes *views_members(const ViewsInput *input)
{
	const ClusterConf *conf = input->conf;
	json_t *root = json_object(), *cluster;

	(void)json_object_set_new(root, "nodename", safe_string(input->node_name));
	set_number(root, "version", input->members_version);
	if (input->standalone)
		return text_of(root);

	/* While corosync has told nothing the node is still one of a cluster, and without quorum:
	 * whoever takes it for a node on its own may start what runs elsewhere. */
	cluster = json_object();
	(void)json_object_set_new(cluster, "name", safe_string(conf ? conf->cluster_name : ""));
	set_number(cluster, "version", conf ? conf->config_version : 0);
	set_number(cluster, "nodes", conf ? conf->nodes->len : 0);
	set_number(cluster, "quorate", conf && input->quorate);
	(void)json_object_set_new(root, "cluster", cluster);
	(void)json_object_set_new(root, "nodelist", node_list(input));
	return text_of(root);
}

static bool add_guest(const TreeGuest *guest, void *data)
{
	json_t *ids = data, *entry = json_object();
	char key[16];

	(void)g_snprintf(key, sizeof(key), "%u", guest->vmid);
	(void)json_object_set_new(entry, "node", safe_string(guest->node));
	(void)json_object_set_new(entry, "type", json_string(guest->container ? "lxc" : "qemu"));
	set_number(entry, "version", guest->version);
	(void)json_object_set_new(ids, key, entry);
	return true;
}

GBytes *views_vmlist(const ViewsInput *input)
{
	json_t *root = json_object(), *ids = json_object();

	set_number(root, "version", input->vmlist_version);
	tree_each_guest(input->tree, add_guest, ids);
	if (json_object_size(ids) > 0)
		(void)json_object_set(root, "ids", ids);
	json_decref(ids);
	return text_of(root);
}

/* Versions of the keys of one node. */
typedef struct NodeKeys {
	uint32_t node;
	json_t *keys;
} NodeKeys;

static bool add_key(const StatusItem *item, void *data)
{
	const NodeKeys *node = data;

	if (item->node == node->node)
		set_number(node->keys, item->key, item->version);
	return item->node <= node->node;
}

static void add_keys_of(json_t *kvstore, const ViewsInput *input, uint32_t id, const char *name)
{
	g_autofree char *valid = g_utf8_make_valid(name, -1);
	NodeKeys keys = {.node = id, .keys = json_object()};

	status_each(input->keys, add_key, &keys);
	(void)json_object_set_new(kvstore, valid, keys.keys);
}

static json_t *kvstore_of(const ViewsInput *input)
{
	json_t *kvstore = json_object();

	if (input->standalone)
		add_keys_of(kvstore, input, input->status->node, input->node_name);
	for (unsigned i = 0; input->conf && i < input->conf->nodes->len; i++) {
		const ClusterNode *node = g_ptr_array_index(input->conf->nodes, i);

		add_keys_of(kvstore, input, node->id, node->name);
	}
	return kvstore;
}

GBytes *views_version(const ViewsInput *input)
{
	json_t *root = json_object();

	set_number(root, "starttime", (uint64_t)input->start_time_s);
	set_number(root, "clinfo", input->members_version);
	set_number(root, "vmlist", input->vmlist_version);
	for (unsigned i = 0; i < G_N_ELEMENTS(watched); i++) {
		const TreeNode *node = tree_by_path(input->tree, watched[i]);

		set_number(root, watched[i], node ? tree_node_version(node) : 0);
	}
	(void)json_object_set_new(root, "kvstore", kvstore_of(input));
	return text_of(root);
}

static json_t *member_list(const ReplicaStatus *status)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < status->n_members; i++) {
		const ReplicaMember *member = &status->members[i];
		json_t *entry = json_object();

		set_number(entry, "id", member->node);
		set_number(entry, "acknowledged", member->acknowledged);
		(void)json_object_set_new(entry, "catching_up", json_boolean(member->catching_up));
		(void)json_object_set_new(entry, "blank", json_boolean(member->blank));
		(void)json_array_append_new(list, entry);
	}
	return list;
}

static json_t *counters(const ViewsInput *input)
{
	const ReplicaCounters *from = &input->status->counters;
	json_t *object = json_object();

	set_number(object, "entries", from->entries);
	set_number(object, "batches", from->batches);
	set_number(object, "fsyncs", from->syncs);
	set_number(object, "bytes_written", input->bytes_written);
	set_number(object, "reads", input->reads);
	set_number(object, "submitted", from->submitted);
	set_number(object, "messages", from->sent);
	set_number(object, "message_bytes", from->sent_bytes);
	set_number(object, "logs_in", from->logs_in);
	set_number(object, "logs_out", from->logs_out);
	set_number(object, "transfers_in", from->transfers_in);
	set_number(object, "transfers_out", from->transfers_out);
	set_number(object, "epochs", from->epochs);
	return object;
}

/* What this program speaks, and the member that speaks something newer. */
static json_t *format(const ReplicaStatus *status)
{
	json_t *object = json_object();

	set_number(object, "version", WIRE_VERSION);
	(void)json_object_set_new(object, "newer_node",
		status->newer ? json_integer((json_int_t)status->newer) : json_null());
	return object;
}

GBytes *views_store(const ViewsInput *input)
{
	const ReplicaStatus *status = input->status;
	json_t *root = json_object(), *view = json_object();

	(void)json_object_set_new(root, "node", safe_string(input->node_name));
	set_number(root, "id", status->node);
	(void)json_object_set_new(
		root, "mode", json_string(input->standalone ? "standalone" : "cluster"));
	(void)json_object_set_new(
		root, "state", json_string(replica_state_to_string(status->state)));
	set_number(root, "epoch", status->epoch);
	set_number(root, "first", status->first);
	set_number(root, "last", status->last);
	set_number(root, "commit", status->commit);
	set_number(view, "number", status->view);
	set_number(view, "announced_by", status->view_node);
	(void)json_object_set_new(root, "view", view);
	set_number(root, "need", status->need);
	(void)json_object_set_new(root, "need_reduced", json_boolean(status->reduced));
	(void)json_object_set_new(root, "forgetful", json_boolean(status->forgetful));
	(void)json_object_set_new(root, "quorate", json_boolean(status->quorate));
	(void)json_object_set_new(root, "format", format(status));
	(void)json_object_set_new(root, "members", member_list(status));
	set_number(root, "pending", status->n_pending);
	set_number(root, "tree_version", tree_version(input->tree));
	(void)json_object_set_new(root, "tree_digest", json_string(input->digest));
	(void)json_object_set_new(root, "counters", counters(input));
	return text_of(root);
}

static bool is_guest_directory(const Tree *tree, uint64_t inode)
{
	const TreeNode *node = tree_by_inode(tree, inode), *up;

	if (!node || (!str_equal(tree_node_name(node), "lxc") &&
			     !str_equal(tree_node_name(node), "qemu-server")))
		return false;
	up = tree_by_inode(tree, tree_node_parent(node));
	up = up ? tree_by_inode(tree, tree_node_parent(up)) : NULL;
	return up && tree_node_parent(up) == TREE_ROOT_INODE &&
	       str_equal(tree_node_name(up), "nodes");
}

bool views_change_touches_vmlist(const Tree *tree, const TreeChange *change)
{
	return is_guest_directory(tree, change->parent) ||
	       is_guest_directory(tree, change->old_parent);
}
