# SPDX-License-Identifier: Apache-2.0
"""A node that goes, and one that comes back, against what corosync itself takes."""

import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager

from .rig import begin, none_failed, put, result, until

TIMEOUT = 60


class Watch:
    """The bus as one node sees it."""

    def __init__(self, process):
        self.process = process
        self.seen = []  # (time, members), of each change.
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            at, number = line.split()
            self.seen.append((float(at), int(number)))

    def members(self, count, after=0.0):
        """When the bus had so many members, after that time; waits for it."""
        def found():
            return [at for at, number in list(self.seen) if number == count and at > after]

        until(found, TIMEOUT, f"a bus with {count} members")
        return found()[0]


@contextmanager
def watching(rig):
    """A watch on each node."""
    processes = [node.popen(["/root/buswatch", "members"], stdout=subprocess.PIPE, text=True)
                 for node in rig.nodes]
    try:
        watches = [Watch(process) for process in processes]
        for watch in watches:
            watch.members(len(watches))
        yield watches
    finally:
        for process in processes:
            process.kill()
            process.wait()


def power_cut(rig, sample):
    """The longest write of two nodes when the third loses its power."""
    first, second, third = rig.nodes
    name = rig.fresh()
    with ExitStack() as stack:
        watches = stack.enter_context(watching(rig))
        writers = [stack.enter_context(rig.loading(
            "replace", rig.store(node) / name, seconds=6, tag=node.name))
            for node in (first, second)]
        for writer in writers:
            begin(writer)
        time.sleep(1)
        cut = time.monotonic()
        with rig.lab.locked():
            third.power_off()
        formed = max(watch.members(2, cut) for watch in watches[:2])
        done = none_failed("replace", result(*(writer.stdout.read() for writer in writers)))
    with rig.lab.locked():
        third.power_on()
        rig.lab.wait_formed()
    sample("power cut of one node: corosync's new membership", formed - cut, "s")
    sample("power cut of one node: longest write (base: corosync + 0.2 s)", done.max_ms / 1000, "s",
           base=formed - cut + 0.2, target=1)


def heal(rig, sample):
    """A node that was cut off, until it takes writes again."""
    third = rig.nodes[2]
    path = rig.store(third) / rig.fresh() / "probe"
    with watching(rig) as watches:
        cut = time.monotonic()
        with rig.lab.locked():
            rig.lab.partition(["n1,n2", "|", "n3"])
        watches[2].members(1, cut)
        until(lambda: not writable(path), TIMEOUT, "the loss of quorum")
        time.sleep(1)
        healed = time.monotonic()
        with rig.lab.locked():
            rig.lab.heal()
        accepted = until(lambda: writable(path), TIMEOUT, "a write that is accepted again")
        formed = watches[2].members(3, healed)
    with rig.lab.locked():
        rig.lab.wait_formed()
    sample("cut-off node heals: corosync's new membership", formed - healed, "s")
    sample("cut-off node heals: writes accepted (base: corosync + 0.5 s)", accepted - healed, "s",
           base=formed - healed + 0.5, target=1)


def writable(path):
    try:
        put(path, b"x")
    except OSError:
        return False
    return True
