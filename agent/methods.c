/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/methods.h"

#include <jansson.h>
#include <string.h>

#include "agent/ct/formats.h"
#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"

/* Longest text of an identifier in a path: storage, node. */
#define ID_LENGTH_MAX 100

/* Program and arguments of exec. */
#define COMMAND_LENGTH_MAX (256 * 1024)

/* The environment that is handed over. */
#define ENV_LENGTH_MAX (128 * 1024)

/* --- checks ----------------------------------------------------------------------------------- */

static int check_vmid(const char *value, GError **err)
{
	unsigned id;

	return ct_id_parse(value, &id, err);
}

static int check_node(const char *value, GError **err)
{
	size_t length = strlen(value);

	if (length == 0 || length > 63 || value[0] == '-' || value[length - 1] == '-' ||
		strspn(value, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-") != length)
		return err_set(err, EINVAL, "value is not a node name");
	return 0;
}

static int check_storage(const char *value, GError **err)
{
	size_t length = strlen(value);

	if (length < 2 || !g_ascii_isalpha(value[0]) || !g_ascii_isalnum(value[length - 1]) ||
		strspn(value, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") != length)
		return err_set(err, EINVAL, "value is not a storage id");
	return 0;
}

static int check_config_id(const char *value, GError **err)
{
	size_t length = strlen(value);

	if (length < 2 || length > 40 || !g_ascii_isalpha(value[0]) ||
		strspn(value, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-") != length)
		return err_set(err, EINVAL, "value is not a snapshot name");
	return 0;
}

static int check_escape(const char *value, GError **err)
{
	const char *letter = value[0] == '^' ? value + 1 : value;

	if (!g_ascii_islower(letter[0]) || letter[1])
		return err_set(err, EINVAL, "value must be a letter or '^' and a letter");
	return 0;
}

static int check_digest(const char *value, GError **err)
{
	if (strlen(value) > 64 || strspn(value, "0123456789abcdef") != strlen(value))
		return err_set(err, EINVAL, "value is not a digest");
	return 0;
}

/* A JSON array of at least one string: the one way to hand over arguments that no separator breaks.
 */
static int check_command(const char *value, GError **err)
{
	json_auto_t *array = json_loads(value, 0, NULL);
	json_t *item;
	size_t i;

	if (!json_is_array(array) || json_array_size(array) == 0)
		return err_set(err, EINVAL, "value must be a JSON array of strings");
	json_array_foreach(array, i, item) {
		if (!json_is_string(item))
			return err_set(err, EINVAL, "value must be a JSON array of strings");
	}
	return 0;
}

/* --- parameters that several methods have ----------------------------------------------------- */

#define PARAM_VMID(more_flags, text)                                                            \
	{                                                                                       \
		.name = "vmid", .type = SCHEMA_STRING, .flags = (more_flags), .length_max = 64, \
		.format_description = "<integer> (100 - 999999999)", .check = check_vmid,       \
		.description = (text),                                                          \
	}

#define PARAM_STORAGE(more_flags, text)                                            \
	{                                                                          \
		.name = "storage", .type = SCHEMA_STRING, .flags = (more_flags),   \
		.length_max = ID_LENGTH_MAX, .format_description = "<storage ID>", \
		.check = check_storage, .description = (text),                     \
	}

#define PARAM_DIGEST                                                                              \
	{                                                                                         \
		.name = "digest", .type = SCHEMA_STRING, .length_max = 64, .check = check_digest, \
		.description = "Refuse if the configuration has another digest by now",           \
	}

#define PARAM_SKIPLOCK                                                            \
	{                                                                         \
		.name = "skiplock", .type = SCHEMA_BOOLEAN, .default_value = "0", \
		.description = "Ignore the lock property",                        \
	}

/* A number from 0 up, e.g. seconds. */
#define PARAM_COUNT(the_name, the_max, the_default, text)                            \
	{                                                                            \
		.name = the_name, .type = SCHEMA_INTEGER, .limited = true, .min = 0, \
		.max = (the_max), .default_value = the_default, .description = text, \
	}

#define PARAM_FLAG(the_name, the_default, text)                                         \
	{                                                                               \
		.name = the_name, .type = SCHEMA_BOOLEAN, .default_value = the_default, \
		.description = text,                                                    \
	}

#define PARAM_TEXT(the_name, the_length_max, text)                                       \
	{                                                                                \
		.name = the_name, .type = SCHEMA_STRING, .length_max = (the_length_max), \
		.description = text,                                                     \
	}

/* Names of options of a container. */
#define PARAM_KEYS(the_name, text)                                             \
	{                                                                      \
		.name = the_name, .type = SCHEMA_STRING, .flags = SCHEMA_LIST, \
		.length_max = 16384, .description = text,                      \
	}

const SchemaOption api_path_params[] = {
	{
		.name = "node",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_POSITIONAL | SCHEMA_REQUIRED,
		.check = check_node,
		.description = "Name of the node",
	},
	PARAM_VMID(SCHEMA_POSITIONAL | SCHEMA_REQUIRED, "Id of the container"),
	PARAM_STORAGE(SCHEMA_POSITIONAL | SCHEMA_REQUIRED, "Id of the storage"),
	{
		.name = "volume",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_POSITIONAL | SCHEMA_REQUIRED,
		.length_max = 1024,
		.description = "Id of the volume",
	},
	{
		.name = "upid",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_POSITIONAL | SCHEMA_REQUIRED,
		.length_max = 256,
		.description = "Id of the task",
	},
	{0},
};

/* --- cluster ---------------------------------------------------------------------------------- */

static const char *const resource_types[] = {"vm", "storage", "node", NULL};

static const SchemaOption resources_params[] = {
	{
		.name = "type",
		.type = SCHEMA_ENUM,
		.values = resource_types,
		.description = "Only resources of this type",
	},
	{0},
};

static const SchemaOption nextid_params[] = {
	PARAM_VMID(0, "Only check that this id is free"),
	{0},
};

/* --- containers ------------------------------------------------------------------------------- */

static const SchemaOption create_params[] = {
	PARAM_VMID(SCHEMA_POSITIONAL | SCHEMA_REQUIRED, "Id of the container"),
	{
		.name = "ostemplate",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_POSITIONAL | SCHEMA_REQUIRED,
		.length_max = 4096,
		.description = "Template or backup: volume id or path",
	},
	{
		.name = "bwlimit",
		.type = SCHEMA_NUMBER,
		.limited = true,
		.min = 0,
		.max = 1e15,
		.description = "I/O limit in KiB/s",
	},
	PARAM_FLAG("force", "0", "Restore only: replace an existing container"),
	PARAM_FLAG("ha-managed", "0", "Also make it an HA resource"),
	PARAM_FLAG("ignore-unpack-errors", "0", "Go on when unpacking reports errors"),
	{
		.name = "password",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_SECRET,
		.length_max = 1024,
		.description = "Password of root inside the container",
	},
	PARAM_TEXT("pool", ID_LENGTH_MAX, "Resource pool to put it in"),
	PARAM_FLAG("restore", "0", "Treat ostemplate as a backup"),
	{
		.name = "ssh-public-keys",
		.type = SCHEMA_STRING,
		.check = format_ssh_keys,
		.length_max = 65536,
		.format_description = "<filepath>",
		.description = "Keys for root's authorized_keys, one a line",
	},
	PARAM_FLAG("start", "0", "Start when done"),
	{
		.name = "storage",
		.type = SCHEMA_STRING,
		.length_max = ID_LENGTH_MAX,
		.default_value = "local",
		.format_description = "<storage ID>",
		.check = check_storage,
		.description = "Storage for volumes given by size only",
	},
	PARAM_FLAG("unique", "0", "New MAC addresses (restore only)"),
	{0},
};

static const SchemaOption destroy_params[] = {
	PARAM_FLAG("destroy-unreferenced-disks", "0",
		"Also volumes of this id that the configuration does not name"),
	PARAM_FLAG("force", "0", "Stop it first if it runs"),
	PARAM_FLAG("purge", "0", "Also remove it from backup and replication jobs and HA"),
	{0},
};

static const SchemaOption config_params[] = {
	PARAM_FLAG("current", "0", "Ignore pending changes"),
	{
		.name = "snapshot",
		.type = SCHEMA_STRING,
		.length_max = 40,
		.check = check_config_id,
		.description = "Show this snapshot instead",
	},
	{0},
};

static const SchemaOption set_params[] = {
	PARAM_KEYS("delete", "Options to remove"),
	PARAM_DIGEST,
	PARAM_KEYS("revert", "Pending changes to drop"),
	{0},
};

static const SchemaOption start_params[] = {
	PARAM_FLAG("debug", "0", "Verbose LXC log"),
	PARAM_SKIPLOCK,
	{0},
};

static const SchemaOption stop_params[] = {
	PARAM_FLAG("overrule-shutdown", "0", "Abort running shutdown tasks of the container first"),
	PARAM_SKIPLOCK,
	{0},
};

static const SchemaOption shutdown_params[] = {
	PARAM_FLAG("forceStop", "0", "Kill after the timeout"),
	PARAM_COUNT("timeout", 86400, "60", "Seconds to wait"),
	{0},
};

static const SchemaOption reboot_params[] = {
	PARAM_COUNT("timeout", 86400, NULL, "Seconds for the shutdown, then kill"),
	{0},
};

/* --- streams ---------------------------------------------------------------------------------- */

/* What the command that opens a stream knows of its terminal and environment. */
#define PARAM_SIDE(the_name, the_default, text)                                        \
	{                                                                              \
		.name = the_name, .type = SCHEMA_INTEGER, .flags = SCHEMA_INTERNAL,    \
		.limited = true, .min = 0, .max = 65535, .default_value = the_default, \
		.description = text,                                                   \
	}

#define STREAM_PARAMS                                               \
	{                                                           \
		.name = "tty",                                      \
		.type = SCHEMA_BOOLEAN,                             \
		.flags = SCHEMA_INTERNAL,                           \
		.default_value = "0",                               \
		.description = "Give it a terminal",                \
	},                                                          \
		PARAM_SIDE("rows", "24", "Height of the terminal"), \
		PARAM_SIDE("cols", "80", "Width of the terminal")

#define PARAM_KEEP_ENV PARAM_FLAG("keep-env", "1", "Hand over the environment")

#define PARAM_ENV                                                                      \
	{                                                                              \
		.name = "env", .type = SCHEMA_STRING, .flags = SCHEMA_INTERNAL,        \
		.length_max = ENV_LENGTH_MAX,                                          \
		.description = "The caller's environment, a JSON array of NAME=VALUE", \
	}

static const SchemaOption exec_params[] = {
	{
		.name = "command",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_POSITIONAL | SCHEMA_REQUIRED | SCHEMA_MULTIPLE,
		.length_max = COMMAND_LENGTH_MAX,
		.format_description = "<program> [<argument>...]",
		.check = check_command,
		.description = "Program and its arguments",
	},
	PARAM_ENV,
	PARAM_KEEP_ENV,
	STREAM_PARAMS,
	{0},
};

static const SchemaOption enter_params[] = {
	PARAM_ENV,
	PARAM_KEEP_ENV,
	STREAM_PARAMS,
	{0},
};

static const SchemaOption console_params[] = {
	{
		.name = "escape",
		.type = SCHEMA_STRING,
		.length_max = 2,
		.default_value = "^a",
		.format_description = "\\^?[a-z]",
		.check = check_escape,
		.description = "Prefix of the escape sequence; followed by q it leaves the console",
	},
	STREAM_PARAMS,
	{0},
};

/* --- tasks ------------------------------------------------------------------------------------ */

static const char *const task_sources[] = {"active", "all", "archive", NULL};

static const SchemaOption tasks_params[] = {
	PARAM_FLAG("errors", "0", "Only tasks that failed"),
	PARAM_COUNT("limit", 1000, "50", "How many at most"),
	{
		.name = "source",
		.type = SCHEMA_ENUM,
		.values = task_sources,
		.default_value = "archive",
		.description = "Running, finished, or all tasks",
	},
	PARAM_COUNT("start", 1e6, "0", "How many to leave out"),
	PARAM_TEXT("typefilter", 64, "Only tasks of this type"),
	PARAM_VMID(0, "Only tasks of this container"),
	{0},
};

static const SchemaOption task_log_params[] = {
	PARAM_COUNT("limit", 5000, "50", "How many lines at most"),
	PARAM_COUNT("start", 1e9, "0", "Number of the first line, from 0"),
	PARAM_FLAG("wait", "0", "Answer only when there is a line, or the task is over"),
	{0},
};

/* --- storage ---------------------------------------------------------------------------------- */

static const SchemaOption storages_params[] = {
	PARAM_TEXT("content", 256, "Only storages for this content"),
	PARAM_FLAG("enabled", "0", "Only enabled ones"),
	PARAM_STORAGE(0, "Only this one"),
	{0},
};

static const SchemaOption content_params[] = {
	PARAM_TEXT("content", 256, "Only volumes of this content type"),
	PARAM_VMID(0, "Only volumes of this container"),
	{0},
};

static const SchemaOption alloc_params[] = {
	{
		.name = "filename",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		.length_max = 255,
		.description = "Name of the volume; empty: choose one",
	},
	{
		.name = "size",
		.type = SCHEMA_STRING,
		.flags = SCHEMA_REQUIRED,
		.length_max = 32,
		.format_description = "\\d+[MG]?",
		.description = "Size in KiB, or with M or G",
	},
	PARAM_VMID(SCHEMA_REQUIRED, "Container that it is for"),
	{0},
};

/* --- the table -------------------------------------------------------------------------------- */

#define CT "/nodes/{node}/lxc/{vmid}"

const ApiMethod api_methods[] = {
	{"GET", "/version", API_READ, NULL, NULL, NULL, "Version of the agent"},

	{"GET", "/cluster/nextid", API_READ, NULL, nextid_params, NULL, "Lowest free container id"},
	{"GET", "/cluster/resources", API_READ, NULL, resources_params, NULL,
		"Nodes, containers and storages of the cluster"},
	{"GET", "/cluster/status", API_READ, NULL, NULL, NULL, "Quorum and members"},
	{"GET", "/nodes", API_READ, NULL, NULL, NULL, "Nodes of the cluster"},

	{"GET", "/nodes/{node}/lxc", API_READ, NULL, NULL, NULL, "Containers of the node"},
	{"POST", "/nodes/{node}/lxc", API_TASK, "vzcreate", create_params, ct_options,
		"Make a container from a template"},
	{"DELETE", CT, API_TASK, "vzdestroy", destroy_params, NULL,
		"Delete a container and its volumes"},
	{"GET", CT "/config", API_READ, NULL, config_params, NULL,
		"Configuration, pending changes merged in"},
	{"PUT", CT "/config", API_WORKER, "set", set_params, ct_options,
		"Change the configuration"},
	{"GET", CT "/pending", API_READ, NULL, NULL, NULL,
		"Configuration with current, new and to-be-deleted values"},
	{"GET", CT "/status/current", API_READ, NULL, NULL, NULL, "State of a container"},
	{"POST", CT "/status/start", API_TASK, "vzstart", start_params, NULL, "Start a container"},
	{"POST", CT "/status/stop", API_TASK, "vzstop", stop_params, NULL,
		"Kill a container at once"},
	{"POST", CT "/status/shutdown", API_TASK, "vzshutdown", shutdown_params, NULL,
		"Shut a container down"},
	{"POST", CT "/status/reboot", API_TASK, "vzreboot", reboot_params, NULL,
		"Shut down and start, applying pending changes"},

	/* These four have no path in the API that ours follows: there, they exist on the command
	 * line only. */
	{"POST", CT "/unlock", API_WORKER, "unlock", NULL, NULL, "Drop the lock property"},
	{"GET", CT "/exec", API_STREAM, "exec", exec_params, NULL,
		"Run a program inside a running container"},
	{"GET", CT "/enter", API_STREAM, "enter", enter_params, NULL,
		"Root shell inside a running container"},
	{"GET", CT "/console", API_STREAM, "console", console_params, NULL,
		"Attach to the console of a container"},

	{"GET", "/nodes/{node}/tasks", API_READ, NULL, tasks_params, NULL, "Tasks of the node"},
	{"DELETE", "/nodes/{node}/tasks/{upid}", API_READ, NULL, NULL, NULL, "Abort a task"},
	{"GET", "/nodes/{node}/tasks/{upid}/status", API_READ, NULL, NULL, NULL, "State of a task"},
	{"GET", "/nodes/{node}/tasks/{upid}/log", API_READ, NULL, task_log_params, NULL,
		"Log of a task"},

	{"GET", "/nodes/{node}/storage", API_READ, NULL, storages_params, NULL,
		"Storages of the node, with state and space"},
	{"GET", "/nodes/{node}/storage/{storage}/status", API_READ, NULL, NULL, NULL,
		"State and space of a storage"},
	{"GET", "/nodes/{node}/storage/{storage}/content", API_READ, NULL, content_params, NULL,
		"Volumes of a storage; templates with content=vztmpl"},
	{"POST", "/nodes/{node}/storage/{storage}/content", API_WORKER, "imgalloc", alloc_params,
		NULL, "Make a volume"},
	{"GET", "/nodes/{node}/storage/{storage}/content/{volume}", API_READ, NULL, NULL, NULL,
		"A volume and its path on the node"},
	{"DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", API_TASK, "imgdel", NULL,
		NULL, "Delete a volume"},
	{0},
};

const ApiMethod *api_method_find(const char *verb, const char *path_pattern)
{
	assert(verb);
	assert(path_pattern);

	for (const ApiMethod *method = api_methods; method->verb; method++) {
		if (str_equal(method->verb, verb) && str_equal(method->path, path_pattern))
			return method;
	}
	return NULL;
}
