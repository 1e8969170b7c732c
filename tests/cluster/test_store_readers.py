# SPDX-License-Identifier: Apache-2.0
"""Readers on all nodes of files that one writer replaces in place and another renames over, while
stores are killed and a node loses its power: no read may be empty, partial, mixed, missing or older
than one before it (support/readers.py)."""

import json
import shutil
import subprocess
import time

import pytest
from labkit.run import wait_for
from support import readers
from support.store import (barrier, is_writable, kill_store, put, root, store_is_back,
                           wait_writable)

# Who writes each file, and how many bytes: one page and many.
FILES = {"replace": ("n1", 512), "rename": ("n2", 64 * 1024)}
ENOUGH = 100  # Versions of a file between two faults.
TIMEOUT = 60


class Programs:
    """Readers and writers inside the nodes."""

    def __init__(self, lab):
        self.directory = lab.place.shared / "readers"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        shutil.copy(readers.__file__, self.directory)
        self.started = []

    def start(self, node, role, file, how):
        _, size = FILES[file]
        name = f"{node.name}-{role}-{file}-{how}-{len(self.started)}"
        with open(self.directory / f"{name}.err", "wb") as err:
            self.started.append((name, node.popen(
                ["/usr/bin/python3", "/mnt/shared/readers/readers.py", role, f"/etc/pve/test/{file}",
                 "--how", how, "--size", str(size), "--stop", "/mnt/shared/readers/stop"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True)))

    def start_readers(self, node, kinds):
        for file in FILES:
            for kind in kinds:
                self.start(node, "read", file, kind)

    def stop(self):
        """What those that have lived to the end have counted, and what all have complained of."""
        (self.directory / "stop").touch()
        counted, started, self.started = {}, self.started, []
        for name, process in started:
            out, _ = process.communicate(timeout=TIMEOUT)
            if process.returncode == 0:
                counted[name] = json.loads(out)
        complaints = {path.stem: path.read_text() for path in self.directory.glob("*.err")}
        return counted, {name: text for name, text in complaints.items() if text}


@pytest.fixture
def programs(lab):
    made = Programs(lab)
    yield made
    made.stop()


@pytest.fixture
def files(lab, n1):
    """The files, on a store that can be written everywhere."""
    wait_writable(lab.nodes)
    directory = root(n1) / "test"
    directory.mkdir(exist_ok=True)
    for file, (_, size) in FILES.items():
        put(directory / file, readers.content(0, size))
    for node in lab.nodes:
        barrier(node)
    yield directory
    for path in directory.iterdir():
        path.unlink()


def version(node, file):
    return int((root(node) / "test" / file).read_bytes()[:readers.RECORD])


def go_on(node, *others):
    """Waits until both writers have written enough, as the node sees it."""
    before = {file: version(node, file) for file in FILES}
    for file, number in before.items():
        wait_for(lambda file=file, number=number: version(node, file) >= number + ENOUGH, TIMEOUT,
                 f"writes to '{file}'")


def test_readers_on_all_nodes_see_whole_versions_under_faults(lab, n1, n2, n3, files, programs):
    for file, (name, _) in FILES.items():
        programs.start(lab.node(name), "write", file, file)
    for node in lab.nodes:
        programs.start_readers(node, ("read", "stat"))
    # A page of a mapping that has no store any longer ends its program, on any file system: only
    # where no store is killed.
    programs.start_readers(n3, ("mmap",))
    go_on(n3)

    for node in (n2, n1):
        pid = kill_store(node)
        wait_for(lambda node=node, pid=pid: store_is_back(node, pid) and is_writable(node), TIMEOUT,
                 f"the return of {node.name}")
        go_on(n3)
    n3.power_off()
    time.sleep(1)
    go_on(n1)
    n3.power_on()
    wait_writable([n3])
    programs.start_readers(n3, ("read", "stat", "mmap"))
    go_on(n3)

    started = len(programs.started)
    counted, complaints = programs.stop()
    assert complaints == {}
    assert {name: found["bad"] for name, found in counted.items() if found["bad"]} == {}
    assert len(counted) == started - 6  # Those that had no power any longer.
    for name, found in counted.items():
        assert found["outages"] == (0 if name.startswith("n3") else 1), name
        assert found.get("reads", ENOUGH) >= ENOUGH, name
        if "stat" not in name:
            assert found["versions"] >= ENOUGH / 3, name
