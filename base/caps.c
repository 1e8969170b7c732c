/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include "base/macro.h"

static bool is_listed(int capability, const int *capabilities, unsigned n_capabilities)
{
	for (unsigned i = 0; i < n_capabilities; i++)
		if (capabilities[i] == capability)
			return true;

	return false;
}

/* Bounds what a later execve() may give; needs CAP_SETPCAP, without which there is nothing that
 * this process could gain either once no_new_privs is set. */
static int drop_bounding(const int *capabilities, unsigned n_capabilities)
{
	for (int capability = 0; cap_get_bound(capability) >= 0; capability++) {
		if (is_listed(capability, capabilities, n_capabilities))
			continue;
		if (cap_drop_bound(capability) < 0 && errno != EPERM)
			return -errno;
	}

	return 0;
}

static int set_process(cap_t wanted, const int *capabilities, unsigned n_capabilities)
{
	cap_t present = cap_get_proc();
	int r = present ? 0 : -errno;

	for (unsigned i = 0; r == 0 && i < n_capabilities; i++) {
		cap_flag_value_t value = CAP_CLEAR;

		if (cap_get_flag(present, capabilities[i], CAP_PERMITTED, &value) < 0 ||
			cap_set_flag(wanted, CAP_PERMITTED, 1, &capabilities[i], value) < 0 ||
			cap_set_flag(wanted, CAP_EFFECTIVE, 1, &capabilities[i], value) < 0)
			r = -errno;
	}

	if (r == 0 && cap_set_proc(wanted) < 0)
		r = -errno;
	(void)cap_free(present);
	return r;
}

int caps_keep(const int *capabilities, unsigned n_capabilities)
{
	cap_t wanted;
	int r;

	assert(capabilities || n_capabilities == 0);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = drop_bounding(capabilities, n_capabilities);
	if (r < 0)
		return r;

	wanted = cap_init();
	if (!wanted)
		return -errno;
	r = set_process(wanted, capabilities, n_capabilities);
	(void)cap_free(wanted);
	return r;
}

int caps_set_effective(bool on)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t permitted;
	int r = caps ? 0 : -errno;

	for (cap_value_t cap = 0; r == 0 && cap_get_flag(caps, cap, CAP_PERMITTED, &permitted) == 0;
		cap++)
		if (permitted == CAP_SET &&
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, on ? CAP_SET : CAP_CLEAR) < 0)
			r = -errno;
	if (r == 0 && cap_set_proc(caps) < 0)
		r = -errno;
	(void)cap_free(caps);
	return r;
}
