/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/netdev.h"

#include "agent/ct/options.h"
#include "base/err.h"
#include "base/macro.h"
#include "base/propstring.h"

char *ct_netdev_dup_link(unsigned vmid, unsigned index)
{
	return g_strdup_printf("veth%ui%u", vmid, index);
}

int ct_netdev_parse_link(const char *link, unsigned vmid, unsigned *ret_index)
{
	for (unsigned i = 0; i < CT_NET_MAX; i++) {
		g_autofree char *candidate = ct_netdev_dup_link(vmid, i);

		if (str_equal(link, candidate)) {
			*ret_index = i;
			return 0;
		}
	}
	return -EINVAL;
}

int ct_netdev_get(const CtSection *section, unsigned index, CtNetdev **ret, GError **err)
{
	g_autofree char *key = g_strdup_printf("net%u", index);
	const char *text = ct_section_get(section, key);
	g_autoptr(PropString) props = NULL;
	CtNetdev *netdev;
	int r;

	assert(index < CT_NET_MAX);

	if (!text)
		return err_set(err, ENOENT, "%s is not set", key);
	r = propstring_parse(ct_net_props, SCHEMA_FILE, text, &props, err);
	if (r < 0)
		return err_prefix(err, r, "%s", key);
	if (!propstring_get(props, "bridge"))
		return err_set(err, EINVAL, "%s: no bridge is given", key);

	netdev = g_new0(CtNetdev, 1);
	netdev->name = g_strdup(propstring_get(props, "name"));
	netdev->bridge = g_strdup(propstring_get(props, "bridge"));
	netdev->mtu = (unsigned)propstring_get_integer(props, "mtu", 0);
	netdev->link_down = propstring_get_boolean(props, "link_down", false);
	*ret = netdev;
	return 0;
}

CtNetdev *ct_netdev_free(CtNetdev *netdev)
{
	if (netdev) {
		g_free(netdev->name);
		g_free(netdev->bridge);
		g_free(netdev);
	}
	return NULL;
}
