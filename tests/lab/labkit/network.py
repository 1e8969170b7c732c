# SPDX-License-Identifier: Apache-2.0
"""The lab's wires: a network namespace that plays the switch.

Two bridges stand in it.  `ring` joins the nodes' eth0, the cluster network; `wire` joins their
eth1, which is a port of vmbr0 inside each node, so that containers of different nodes see each
other.  A partition moves ports of the ring to bridges of their own; single connections are cut by
the packet filter.
"""

import ipaddress
import os

from .run import LabError, run

RING = ipaddress.ip_network("10.77.0.0/24")
WIRE = ipaddress.ip_network("10.0.0.0/24")


def ring_address(number):
    return str(RING[number])


def wire_address(number):
    return str(WIRE[number])


def mac_address(kind, number):
    return f"02:00:00:00:{kind:02x}:{number:02x}"


class Switch:
    """The switch of one lab, held by the file its namespace is bound to."""

    def __init__(self, path):
        self.path = path

    def command(self, argv):
        """argv to run a program inside the switch."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def _ip(self, *lines, check=True):
        """Runs lines of `ip`, in one process."""
        force = [] if check else ["-force"]
        return run(self.command(["ip", *force, "-batch", "-"]), stdin="\n".join(lines) + "\n",
                   check=check)

    def create(self):
        self.path.touch()
        run(["unshare", f"--net={self.path}", "true"])
        self._ip("link set lo up",
                 "link add ring type bridge", "link set ring up",
                 "link add wire type bridge", "link set wire up")

    def remove(self):
        """Also after half a create()."""
        if not self.path.exists():
            return
        if os.path.ismount(self.path) or _is_bound(self.path):
            run(["umount", str(self.path)])
        self.path.unlink()

    def plug(self, node, number, pid, ring):
        """Gives the network namespace of process pid its eth0 and eth1."""
        self._ip(f"link add r-{node} type veth peer name eth0 netns {pid}",
                 f"link add w-{node} type veth peer name eth1 netns {pid}",
                 f"link set r-{node} master {ring} up",
                 f"link set w-{node} master wire up")
        run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", "ip", "-batch", "-"], stdin="\n".join([
            "link set lo up",
            f"link set eth0 address {mac_address(1, number)} up",
            f"address add {ring_address(number)}/{RING.prefixlen} dev eth0",
            f"link add vmbr0 address {mac_address(2, number)} type bridge",
            "link set eth1 master vmbr0 up",
            "link set vmbr0 up",
            f"address add {wire_address(number)}/{WIRE.prefixlen} dev vmbr0",
        ]) + "\n")

    def add_taps(self, node, ring):
        """Makes the tap devices that a virtual machine's eth1 and eth2 are plugged into."""
        self._ip(f"tuntap add dev r-{node} mode tap", f"tuntap add dev w-{node} mode tap",
                 f"link set r-{node} master {ring} up", f"link set w-{node} master wire up")

    def unplug(self, node):
        """Removes the node's ports, if any are left.  They mostly go with the node's namespace."""
        self._ip(f"link del r-{node}", f"link del w-{node}", check=False)

    def arrange(self, groups):
        """Joins the nodes of each group, apart from the others.  Ports of nodes that are off come
        back where ring_of() says."""
        present = self.ports()
        for number, group in enumerate(groups):
            if number:
                self._ip(f"link add {ring_of(number)} type bridge",
                         f"link set {ring_of(number)} up", check=False)
            for node in group:
                if f"r-{node}" in present:
                    self._ip(f"link set r-{node} master {ring_of(number)}")
        for name in present:
            if name.startswith("ring") and name not in [ring_of(i) for i in range(len(groups))]:
                self._ip(f"link del {name}")

    def sever(self, pairs):
        """Drops all packets of the ring that go from the first to the second node of a pair, and
        lets pass what it dropped before."""
        rules = ["table bridge lab", "delete table bridge lab", "table bridge lab {",
                 "chain forward { type filter hook forward priority 0;"]
        rules += [f'iifname "r-{sender}" oifname "r-{receiver}" drop' for sender, receiver in pairs]
        run(self.command(["nft", "-f", "-"]), stdin="\n".join([*rules, "}", "}"]) + "\n")

    def ports(self):
        """The names of all links in the switch."""
        lines = run(self.command(["ip", "-o", "link", "show"])).splitlines()
        return [line.split(": ")[1].split("@")[0] for line in lines]


def _is_bound(path):
    """Whether something is mounted on a file; os.path.ismount() compares devices and so misses a
    namespace below the same nsfs."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return any(line.split()[4] == str(path) for line in mounts)


def ring_of(group):
    """The bridge of the n-th group of a partition; the first one keeps the ring."""
    return f"ring{group}" if group else "ring"


def parse_groups(words, nodes):
    """Groups from words like `n1,n2 | n3`.  Nodes not named form a group of their own."""
    groups = []
    named = []
    for part in " ".join(words).split("|"):
        group = part.replace(",", " ").split()
        for node in group:
            if node not in nodes:
                raise LabError(f"this lab has no node '{node}'")
            if node in named:
                raise LabError(f"node '{node}' is named twice")
            named.append(node)
        if group:
            groups.append(group)
    rest = [node for node in nodes if node not in named]
    if rest:
        groups.append(rest)
    if len(groups) < 2:
        raise LabError("a partition needs two groups: lab partition n1,n2 '|' n3")
    return groups
