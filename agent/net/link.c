/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/net/link.h"

#include <net/if.h>
#include <string.h>

#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include "base/err.h"
#include "base/macro.h"

typedef struct nl_sock NlSocket;
typedef struct rtnl_link NlLink;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlSocket, nl_socket_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlLink, rtnl_link_put)

/* libnl's codes as ours, as far as they mean something to a caller. */
static int from_nl(int code)
{
	switch (-code) {
	case NLE_OBJ_NOTFOUND:
	case NLE_NODEV:
		return -ENOENT;
	case NLE_PERM:
		return -EPERM;
	case NLE_RANGE:
		return -ERANGE;
	default:
		return -EIO;
	}
}

static int set_nl_error(GError **err, int code, const char *what, const char *name)
{
	int r = from_nl(code);

	return err_set(err, -r, "%s '%s': %s", what, name, nl_geterror(code));
}

static int open_socket(NlSocket **ret, GError **err)
{
	g_autoptr(NlSocket) sock = nl_socket_alloc();
	int code;

	if (!sock)
		return err_set(err, ENOMEM, "cannot talk to the kernel about network links");
	code = nl_connect(sock, NETLINK_ROUTE);
	if (code < 0)
		return err_set(err, EIO, "cannot talk to the kernel about network links: %s",
			nl_geterror(code));

	*ret = g_steal_pointer(&sock);
	return 0;
}

static int get_bridge(NlSocket *sock, const char *name, NlLink **ret, GError **err)
{
	g_autoptr(NlLink) link = NULL;
	int code;

	code = strlen(name) > LINK_NAME_MAX ? -NLE_NODEV
					    : rtnl_link_get_kernel(sock, 0, name, &link);
	if (from_nl(code) == -ENOENT)
		return err_set(err, ENOENT, "bridge '%s' does not exist", name);
	if (code < 0)
		return set_nl_error(err, code, "cannot look at bridge", name);
	if (!str_equal(rtnl_link_get_type(link), "bridge"))
		return err_set(err, EINVAL, "'%s' is not a bridge", name);

	*ret = g_steal_pointer(&link);
	return 0;
}

int link_require_bridge(const char *name, GError **err)
{
	g_autoptr(NlSocket) sock = NULL;
	g_autoptr(NlLink) bridge = NULL;
	int r;

	assert(name);

	r = open_socket(&sock, err);
	if (r < 0)
		return r;
	return get_bridge(sock, name, &bridge, err);
}

int link_delete(const char *name, GError **err)
{
	g_autoptr(NlSocket) sock = NULL;
	g_autoptr(NlLink) link = NULL;
	int code;
	int r;

	assert(name);

	r = open_socket(&sock, err);
	if (r < 0)
		return r;
	code = rtnl_link_get_kernel(sock, 0, name, &link);
	if (code >= 0)
		code = rtnl_link_delete(sock, link);
	if (code < 0 && from_nl(code) != -ENOENT)
		return set_nl_error(err, code, "cannot remove network link", name);
	return 0;
}
