/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api/recovery.h"

#include <fcntl.h>

#include "agent/ct/quorum.h"
#include "agent/ct/undo.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/paths.h"

/* In a directory that is empty after a boot: `startall` has been started since. */
#define BOOT_MARK PATH_RUN "/started"

static int start_task(Agent *agent, const char *type, unsigned vmid, json_t *params)
{
	TaskRequest request = {.type = type, .vmid = vmid, .user = "root@pam", .params = params};
	g_autofree char *upid = NULL;
	g_autoptr(GError) err = NULL;
	int r = task_start(agent->tasks, &request, &upid, &err);

	if (r < 0)
		log_err("Cannot start task %s for CT %u: %s", type, vmid, err->message);
	return r;
}

static void start_recover(Agent *agent, const char *type, unsigned vmid, const char *upid)
{
	json_auto_t *params = json_pack("{s:s*, s:s*}", "type", type, "upid", upid);

	assert(params);
	(void)start_task(agent, "recover", vmid, params);
}

static bool is_locked_by_creation(Agent *agent, unsigned vmid)
{
	g_autoptr(CtConfig) config = NULL;

	if (ct_file_load(&agent->store, NULL, vmid, &config, NULL, NULL, NULL) < 0)
		return false;
	return str_equal(ct_section_get(ct_config_current(config), "lock"), "create");
}

/* What earlier agents and their workers have left. */
static void scan(Agent *agent)
{
	g_autoptr(GArray) noted = undo_list();
	g_autoptr(GArray) ids = NULL;
	g_autoptr(GError) err = NULL;

	/* A container that got its recovery already is busy with it. */
	for (unsigned i = 0; i < noted->len; i++) {
		unsigned vmid = g_array_index(noted, unsigned, i);

		if (!task_set_busy(agent->tasks, vmid))
			start_recover(agent, NULL, vmid, NULL);
	}

	if (ct_file_list(&agent->store, NULL, &ids, &err) < 0) {
		log_warning("Cannot look for unfinished containers: %s", err->message);
		return;
	}
	for (unsigned i = 0; i < ids->len; i++) {
		unsigned vmid = g_array_index(ids, unsigned, i);

		if (!task_set_busy(agent->tasks, vmid) && is_locked_by_creation(agent, vmid))
			start_recover(agent, "vzcreate", vmid, NULL);
	}
}

static void start_all(Agent *agent)
{
	json_auto_t *params = json_object();
	int fd = open(BOOT_MARK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		if (errno != EEXIST)
			log_warning_errno(-errno, "Cannot make '%s'", BOOT_MARK);
		return;
	}
	(void)close(fd);
	(void)start_task(agent, "startall", 0, params);
}

static void begin(Agent *agent)
{
	scan(agent);
	start_all(agent);
}

static void on_store_changed(void *data)
{
	Agent *agent = data;

	if (quorum_require(NULL) < 0)
		return;
	agent->watch = store_watch_free(agent->watch);
	begin(agent);
}

static void wait_for_quorum(Agent *agent)
{
	if (agent->watch)
		return;
	log_notice("Cleaning up and starting containers wait for quorum");
	agent->watch = store_watch_new(on_store_changed, agent);
}

void recovery_start(Agent *agent, const char *type, unsigned vmid, const char *upid)
{
	assert(agent);

	if (vmid == 0 || str_equal(type, "recover"))
		return;
	if (quorum_require(NULL) < 0)
		wait_for_quorum(agent);
	else
		start_recover(agent, type, vmid, upid);
}

void recovery_begin(Agent *agent)
{
	assert(agent);

	if (quorum_require(NULL) < 0)
		wait_for_quorum(agent);
	else
		begin(agent);
}

void recovery_end(Agent *agent)
{
	assert(agent);

	agent->watch = store_watch_free(agent->watch);
}
