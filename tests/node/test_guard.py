# SPDX-License-Identifier: Apache-2.0
"""The end of a store that is killed while it tells the kernel what to forget: a directory's lock is held
by a request that nobody will answer, and its own thread waits for that lock, where no signal reaches it."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from support.cfsipc import Client, Failed
from test_ipc import Served, create
from test_store import put, serving, wait_for

# Those who hold the lock of a directory: as long as the store answers, one of them always does.
CALLERS = """
import os, sys, threading
def call(path):
    try:
        while True:
            os.mkdir(path)
            os.rmdir(path)
    except OSError:
        pass
for i in range(6):
    threading.Thread(target=call, args=(f"{sys.argv[1]}/{i}",)).start()
"""

TRIES = 10


@pytest.fixture
def store(tmp_path):
    yield from serving(Served(tmp_path))


def guard_of(store):
    pid = store.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    guards = [int(child) for child in children
              if Path(f"/proc/{child}/comm").read_text() == "atoll-cfs-guard\n"]
    assert len(guards) == 1
    return guards[0]


@contextlib.contextmanager
def storm(store):
    """Callers in a directory, in which names change that the kernel knows, until the store is dead."""
    directory = Path(tempfile.mkdtemp(dir=store.mount))
    name = f"{directory.name}/name"
    client = Client(store.socket)
    changes = []

    def change():
        with contextlib.suppress(Failed):
            while True:
                client.change(create(name))
                client.change({"op": "unlink", "path": name})
                changes.append(1)

    callers = subprocess.Popen(["/usr/bin/python3", "-c", CALLERS, str(directory)])
    changer = threading.Thread(target=change, daemon=True)
    changer.start()
    wait_for(lambda: len(changes) > 20, 30)
    try:
        yield callers
    finally:
        callers.kill()


def ends(process, within):
    """Whether a process ends in time."""
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def mounts(store):
    return Path("/proc/self/mountinfo").read_text().count(f" {store.mount} ")


def is_running(pid):
    """Neither gone nor a zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_killed_store_ends_with_all_who_use_it(store):
    for _ in range(3):
        guard = guard_of(store)
        with storm(store) as callers:
            store.process.send_signal(signal.SIGKILL)
            assert ends(store.process, 10)
            assert ends(callers, 10)
        wait_for(lambda pid=guard: not is_running(pid))
        store.start()
        assert mounts(store) == 1


def test_the_next_start_ends_what_was_killed_with_its_guard(store):
    put(store.mount / "a", b"kept")
    for _ in range(TRIES):
        before = store.process
        with storm(store) as callers:
            os.kill(guard_of(store), signal.SIGKILL)
            before.send_signal(signal.SIGKILL)
            hangs = not ends(before, 2)
            store.start()
            assert ends(before, 10)
            assert ends(callers, 10)
        assert mounts(store) == 1
        assert (store.mount / "a").read_bytes() == b"kept"
        if hangs:
            assert f"Ending what is left of process {before.pid}" in store.log()
            return
    pytest.fail("it never hung")


def test_the_guard_outlives_no_store(store):
    # As a supervisor does it, who asks all processes of a service.
    guard = guard_of(store)
    os.kill(guard, signal.SIGTERM)
    os.kill(guard, signal.SIGINT)
    put(store.mount / "a", b"x")
    assert is_running(guard)
    assert store.stop() == 0
    assert not is_running(guard)
    assert mounts(store) == 0
