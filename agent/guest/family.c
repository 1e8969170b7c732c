/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "base/macro.h"

static const GuestFamily *const complete_families[] = {
	&guest_family_debian,
	&guest_family_devuan,
	&guest_family_unmanaged,
};

static const GuestFamily common_families[] = {
	{.ostype = "alpine"},
	{.ostype = "archlinux", .tty_directory = true},
	{.ostype = "centos", .tty_directory = true},
	{.ostype = "fedora", .tty_directory = true},
	{.ostype = "gentoo"},
	{.ostype = "nixos", .tty_directory = true},
	{.ostype = "openeuler", .tty_directory = true},
	{.ostype = "opensuse", .tty_directory = true},
	{.ostype = "ubuntu"},
};

const GuestFamily *guest_family_find(const char *ostype)
{
	assert(ostype);

	for (unsigned i = 0; i < G_N_ELEMENTS(complete_families); i++)
		if (str_equal(complete_families[i]->ostype, ostype))
			return complete_families[i];
	for (unsigned i = 0; i < G_N_ELEMENTS(common_families); i++)
		if (str_equal(common_families[i].ostype, ostype))
			return &common_families[i];

	return NULL;
}

bool guest_family_is_complete(const GuestFamily *family)
{
	assert(family);

	return family->unmanaged || (family->setup_init && family->setup_network);
}

const char *guest_tty_directory(const GuestRun *run)
{
	bool privileged = !ct_section_get_boolean(run->section, "unprivileged");

	return (privileged && run->family->tty_directory) ? "lxc/" : "";
}

unsigned guest_n_ttys(const GuestRun *run)
{
	const char *value = ct_section_get(run->section, "tty");
	long long n = value ? ct_section_get_integer(run->section, "tty") : GUEST_TTYS_DEFAULT;

	return (unsigned)CLAMP(n, 0, GUEST_TTYS_MAX);
}
