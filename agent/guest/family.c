/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/family.h"

#include "base/macro.h"

static const GuestFamily *const families[] = {
	&guest_family_alpine,
	&guest_family_archlinux,
	&guest_family_centos,
	&guest_family_debian,
	&guest_family_devuan,
	&guest_family_fedora,
	&guest_family_gentoo,
	&guest_family_nixos,
	&guest_family_openeuler,
	&guest_family_opensuse,
	&guest_family_ubuntu,
	&guest_family_unmanaged,
};

const GuestFamily *guest_family_find(const char *ostype)
{
	assert(ostype);

	for (unsigned i = 0; i < G_N_ELEMENTS(families); i++)
		if (str_equal(families[i]->ostype, ostype))
			return families[i];

	return NULL;
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
