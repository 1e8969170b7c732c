/* SPDX-License-Identifier: Apache-2.0 */

/* exec: runs a program inside a running container.  enter: a shell of its root.  console: connects
 * with its console.  All three live on the user's streams (standard input, output, error of this
 * worker); the result is the exit status. */

#include <stdlib.h>
#include <string.h>

#include "agent/ct/config.h"
#include "agent/ct/ct_jobs.h"
#include "agent/ct/ctfile.h"
#include "agent/ct/lifecycle.h"
#include "agent/ct/lxc.h"
#include "base/err.h"
#include "base/macro.h"

/* What `env` may hold: as many variables as a shell has, and then some. */
#define ENV_COUNT_MAX 4096

/* A parameter that is a JSON array of strings, as a NULL-terminated array owned by the caller. */
static int parse_strings(const Job *job, const char *name, char ***ret, GError **err)
{
	const char *text = job_param(job, name);
	json_auto_t *array = text ? json_loads(text, 0, NULL) : NULL;
	g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
	json_t *item;
	size_t i;

	if (!json_is_array(array))
		return err_set(err, EINVAL, "%s: value must be a JSON array of strings", name);
	json_array_foreach(array, i, item) {
		if (!json_is_string(item))
			return err_set(
				err, EINVAL, "%s: value must be a JSON array of strings", name);
		g_ptr_array_add(strings, g_strdup(json_string_value(item)));
	}

	g_ptr_array_add(strings, NULL);
	*ret = (char **)g_ptr_array_free(g_steal_pointer(&strings), FALSE);
	return 0;
}

/* Makes the user's environment ours: liblxc hands on what the caller has.  This process has only
 * the agent's, which is nobody's business inside. */
static int take_environment(const Job *job, bool keep_env, GError **err)
{
	g_auto(GStrv) variables = NULL;
	g_autofree char *term = NULL;
	int r;

	if (job_param(job, "env")) {
		r = parse_strings(job, "env", &variables, err);
		if (r < 0)
			return r;
		if (g_strv_length(variables) > ENV_COUNT_MAX)
			return err_set(err, E2BIG, "env: more than %u variables", ENV_COUNT_MAX);
	}

	r = RET_ERRNO(clearenv());
	assert(r == 0);
	for (unsigned i = 0; variables && variables[i]; i++) {
		char *equals = strchr(variables[i], '=');

		if (!equals || equals == variables[i])
			return err_set(err, EINVAL, "env: '%s' is not NAME=VALUE", variables[i]);
		*equals = '\0';
		/* The kind of terminal is of use whatever else the user leaves outside. */
		if (keep_env || str_equal(variables[i], "TERM"))
			(void)g_setenv(variables[i], equals + 1, TRUE);
	}
	if (!g_getenv("PATH"))
		(void)g_setenv("PATH",
			"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
	return 0;
}

static int attach(Job *job, const char *const *argv, json_t **ret_result, GError **err)
{
	CtLxcCommand command = {
		.argv = argv,
		.keep_env = job_param_boolean(job, "keep-env", true),
		.aborted = job->aborted,
	};
	int status;
	int r;

	r = lifecycle_require_running(job->vmid, err);
	if (r < 0)
		return r;
	r = take_environment(job, command.keep_env, err);
	if (r < 0)
		return r;
	r = ct_lxc_attach(job->vmid, &command, &status, err);
	if (r < 0)
		return r;

	*ret_result = json_integer(status);
	return 0;
}

int job_exec(Job *job, json_t **ret_result, GError **err)
{
	g_auto(GStrv) argv = NULL;
	int r;

	r = parse_strings(job, "command", &argv, err);
	if (r < 0)
		return r;
	if (!argv[0])
		return err_set(err, EINVAL, "no program is given");
	return attach(job, (const char *const *)argv, ret_result, err);
}

int job_enter(Job *job, json_t **ret_result, GError **err)
{
	return attach(job, NULL, ret_result, err);
}

int job_console(Job *job, json_t **ret_result, GError **err)
{
	const char *escape = job_param(job, "escape");
	CtStore store = ct_store_local(job->node);
	g_autoptr(CtConfig) config = NULL;
	const char *cmode;
	char letter = 'a';
	int r;

	r = ct_file_load(&store, NULL, job->vmid, &config, NULL, NULL, err);
	if (r < 0)
		return r;
	r = lifecycle_require_running(job->vmid, err);
	if (r < 0)
		return r;

	cmode = ct_section_get(ct_config_current(config), "cmode");
	if (str_equal(cmode, "shell"))
		return attach(job, NULL, ret_result, err);

	if (escape && *escape)
		letter = escape[strlen(escape) - 1];
	r = ct_lxc_console(job->vmid, str_equal(cmode, "console") ? 0 : -1, letter, err);
	if (r < 0)
		return r;
	*ret_result = json_integer(0);
	return 0;
}
