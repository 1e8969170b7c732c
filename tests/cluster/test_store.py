# SPDX-License-Identifier: Apache-2.0
"""The replicated store on three nodes with a real corosync, through each node's own mount."""

import errno
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from labkit.run import wait_for
from support.store import (NOTICE, barrier, is_writable, kill_store, put, root, state, store_is_back,
                           trees_are_equal, try_put, view)

@pytest.fixture(autouse=True)
def clean(lab):
    """Each test has a directory of its own, on a store that can be written everywhere."""
    for node in lab.nodes:
        wait_for(lambda node=node: is_writable(node), 30, f"a writable store on {node.name}")
    os.makedirs(root(lab.nodes[0]) / "test", exist_ok=True)
    for node in lab.nodes:
        barrier(node)
    yield
    wait_for(lambda: is_writable(lab.nodes[0]), 60, "a writable store")
    for name in os.listdir(root(lab.nodes[0]) / "test"):
        path = root(lab.nodes[0]) / "test" / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


class Writers:
    """Threads that write numbers to a file each, and know which were acknowledged."""

    def __init__(self, node, count, tag=""):
        self.node = node
        self.names = [f"{node.name}{tag}-{i}" for i in range(count)]
        self.acknowledged = dict.fromkeys(self.names, 0)
        self.tried = dict.fromkeys(self.names, 0)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(name,)) for name in self.names]
        for thread in self.threads:
            thread.start()

    def _run(self, name):
        number = 0
        while not self.stopping.is_set():
            number += 1
            self.tried[name] = number
            try:
                put(root(self.node) / "test" / name, b"%d" % number)
            except OSError:
                # Nobody knows whether it happened; what follows tells.
                time.sleep(0.02)
                continue
            self.acknowledged[name] = number

    def total(self):
        return sum(self.acknowledged.values())

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def check(self, node):
        """Every acknowledged write is on the node, and nothing that was never written."""
        for name in self.names:
            if self.acknowledged[name] == 0:
                continue
            found = int((root(node) / "test" / name).read_bytes() or b"0")
            assert self.acknowledged[name] <= found <= self.tried[name], name


# --- everyday -------------------------------------------------------------------------------


def test_a_change_is_seen_on_all_nodes(lab, n1, n2, n3):
    put(root(n1) / "test/a", b"one")
    os.mkdir(root(n2) / "test/d")
    for node in lab.nodes:
        barrier(node)
        assert (root(node) / "test/a").read_bytes() == b"one"
        assert (root(node) / "test/d").is_dir()
    os.rename(root(n3) / "test/a", root(n3) / "test/b")
    for node in lab.nodes:
        barrier(node)
        assert not (root(node) / "test/a").exists()
        assert (root(node) / "test/b").read_bytes() == b"one"
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_what_the_kernel_remembers_is_taken_back(lab, n1, n2):
    """Names, missing names and attributes that node 2 has asked for before."""
    path, seen = root(n1) / "test/f", root(n2) / "test/f"
    for i in range(30):
        assert not seen.exists()
        put(path, b"x" * (i + 1))
        barrier(n2)
        wait_for(lambda i=i: seen.exists() and seen.stat().st_size == i + 1, 1, "the new file")
        put(path, b"y" * 1000)
        barrier(n2)
        wait_for(lambda: seen.stat().st_size == 1000, 1, "the new size")
        path.unlink()
        barrier(n2)
        wait_for(lambda: not seen.exists(), 1, "the file being gone")


def test_every_node_has_its_directories(lab):
    for node in lab.nodes:
        assert sorted(os.listdir(root(node) / "nodes")) == ["n1", "n2", "n3"]
        assert os.readlink(root(node) / "local") == f"nodes/{node.name}"
        for name in ("n1", "n2", "n3"):
            assert (root(node) / "nodes" / name / "lxc").is_dir()
            assert (root(node) / "nodes" / name / "priv").is_dir()


