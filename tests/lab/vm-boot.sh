#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run at every boot of a virtual machine node, with the lab's directory on /mnt/lab: takes on the
# node's name and addresses, installs the lab's build, starts its services, and says so on the
# serial console, where the lab waits for the line.
set -eu

for word in $(cat /proc/cmdline); do
	case $word in
	lab.node=*) name=${word#lab.node=} ;;
	lab.number=*) number=${word#lab.number=} ;;
	esac
done

trap 'echo "lab: node $name failed to boot" >/dev/ttyS0' EXIT

mount -t 9p -o trans=virtio,version=9p2000.L shared /mnt/shared
if [ ! -e /etc/lab-node ]; then
	# The first boot.  Debian's example would make the node a cluster of its own.
	rm -f /etc/corosync/corosync.conf
	cp -a "/mnt/lab/nodes/$name/etc/." /etc/
	echo "$name" >/etc/lab-node
fi
hostname "$name"

ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip link set eth1 up
ip address add "10.77.0.$number/24" dev eth1
ip link add vmbr0 type bridge
ip link set eth2 master vmbr0 up
ip link set vmbr0 up
ip address add "10.0.0.$number/24" dev vmbr0

if [ -d /mnt/lab/staging ]; then
	cp -a /mnt/lab/staging/. /
	systemctl daemon-reload
fi
# One that does not start is for the lab to tell, as of any other node.
for unit in corosync.service atoll-cfs.service atolld.service; do
	if systemctl cat "$unit" >/dev/null 2>&1; then
		systemctl start "$unit" || true
	fi
done
trap - EXIT
echo "lab: node $name is up" >/dev/ttyS0
