/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/guest_child.h"

#include "agent/guest/common.h"
#include "agent/guest/detect.h"
#include "agent/guest/family.h"
#include "agent/guest/guestnet.h"
#include "agent/guest/hostkeys.h"
#include "base/err.h"
#include "base/macro.h"

/* Steps of one phase at most. */
#define STEPS_MAX 16

static int run_optional(GuestStep step, GuestRun *run, GError **err)
{
	return step ? step(run, err) : 0;
}

static int fix_template(GuestRun *run, GError **err)
{
	return run_optional(run->family->fix_template, run, err);
}

static int reset_secrets(GuestRun *run, GError **err)
{
	return run_optional(run->family->reset_secrets, run, err);
}

static int set_hostname(GuestRun *run, GError **err)
{
	GuestStep step = run->family->set_hostname;
	int r;

	r = step ? step(run, err) : common_set_hostname(run, err);
	return (r < 0) ? r : common_set_hosts(run, err);
}

static int setup_init(GuestRun *run, GError **err)
{
	return run_optional(run->family->setup_init, run, err);
}

static int setup_network(GuestRun *run, GError **err)
{
	return run_optional(run->family->setup_network, run, err);
}

static const GuestStep steps[GUEST_N_PHASES][STEPS_MAX] = {
	[GUEST_PHASE_POST_CREATE] =
		{
			common_reset_machine_id,
			reset_secrets,
			fix_template,
			common_spread_crontabs,
			common_set_root_password,
			common_set_ssh_keys,
			setup_init,
			setup_network,
			set_hostname,
			common_set_dns,
			common_set_timezone,
			common_check_nesting,
		},
	[GUEST_PHASE_PRE_START] =
		{
			common_write_fastboot,
			setup_init,
			setup_network,
			set_hostname,
			common_set_dns,
			common_set_timezone,
			common_check_nesting,
		},
	[GUEST_PHASE_POST_CLONE] =
		{
			common_reset_machine_id_of_clone,
			common_check_nesting,
		},
	[GUEST_PHASE_TEMPLATE_FIXUP] =
		{
			fix_template,
		},
	[GUEST_PHASE_NETWORK] =
		{
			setup_network,
		},
};

void guest_found_clear(GuestFound *found)
{
	g_free(found->version);
	*found = (GuestFound){0};
}

int guest_child_detect(const GuestRoot *root, const char *forced_ostype, GuestFound *ret,
	GPtrArray *warnings, GError **err)
{
	GuestFound found = {.ostype = forced_ostype};
	int r;

	assert(root && ret && warnings);

	if (!found.ostype) {
		r = detect_ostype(root, &found.ostype, warnings, err);
		if (r < 0)
			return r;
	}
	r = detect_version(root, found.ostype, &found.version, warnings, err);
	if (r < 0)
		return r;

	found.arch = detect_arch(root, found.ostype, warnings);
	found.has_ssh = guest_root_has_directory(root, "/etc/ssh");
	*ret = found;
	return 0;
}

static int write_host_keys(const GuestRoot *root, const GPtrArray *keys, GError **err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < keys->len; i++) {
		const HostKey *key = keys->pdata[i];
		g_autofree char *public_path = g_strconcat(key->path, ".pub", NULL);

		r = guest_root_write(root, key->path, key->private, 0600, err);
		if (r == 0)
			r = guest_root_write(root, public_path, key->public, 0644, err);
	}

	return r;
}

int guest_child_setup(const GuestRoot *root, GuestPhase phase, const GuestSetup *setup,
	const CtSection *section, const GuestFound *found, const GPtrArray *host_keys,
	GPtrArray *warnings, GError **err)
{
	const GuestFamily *family = guest_family_find(found->ostype);
	g_autoptr(GuestDns) dns = NULL;
	g_autoptr(GPtrArray) nets = NULL;
	GuestRun run;
	int r;

	assert(root && setup && section && warnings);
	assert(phase < GUEST_N_PHASES);

	if (!family)
		return err_set(err, EINVAL, "unknown ostype '%s'", found->ostype);
	if (family->unmanaged)
		return 0;
	r = guest_net_list(section, &nets, err);
	if (r < 0)
		return r;
	dns = guest_dns_new(section, setup->host_resolv_conf);

	run = (GuestRun){
		.root = root,
		.setup = setup,
		.section = section,
		.family = family,
		.ostype = found->ostype,
		.version = found->version,
		.dns = dns,
		.nets = nets,
		.warnings = warnings,
	};
	for (unsigned i = 0; i < STEPS_MAX && steps[phase][i]; i++) {
		r = steps[phase][i](&run, err);
		if (r < 0)
			return r;
	}

	return host_keys ? write_host_keys(root, host_keys, err) : 0;
}
