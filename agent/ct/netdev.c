/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/netdev.h"

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

int ct_netdev_dup_bridge(const CtSection *section, unsigned index, char **ret_bridge, GError **err)
{
	g_autofree char *key = g_strdup_printf("net%u", index);
	const char *text = ct_section_get(section, key);
	g_autoptr(PropString) props = NULL;
	int r;

	assert(index < CT_NET_MAX);

	if (!text)
		return err_set(err, ENOENT, "%s is not set", key);
	r = propstring_parse(ct_net_props, SCHEMA_FILE, text, &props, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	if (!propstring_get(props, "bridge"))
		return err_set(err, EINVAL, "%s: no bridge is given", key);

	*ret_bridge = g_strdup(propstring_get(props, "bridge"));
	return 0;
}

/* The name of an interface inside, owned by the caller; NULL when it is not set or broken. */
static char *dup_name(const CtSection *section, unsigned index)
{
	g_autofree char *key = g_strdup_printf("net%u", index);
	const char *text = ct_section_get(section, key);
	g_autoptr(PropString) props = NULL;

	if (!text || propstring_parse(ct_net_props, SCHEMA_FILE, text, &props, NULL) < 0)
		return NULL;
	return g_strdup(propstring_get(props, "name"));
}

int ct_netdev_check_name(const CtSection *section, unsigned index, GError **err)
{
	g_autofree char *name = dup_name(section, index);

	assert(index < CT_NET_MAX);

	for (unsigned i = 0; name && i < CT_NET_MAX; i++) {
		g_autofree char *other = (i != index) ? dup_name(section, i) : NULL;

		if (str_equal(name, other))
			return err_set(err, EINVAL, "name '%s' is that of net%u too", name, i);
	}
	return 0;
}

char *ct_netdev_dup_link(unsigned vmid, unsigned index)
{
	return g_strdup_printf("veth%ui%u", vmid, index);
}