def test_members_tells_who_is_there(lab, n1, n3):
    members = view(n1, ".members")
    assert members["cluster"]["nodes"] == 3 and members["cluster"]["quorate"] == 1
    assert {name: entry["online"] for name, entry in members["nodelist"].items()} == {
        "n1": 1, "n2": 1, "n3": 1}
    n3.power_off()
    wait_for(lambda: view(n1, ".members")["nodelist"]["n3"]["online"] == 0, NOTICE, "n3 away")
    assert view(n1, ".members")["version"] > members["version"]
    assert view(n1, ".members")["cluster"]["quorate"] == 1


def race(lab, attempt, lost=FileExistsError):
    """Runs attempt(node) on all nodes at the same moment: the names of those who succeeded.  The
    others must have lost."""
    won, failed, gate = [], [], threading.Barrier(len(lab.nodes))

    def run(node):
        gate.wait()
        try:
            attempt(node)
            won.append(node.name)
        except lost:
            pass
        except OSError as error:
            failed.append(f"{node.name}: {error}")

    threads = [threading.Thread(target=run, args=(node,)) for node in lab.nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    return won


def test_one_node_wins_a_race(lab):
    def create(node, i):
        os.close(os.open(root(node) / f"test/x{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    def guest(node, i):
        path = root(node) / f"nodes/{node.name}/lxc/{90000 + i}.conf"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

    for i in range(25):
        assert len(race(lab, lambda node, i=i: create(node, i))) == 1
        assert len(race(lab, lambda node, i=i: os.mkdir(root(node) / f"test/d{i}"))) == 1
        winner = race(lab, lambda node, i=i: guest(node, i))
        assert len(winner) == 1
        os.unlink(root(lab.node(winner[0])) / f"nodes/{winner[0]}/lxc/{90000 + i}.conf")
        for node in lab.nodes:
            barrier(node)


@pytest.fixture
def places(n1, request):
    """Four paths between which something may be renamed, which is at the first one."""
    os.mkdir(root(n1) / "test/p")
    if request.param == "guest":
        paths = [f"nodes/{name}/lxc/90500.conf" for name in ("n1", "n2", "n3")]
        paths.append("test/p/90500.conf")
    else:
        paths = ["test/a", "test/b", "test/c", "test/p/a"]
    if request.param == "directory":
        os.mkdir(root(n1) / paths[0])
    else:
        put(root(n1) / paths[0], b"x")
    yield paths
    for path in (*paths, "test/p"):
        path = root(n1) / path
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()


@pytest.mark.parametrize("places", ["guest", "file", "directory"], indirect=True)
@pytest.mark.parametrize("aims", ["same", "different"])
def test_one_node_wins_a_race_to_rename(lab, places, aims):
    """Also one that asks when another has succeeded, and whose kernel may not know that yet."""
    def rename(node, here, targets):
        time.sleep(random.choice((0, random.uniform(0, 0.006))))
        os.rename(root(node) / here, root(node) / targets[node.name])

    here = places[0]
    for _ in range(300):
        for node in lab.nodes:
            barrier(node)
            wait_for(lambda node=node: (root(node) / here).exists(), 1, "the name")
        others = random.sample([path for path in places if path != here], len(lab.nodes))
        if aims == "same":
            others = others[:1] * len(lab.nodes)
        targets = {node.name: path for node, path in zip(lab.nodes, others)}
        won = race(lab, lambda node, here=here, targets=targets: rename(node, here, targets),
                   lost=FileNotFoundError)
        assert len(won) == 1
        here = targets[won[0]]
    for node in lab.nodes:
        barrier(node)
        wait_for(lambda node=node: [path for path in places if (root(node) / path).exists()] ==
                 [here], 1, "one name")


def test_a_writer_finds_what_was_just_renamed(n1, n2):
    paths = ["test/a", "test/b"]
    put(root(n1) / paths[0], b"x")
    for i in range(100):
        here, there = paths[i % 2], paths[1 - i % 2]
        barrier(n2)
        wait_for(lambda here=here: (root(n2) / here).exists(), 1, "the name")
        os.rename(root(n1) / here, root(n1) / there)
        with open(root(n1) / there, "r+b") as file:
            file.write(b"%d" % i)
        os.truncate(root(n1) / there, 2)

        # It may not have looked at the old name since, so its kernel may still have it.
        barrier(n2)
        with pytest.raises(FileNotFoundError):
            open(root(n2) / here, "r+b")
        with open(root(n2) / there, "r+b") as file:
            assert file.read() == (b"%d" % i).ljust(2, b"\0")


@pytest.mark.parametrize("change", ["remove", "rename", "replace"])
def test_no_write_is_acknowledged_into_what_another_node_displaced(n1, n2, change):
    ours, theirs = root(n1) / "test", root(n2) / "test"
    put(ours / "held", b"before")
    barrier(n2)
    with open(theirs / "held", "r+b", buffering=0) as held:
        if change == "remove":
            (ours / "held").unlink()
        elif change == "rename":
            (ours / "held").rename(ours / "moved")
        else:
            put(ours / "new", b"new")
            (ours / "new").rename(ours / "held")
        barrier(n2)
        with pytest.raises(OSError) as refused:
            held.write(b"after")
        assert refused.value.errno == errno.ESTALE
    here = ours / ("moved" if change == "rename" else "held")
    assert not here.exists() if change == "remove" else here.read_bytes() in (b"before", b"new")
    put(theirs / "held", b"anew")
    barrier(n1)
    assert (ours / "held").read_bytes() == b"anew"


# Creates a file for each line that it reads, and writes it when it has read another one.  It runs in
# the node, where it can be told from others: see "Creation waits" in docs/STORE.md.
CREATOR = """
import os, sys
for line in sys.stdin:
    name, flags, content = line.split()
    descriptor = os.open("/etc/pve/test/" + name, os.O_WRONLY | os.O_CREAT | int(flags), 0o640)
    print("opened", flush=True)
    sys.stdin.readline()
    os.write(descriptor, content.encode())
    os.close(descriptor)
    print("closed", flush=True)
"""


class Creator:
    """A program in a node that creates files without O_EXCL, and takes its time to write them."""

    def __init__(self, node):
        self.program = node.popen(["/usr/bin/python3", "-c", CREATOR], text=True, bufsize=1,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def open(self, name, flags, content):
        self.program.stdin.write(f"{name} {flags} {content}\n")
        assert self.program.stdout.readline() == "opened\n"

    def write(self):
        self.program.stdin.write("write\n")

    def wait_closed(self):
        assert self.program.stdout.readline() == "closed\n"


@pytest.fixture
def creators(n1, n2):
    made = [Creator(n1), Creator(n2)]
    yield made
    for creator in made:
        creator.program.communicate(timeout=10)


@pytest.mark.parametrize("flags, content", [(os.O_TRUNC, b"ours"), (0, b"oursrs, longer")])
def test_a_creation_that_waits_takes_the_file_of_another_node(lab, n2, creators, flags, content):
    creators[0].open("made", flags, "ours")
    barrier(n2)
    theirs = root(n2) / "test/made"
    assert not theirs.exists()
    put(theirs, b"theirs, longer")
    inode = theirs.stat().st_ino
    creators[0].write()
    creators[0].wait_closed()
    for node in lab.nodes:
        barrier(node)
        assert (root(node) / "test/made").read_bytes() == content
        assert (root(node) / "test/made").stat().st_ino == inode


def test_of_two_creations_at_once_one_takes_the_file_of_the_other(lab, creators):
    for i in range(100):
        for number, creator in enumerate(creators):
            creator.open(f"made{i}", os.O_TRUNC, f"{number}" * random.choice((1, 100)))
        for creator in creators:
            creator.write()
        for creator in creators:
            creator.wait_closed()
        for node in lab.nodes:
            barrier(node)
        found = {((root(node) / f"test/made{i}").read_bytes(),
                  (root(node) / f"test/made{i}").stat().st_ino) for node in lab.nodes}
        assert len(found) == 1 and found.pop()[0] in (b"0", b"0" * 100, b"1", b"1" * 100)


@pytest.mark.parametrize("size", [512, 200 * 1024])
def test_readers_on_another_node_see_old_or_new(n1, n2, size):
    contents = [bytes([byte]) * size for byte in b"ab"]
    put(root(n1) / "test/a", contents[0])
    barrier(n2)
    stop, bad, reads = threading.Event(), [], []

    def read():
        while not stop.is_set():
            data = (root(n2) / "test/a").read_bytes()
            reads.append(1)
            if data not in contents:
                bad.append(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    end, rounds = time.monotonic() + 2, 0
    while time.monotonic() < end:
        put(root(n1) / "test/a", contents[rounds % 2])
        rounds += 1
    stop.set()
    reader.join()
    assert rounds > 5 and reads
    assert not bad


# --- faults ---------------------------------------------------------------------------------


def test_a_node_cut_off_reads_but_does_not_write(lab, n1, n2, n3):
    put(root(n1) / "test/a", b"before")
    barrier(n3)
    lab.partition(["n1,n2", "|", "n3"])
    wait_for(lambda: view(n3, ".members")["cluster"]["quorate"] == 0, NOTICE, "the loss of quorum")

    began = time.monotonic()
    assert try_put(root(n3) / "test/a", b"no") == errno.EROFS
    with pytest.raises(OSError) as caught:
        os.mkdir(root(n3) / "test/d")
    assert caught.value.errno == errno.EROFS
    assert time.monotonic() - began < 1
    assert (root(n3) / "test/a").read_bytes() == b"before"

    wait_for(lambda: is_writable(n1) and is_writable(n2), NOTICE, "the majority going on")
    put(root(n1) / "test/a", b"after")
    put(root(n2) / "test/b", b"more")
    assert (root(n3) / "test/a").read_bytes() == b"before"

    lab.heal()
    wait_for(lambda: is_writable(n3), 30, "the return of n3")
    assert (root(n3) / "test/a").read_bytes() == b"after"
    assert (root(n3) / "test/b").read_bytes() == b"more"
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_a_writer_does_not_wait_long_for_a_lost_node(lab, n1, n3):
    writers = Writers(n1, 4)
    try:
        wait_for(lambda: writers.total() > 50, 20, "writes")
        n3.power_off()
        before = writers.total()
        wait_for(lambda: writers.total() > before + 500, 30, "writes without n3")
    finally:
        writers.stop()
    writers.check(n1)
    n3.power_on()
    n3.wait_settled()
    wait_for(lambda: is_writable(n3), 30, "the return of n3")
    writers.check(n3)


@pytest.mark.parametrize("victims", [["n1"], ["n2"], ["n1", "n2"], ["n1", "n2", "n3"]])
def test_acknowledged_writes_survive_kills_in_a_storm(lab, victims):
    writers = [Writers(node, 4) for node in lab.nodes]
    try:
        for _ in range(2):
            done = sum(writer.total() for writer in writers)
            wait_for(lambda done=done: sum(w.total() for w in writers) > done + 200, 60, "writes")
            time.sleep(random.uniform(0, 0.2))
            killed = [(lab.node(name), kill_store(lab.node(name))) for name in victims]
            for node, pid in killed:
                wait_for(lambda node=node, pid=pid: store_is_back(node, pid), 30,
                         f"the store of {node.name}")
            wait_for(lambda: all(is_writable(node) for node in lab.nodes), 60, "all writable")
    finally:
        for writer in writers:
            writer.stop()
    for node in lab.nodes:
        barrier(node)
        for writer in writers:
            writer.check(node)
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_acknowledged_writes_survive_a_cut_in_a_storm(lab):
    writers = [Writers(node, 3) for node in lab.nodes]
    try:
        for alone in ("n1", "n3"):
            done = sum(writer.total() for writer in writers)
            wait_for(lambda done=done: sum(w.total() for w in writers) > done + 200, 60, "writes")
            others = ",".join(node.name for node in lab.nodes if node.name != alone)
            lab.partition([others, "|", alone])
            time.sleep(random.uniform(4, 6))
            lab.heal()
            wait_for(lambda: all(is_writable(node) for node in lab.nodes), 60, "all writable")
    finally:
        for writer in writers:
            writer.stop()
    for node in lab.nodes:
        barrier(node)
        for writer in writers:
            writer.check(node)
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_a_node_that_was_away_catches_up(lab, n1, n3):
    n3.power_off()
    wait_for(lambda: is_writable(n1), NOTICE, "the majority going on")
    for i in range(300):
        put(root(n1) / f"test/f{i % 60}", b"%d" % i)
    n3.power_on()
    n3.wait_settled()
    wait_for(lambda: is_writable(n3), 30, "the return of n3")
    for i in range(60):
        assert (root(n3) / f"test/f{i}").read_bytes() == b"%d" % (240 + i)
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_the_store_survives_a_restart_of_corosync(lab, n2):
    put(root(n2) / "test/a", b"x")
    store = n2.services()["atoll-cfs"]["pid"]
    n2.service("stop", "corosync")
    wait_for(lambda: try_put(root(n2) / "test/a", b"y") == errno.EROFS, NOTICE, "no quorum")
    assert (root(n2) / "test/a").read_bytes() == b"x"
    n2.service("start", "corosync")
    wait_for(lambda: is_writable(n2), 30, "the return of n2")
    assert n2.services()["atoll-cfs"]["pid"] == store
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def test_a_sleeping_store_does_not_hold_the_others_up(lab, n1, n3):
    pid = n3.services()["atoll-cfs"]["pid"]
    n3.ok(["kill", f"-{signal.SIGSTOP}", str(pid)])
    try:
        began = time.monotonic()
        for i in range(50):
            put(root(n1) / "test/a", b"%d" % i)
        assert time.monotonic() - began < 5
    finally:
        n3.ok(["kill", f"-{signal.SIGCONT}", str(pid)])
    barrier(n3)
    assert (root(n3) / "test/a").read_bytes() == b"49"


def test_a_store_that_ends_waits_for_no_caller(lab, n1, n2, n3):
    """Changes hang, as the other stores sleep; the unit would be killed after 15 s."""
    put(root(n1) / "test/a", b"before")
    sleeping = {node: node.services()["atoll-cfs"]["pid"] for node in (n2, n3)}
    ends = []
    try:
        for node, pid in sleeping.items():
            node.ok(["kill", f"-{signal.SIGSTOP}", str(pid)])
        caller = threading.Thread(
            target=lambda: ends.append(try_put(root(n1) / "test/a", b"after")))
        caller.start()
        time.sleep(0.5)
        assert caller.is_alive()
        began = time.monotonic()
        n1.service("stop", "atoll-cfs")
        caller.join(5)
        assert time.monotonic() - began < 5
        assert ends in ([errno.EIO], [errno.ENOTCONN], [errno.ECONNABORTED])
    finally:
        for node, pid in sleeping.items():
            node.ok(["kill", f"-{signal.SIGCONT}", str(pid)])
        n1.service("start", "atoll-cfs")
    wait_for(lambda: store_is_back(n1, None) and is_writable(n1), 30, "the return of n1")
    wait_for(lambda: trees_are_equal(lab), 10, "equal trees")


def bytes_to_disk(node):
    pid = node.services()["atoll-cfs"]["pid"]
    lines = (Path(f"/proc/{node.pid()}/root/proc/{pid}/io")).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def test_an_idle_cluster_writes_nothing(lab):
    time.sleep(2)
    before = [(bytes_to_disk(node), state(node)["counters"]["batches"]) for node in lab.nodes]
    time.sleep(4)
    assert [(bytes_to_disk(node), state(node)["counters"]["batches"])
            for node in lab.nodes] == before
