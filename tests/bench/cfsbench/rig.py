# SPDX-License-Identifier: Apache-2.0
"""What all figures of the store are taken with: the lab, load on its nodes, meters of its daemons."""

import itertools
import os
import signal
import statistics
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.labs import BUILD
from labkit.run import LabError, wait_for

DAEMONS = ("corosync", "atoll-cfs")


@dataclass
class Done:
    """What came of a load: microseconds of each piece of work, of all workers together."""

    times: list
    seconds: float
    failures: int

    @property
    def rate(self):
        """Pieces a second."""
        return len(self.times) / self.seconds

    @property
    def p50_ms(self):
        return statistics.median(self.times) / 1000

    @property
    def max_ms(self):
        return max(self.times) / 1000


@dataclass
class Spent:
    """What the daemons of all nodes used up in a while."""

    cpu_ms: float = 0.0        # corosync and atoll-cfs, all nodes together.
    store_cpu_ms: float = 0.0  # Of the atoll-cfs that used most.
    bytes: int = 0             # Written to disk by the atoll-cfs that wrote most.


class Rig:
    """The lab as the figures see it."""

    def __init__(self, lab, quick):
        self.lab = lab
        self.quick = quick
        self.nodes = lab.nodes
        self.names = (f"d{number}" for number in itertools.count())
        for tool in ("buswatch", "fsload", "plainfs"):
            for node in self.nodes:
                node.put(Path(BUILD) / "tests/bench" / tool, f"/root/{tool}")

    @property
    def seconds(self):
        """How long a load goes on."""
        return 0.5 if self.quick else 4.0

    def few(self, count):
        """So many of something, or far fewer when only the bench itself is tried."""
        return max(20, count // 50) if self.quick else count

    @staticmethod
    def root(node):
        """The node's / as the machine sees it."""
        return Path(f"/proc/{node.pid()}/root")

    def store(self, node=None):
        """The /etc/pve of a node, of the first by default."""
        return self.root(node or self.nodes[0]) / "etc/pve"

    def fresh(self, without=None):
        """The name of a new empty directory of the store, there on all nodes but one."""
        name = next(self.names)
        (self.store() / name).mkdir()
        for node in self.nodes:
            if node is not without:
                barrier(self.store(node))
        return name

    # --- load -------------------------------------------------------------------------------

    def _inside(self, place):
        """The node that a place belongs to, and its path there: loads run in the node, since a
        file system does not see who it is that comes from outside of its namespaces."""
        _, _, pid, _, *path = place.parts
        node = next(node for node in self.nodes if node.pid() == int(pid))
        return node, str(Path("/", *path))

    @contextmanager
    def loading(self, work, place, workers=1, count=1000000, seconds=None, size=512, tag="w"):
        """A load that is ready to begin; it ends with the block, also when that is left early."""
        node, directory = self._inside(place)
        process = node.popen(
            ["/root/fsload", directory, work, str(workers), str(count),
             str(self.seconds if seconds is None else seconds), str(size), tag],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            if process.stdout.readline() != "ready\n":
                raise LabError(f"fsload {work} does not start in {place}")
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.communicate()

    def load(self, work, place, **options):
        """Does some work to its end."""
        return self.load_all(work, [place], **options)

    def load_all(self, work, places, **options):
        """The same work at several places, begun together."""
        with ExitStack() as stack:
            processes = [stack.enter_context(self.loading(work, place, **options))
                         for place in places]
            for process in processes:
                begin(process)
            return result(*(process.stdout.read() for process in processes))

    # --- meters -----------------------------------------------------------------------------

    def daemons(self, node):
        """The daemons' processes, by their names."""
        init = node.pid()
        pids = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        named = {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in pids}
        return {name: named[name] for name in DAEMONS}

    @contextmanager
    def metered(self):
        """What the daemons spend in the block, known after it."""
        spent = Spent()
        before = [self._usage(node) for node in self.nodes]
        yield spent
        for node, (cpu, store_cpu, written) in zip(self.nodes, before):
            cpu_now, store_cpu_now, written_now = self._usage(node)
            spent.cpu_ms += cpu_now - cpu
            spent.store_cpu_ms = max(spent.store_cpu_ms, store_cpu_now - store_cpu)
            spent.bytes = max(spent.bytes, written_now - written)

    def _usage(self, node):
        daemons = self.daemons(node)
        times = {name: cpu_ms(pid) for name, pid in daemons.items()}
        return sum(times.values()), times["atoll-cfs"], written_bytes(daemons["atoll-cfs"])

    # --- what figures are compared with -----------------------------------------------------

    def bus_ms(self):
        """C: a message of 600 bytes to its own delivery, while the store has nothing to do."""
        printed = self.nodes[0].ok(["/root/buswatch", "latency", str(self.few(1500)), "600"])
        return statistics.median(float(line) for line in printed.split()) / 1000

    def disk_ms(self):
        """F: an fsync of 4 KiB appended, on the disk that the databases are on."""
        place = self.root(self.nodes[0]) / "var/lib/atoll"
        done = self.load("append", place, size=4096, count=self.few(1000), tag="bench")
        (place / "bench-0").unlink()
        return done.p50_ms

    def one_writer(self):
        """W, as the whole load: one writer that replaces a file of 512 bytes."""
        return self.write("replace", self.store() / self.fresh())

    def write(self, work, place, **options):
        """A load of changes, none of which may fail."""
        return none_failed(work, self.load(work, place, **options))

    @contextmanager
    def plain(self):
        """A plain FUSE file system on tmpfs, on the first node: its mount point."""
        node = self.nodes[0]
        node.ok(["mkdir", "-p", "/tmp/plain.files", "/tmp/plain"])
        place = self.root(node) / "tmp/plain"
        process = node.popen(["/root/plainfs", "/tmp/plain.files", "/tmp/plain"])
        try:
            wait_for(lambda: os.path.ismount(place), 10, "the plain file system")
            yield place
        finally:
            node.ok(["umount", "/tmp/plain"])
            process.wait()


def begin(process):
    process.stdin.write("\n")
    process.stdin.flush()


def result(*printed):
    lines = [line.split() for text in printed for line in text.splitlines()]
    return Done(times=[float(word) for line in lines for word in line[2:]],
                seconds=max(float(line[0]) for line in lines),
                failures=sum(int(line[1]) for line in lines))


def none_failed(work, done):
    if done.failures or not done.times:
        raise LabError(f"{work}: {done.failures} failed, {len(done.times)} did not")
    return done


def barrier(directory):
    """Everything acknowledged anywhere before is seen in the store after it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def until(met, timeout, what, every=0.002):
    """The time of the monotonic clock when met() was first true."""
    end = time.monotonic() + timeout
    while not met():
        if time.monotonic() > end:
            raise LabError(f"{what} did not happen within {timeout} s")
        time.sleep(every)
    return time.monotonic()


def cpu_ms(pid):
    """Time that a process has been on a processor, all its threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


def written_bytes(pid):
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise LabError(f"/proc/{pid}/io does not say what was written")


def resident_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LabError(f"/proc/{pid}/status does not say how much is resident")
