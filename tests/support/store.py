# SPDX-License-Identifier: Apache-2.0
"""The store of a lab's nodes as the machine sees it, through each node's own mount."""

import errno
import json
import os
from pathlib import Path

from labkit.run import wait_for

# Corosync notices a cut after its token and consensus timeouts.
NOTICE = 30

# Until everything works again after the last fault.
RECOVERY = 90


def root(node):
    """The node's /etc/pve as the machine sees it."""
    return Path(f"/proc/{node.pid()}/root/etc/pve")


def view(node, name):
    return json.loads((root(node) / name).read_text())


def state(node):
    return view(node, ".store")


def level_members(node):
    """How many members are level, as a node sees it that is one of them; 0 otherwise."""
    seen = state(node)
    if seen["state"] != "active":
        return 0
    return sum(not member["catching_up"] for member in seen["members"])


def is_forgetful(node):
    try:
        return state(node)["forgetful"]
    except OSError:  # It is just being started.
        return False


def is_readonly(node):
    """Whether changes are refused with EROFS.  None is tried before the store knows: who asks before
    that waits for 5 s, to hear EIO."""
    try:
        seen = state(node)
    except OSError:
        return False
    return (not seen["quorate"] or seen["forgetful"]) and probe(node) == errno.EROFS


def put(path, data, directory=None):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=directory)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def try_put(path, data):
    """None, or the errno."""
    try:
        put(path, data)
    except OSError as error:
        return error.errno
    return None


def barrier(node):
    """Everything acknowledged anywhere before is seen on the node after it."""
    descriptor = os.open(root(node) / ".version", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wait_barrier(node, timeout=RECOVERY):
    """A barrier at last, also when the membership changes once more: on a busy machine it may."""
    def is_done():
        try:
            barrier(node)
        except OSError:
            return False
        return True

    wait_for(is_done, timeout, f"a barrier on {node.name}")


def probe(node):
    """Tries a change: None when it is acknowledged, or the errno.  After an acknowledgement the node
    shows all that came before it."""
    try:
        top = os.open(root(node), os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        return error.errno
    try:
        # A bare /etc/pve could be written as well.  os.path.ismount() would look at the machine's
        # /etc, as it resolves the link that leads into the node.
        if os.fstat(top).st_dev == root(node).parent.stat().st_dev:
            return errno.ENOTCONN
        put(f"probe-{node.name}", b"x", top)
    except OSError as error:
        return error.errno
    finally:
        os.close(top)
    return None


def is_writable(node):
    return probe(node) is None


def wait_writable(nodes, timeout=RECOVERY):
    for node in nodes:
        wait_for(lambda node=node: is_writable(node), timeout, f"a writable store on {node.name}")


def trees_are_equal(lab):
    try:
        found = {(state(node)["tree_digest"], state(node)["commit"]) for node in lab.nodes}
    except OSError:
        return False
    return len(found) == 1


def tree(node):
    """All entries below a node's mount but what the store makes by itself: content by path, None for
    a directory."""
    found = {}
    top = root(node)
    for path, directories, names in os.walk(top):
        here = Path(path)
        directories[:] = [name for name in directories if not (here / name).is_symlink()]
        for name in directories:
            found[str((here / name).relative_to(top))] = None
        for name in names:
            # The views are hidden files of the root.
            if not (here == top and name.startswith(".")) and not (here / name).is_symlink():
                found[str((here / name).relative_to(top))] = (here / name).read_bytes()
    return found


def compare_trees(lab):
    """Waits for equal digests, then compares the mounts byte by byte."""
    wait_for(lambda: trees_are_equal(lab), RECOVERY, "equal trees")
    trees = {node.name: tree(node) for node in lab.nodes}
    first_name, first = next(iter(trees.items()))
    for name, other in trees.items():
        different = sorted(path for path in first.keys() | other.keys()
                           if first.get(path, "-") != other.get(path, "-"))
        assert not different, f"{first_name} and {name} differ in {different}"


def kill_store(node):
    """kill -9 of the store, which the node's PID 1 starts again; None when it was dead already."""
    pid = node.services()["atoll-cfs"]["pid"]
    if pid:
        node.run(["kill", "-9", str(pid)])
    return pid


def store_is_back(node, old_pid):
    service = node.services()["atoll-cfs"]
    if service["state"] == "dead":  # It was killed too often in too short a time.
        node.service("start", "atoll-cfs")
    try:
        return (service["state"] == "ready" and service["pid"] != old_pid and
                (root(node) / ".members").exists())
    except OSError:
        return False
