# SPDX-License-Identifier: Apache-2.0
"""The cgroups of a node.

A node has one directory in each cgroup tree of the machine and a cgroup namespace rooted there, so
it sees a tree of its own: container paths inside are those of production, nodes never meet, and
whatever a node leaves is found and removed from outside.
"""

import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from .run import wait_for

# Where a node's own processes are in a cgroup2 tree: liblxc knows this name and puts containers
# beside it, not below.
LEAF = "init.scope"

# Must be filled in before a process can join a cgroup of the cpuset controller.
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


@dataclass
class Hierarchy:
    """One cgroup tree of the machine."""

    mount: str    # Where it is mounted.
    fstype: str   # cgroup or cgroup2.
    options: str  # What mount -o wants to get the same tree again.
    base: str     # The directory below which this lab may make its own.

    def node_dir(self, lab, node):
        return Path(self.base) / "atoll-lab" / lab / node

    def as_dict(self):
        return asdict(self)


def _own_paths():
    """This process's path in each tree, by the tree's controllers ("" for cgroup2)."""
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controllers] = path
    return paths


def hierarchies():
    """The cgroup trees mounted on this machine."""
    own = _own_paths()
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        mount = left.split()[4]
        fstype, _, options = right.split(" ", 2)
        if fstype == "cgroup2":
            # Not below our own cgroup: one that holds processes cannot hand controllers down.
            found.append(Hierarchy(mount, fstype, "", mount))
        elif fstype == "cgroup":
            controllers = [o for o in options.split(",") if o not in ("rw", "ro", "xattr")]
            controllers = [o for o in controllers if "=" not in o or o.startswith("name=")]
            path = own.get(",".join(controllers))
            if path is None:
                continue
            named = controllers[0].startswith("name=")
            found.append(Hierarchy(mount, fstype, ",".join((["none"] if named else []) + controllers),
                                   mount + path.rstrip("/")))
    return found


def _hand_down_controllers(directory):
    """Lets the children of a cgroup2 directory use every controller that it has itself."""
    available = (directory / "cgroup.controllers").read_text().split()
    for controller in available:
        try:
            (directory / "cgroup.subtree_control").write_text("+" + controller)
        except OSError:
            pass  # A controller that cannot be had (rdma, misc …) is one that no container needs.


def create(trees, lab, node):
    """Makes the node's directory in every tree."""
    for tree in trees:
        directory = tree.node_dir(lab, node)
        for step in (*reversed(directory.parents[:2]), directory):
            if tree.fstype == "cgroup2":
                _hand_down_controllers(step.parent)
            step.mkdir(exist_ok=True)
            for name in CPUSET_FILES:
                if tree.fstype == "cgroup" and (step / name).exists():
                    (step / name).write_text((step.parent / name).read_text())


def settle(trees, lab, node, pids):
    """Moves a booting node's first processes to the leaf of a cgroup2 tree: a cgroup that holds
    processes itself cannot hand controllers down."""
    for tree in trees:
        if tree.fstype == "cgroup2":
            leaf = tree.node_dir(lab, node) / LEAF
            leaf.mkdir()
            for pid in pids:
                (leaf / "cgroup.procs").write_text(str(pid))
            _hand_down_controllers(leaf.parent)


def join(trees, lab, node, running):
    """Moves this process into the node's cgroups.  Before the node runs, that is the directory
    that becomes the root of its cgroup namespace."""
    for tree in trees:
        directory = tree.node_dir(lab, node)
        if running and tree.fstype == "cgroup2":
            directory = directory / LEAF
        (directory / "cgroup.procs").write_text(str(os.getpid()))


def _directories(top):
    """top and all below it, children before parents."""
    return [Path(path) for path, _, _ in os.walk(top, topdown=False)]


def processes(trees, lab, node):
    """All processes in the node's cgroups."""
    pids = set()
    for tree in trees:
        for directory in _directories(tree.node_dir(lab, node)):
            try:
                pids.update(int(pid) for pid in (directory / "cgroup.procs").read_text().split())
            except OSError:
                continue  # It went away while we looked.
    # 0 stands for a process of another PID namespace, which has no business here.
    return pids - {0, os.getpid()}


def kill(trees, lab, node):
    """Ends everything in the node's cgroups."""

    def gone():
        pids = processes(trees, lab, node)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not pids

    wait_for(gone, 20, f"the processes of {node} to end")


def remove(trees, lab, node):
    """Removes the node's directories, and those above them that became empty."""
    for tree in trees:
        top = tree.node_dir(lab, node)

        def removed(top=top):
            for directory in _directories(top):
                try:
                    directory.rmdir()
                except OSError:
                    pass  # Still dying inside: asked again.
            return not top.exists()

        wait_for(removed, 20, f"the cgroups below {top} to become empty")
        for parent in top.parents[:2]:
            try:
                parent.rmdir()
            except OSError:
                break
