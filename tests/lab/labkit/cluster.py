# SPDX-License-Identifier: Apache-2.0
"""A lab: its nodes, and what is done to all of them."""

import fcntl
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from . import cgroup, disk, loopdev, network, watchdog
from .node import Node
from .place import BASE, Place
from .run import LabError, wait_for

FORM_TIMEOUT = 60
LOCK_TIMEOUT = 10

# The name of the watchdogs' cgroups, beside those of the nodes.
WATCHDOG = "watchdog"


class Lab:
    """One lab of this machine, by its name."""

    def __init__(self, name="lab"):
        self.name = name
        self.place = Place(name)
        self.switch = network.Switch(self.place.switch)
        self.state = self.place.load()

    # --- what is there ----------------------------------------------------------------------

    @property
    def trees(self):
        return [cgroup.Hierarchy(**tree) for tree in self.state["cgroups"]]

    @property
    def nodes(self):
        self._require()
        return [self._node(name) for name in self.state["nodes"]]

    def node(self, name):
        self._require()
        if name not in self.state["nodes"]:
            raise LabError(f"this lab has no node '{name}' (it has {', '.join(self.state['nodes'])})")
        return self._node(name)

    def _node(self, name):
        number = self.state["nodes"].index(name) + 1
        if self.state["kind"] == "vm":
            from .vm import VmNode  # Only here: the rest works without its programs.
            return VmNode(self, name, number)
        return Node(self, name, number)

    def _require(self):
        if self.state is None:
            raise LabError(f"there is no lab '{self.name}': `lab up` makes one")

    @contextmanager
    def locked(self):
        """One command at a time changes a lab."""
        BASE.mkdir(parents=True, exist_ok=True)
        with open(self.place.lock_file, "w", encoding="utf-8") as lock:
            wait_for(lambda: _try_lock(lock), LOCK_TIMEOUT,
                     f"another command that is at work on lab '{self.name}'")
            self.state = self.place.load()
            yield

    # --- up and down ------------------------------------------------------------------------

    def up(self, count=3, build=None, btrfs=False, cluster=True, kind="namespace"):
        """Makes the lab and brings all nodes up."""
        if self.state is not None:
            raise LabError(f"lab '{self.name}' is there already: `lab down` first")
        if not 1 <= count <= 32:
            raise LabError("a lab has 1 to 32 nodes")
        names = [f"n{number}" for number in range(1, count + 1)]
        # Written before anything is made, so that `down` finds the remains of a broken `up`.
        self.state = {
            "nodes": names, "kind": kind, "btrfs": btrfs, "cluster": cluster, "groups": [names],
            "cgroups": [tree.as_dict() for tree in cgroup.hierarchies()],
        }
        self.place.save(self.state)
        self.place.shared.mkdir()
        if build:
            disk.stage(Path(build), self.place.staging)
        self.switch.create()
        for node in self.nodes:
            node.lay_out(disk.etc_files(self.name, node.name, names, cluster), btrfs)
            node.power_on(wait=False)
        for node in self.nodes:
            node.wait_booted()
        if kind == "namespace":
            self._start_watchdogs()
        self.wait_formed()

    def _start_watchdogs(self):
        """Starts the program that watches over all nodes (watchdog.py).  It has cgroups like a
        node, by which `down` finds it."""
        cgroup.create(self.trees, self.name, WATCHDOG)
        with open(self.place.top / "watchdog.err", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, watchdog.__file__, self.name], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                preexec_fn=lambda: cgroup.join(self.trees, self.name, WATCHDOG, False))
        with process.stdout:
            if process.stdout.readline() != b"ready\n":
                raise LabError(f"the watchdogs do not start: see {log.name}")
        # It lives as long as the lab, and is not ours to wait for.
        process.returncode = 0

    def wait_formed(self, names=None, timeout=FORM_TIMEOUT):
        """Until the named nodes (all, by default) see each other and their services run."""
        nodes = [node for node in self.nodes if names is None or node.name in names]
        for node in nodes:
            node.wait_settled()
            for service in node.services().values():
                if service["state"] == "dead":
                    raise LabError(f"{service['name']} does not run on {node.name}: "
                                   f"{service['why']} (see `lab logs {node.name}`)")
        if self.state["cluster"]:
            for node in nodes:
                wait_for(lambda node=node: ring_members(node) >= len(nodes), timeout,
                         f"{node.name} to see {len(nodes)} nodes in its ring", every=0.2)
        for node in nodes:
            if node.services()["atoll-cfs"]["state"] == "ready":
                wait_for(lambda node=node: store_members(node) >= len(nodes), timeout,
                         f"the store of {node.name} to have {len(nodes)} members", every=0.2)

    def down(self):
        """Removes the lab, also what is left of a broken one.  Goes on past what fails and says
        so at the end."""
        failed = []
        if self.state is not None:
            # First, so that no watchdog fires because its node goes.
            cgroup.kill(self.trees, self.name, WATCHDOG)
            cgroup.remove(self.trees, self.name, WATCHDOG)
            for node in self.nodes:
                try:
                    node.power_off()
                except LabError as error:
                    failed.append(str(error))
        try:
            self.switch.remove()
        except LabError as error:
            failed.append(str(error))
        for device in loopdev.attached(self.place.top):
            loopdev.free(device)
        if failed:
            raise LabError("; ".join(failed))
        if self.place.top.exists():
            shutil.rmtree(self.place.top)
        self.place.lock_file.unlink(missing_ok=True)

    # --- the ring ---------------------------------------------------------------------------

    def ring_of(self, name):
        """The bridge that a node's port belongs to."""
        groups = self.state["groups"]
        return network.ring_of(next(i for i, group in enumerate(groups) if name in group))

    def partition(self, words):
        self._arrange(network.parse_groups(words, self.state["nodes"]))

    def sever(self, *pairs):
        """Cuts single connections of the ring: from the first to the second node of each pair."""
        for pair in pairs:
            for name in pair:
                self.node(name)
        self.state["severed"] = pairs
        self.place.save(self.state)
        self.switch.sever(pairs)

    def heal(self):
        if self.state.get("severed"):
            self.sever()
        self._arrange([self.state["nodes"]])

    def set_nodelist(self, names):
        """Configures a cluster of these nodes, on all of them and while they run."""
        self.state["config_version"] = version = self.state.get("config_version", 1) + 1
        self.place.save(self.state)
        numbers = {node.name: node.number for node in self.nodes if node.name in names}
        for node in self.nodes:
            if node.name in names:
                node.write_etc("corosync/corosync.conf",
                               disk.corosync_conf(self.name, numbers, version))
        next(node for node in self.nodes if node.name in names and node.is_on()).ok(
            ["corosync-cfgtool", "-R"])

    def _arrange(self, groups):
        self.state["groups"] = groups
        self.place.save(self.state)
        self.switch.arrange(groups)


def _try_lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def ring_members(node):
    """How many nodes a node's corosync sees, while quorate; 0 otherwise."""
    done = node.run(["corosync-quorumtool", "-s"])
    if "Quorate:          Yes" not in done.stdout:
        return 0
    for line in done.stdout.splitlines():
        if line.startswith("Nodes:"):
            return int(line.split()[1])
    return 0


def store_members(node):
    """How many nodes are level with a node's store while that can be written to; 0 otherwise."""
    done = node.run(["cat", "/etc/pve/.store"])
    try:
        store = json.loads(done.stdout)
    except ValueError:
        return 0
    if store["state"] != "active":
        return 0
    return sum(1 for member in store["members"] if not member["catching_up"])
