/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Steps of set-up that write the guest's network configuration, one for each kind of files that
 * distributions have. */

#include "agent/guest/family.h"

/* /etc/network/interfaces; flags are InterfacesFlags. */
int netfiles_write_interfaces(GuestRun *run, unsigned flags, GError **err);

/* /etc/systemd/network/NAME.network */
int netfiles_write_networkd(GuestRun *run, GError **err);

/* /etc/sysconfig/network-scripts/ifcfg-NAME, route-NAME and route6-NAME */
int netfiles_write_redhat(GuestRun *run, GError **err);

/* /etc/NetworkManager/system-connections/NAME.nmconnection */
int netfiles_write_networkmanager(GuestRun *run, GError **err);

/* /etc/sysconfig/network/ifcfg-NAME and ifroute-NAME */
int netfiles_write_suse(GuestRun *run, GError **err);

/* /etc/conf.d/net and the links net.NAME to its init script */
int netfiles_write_netifrc(GuestRun *run, GError **err);
