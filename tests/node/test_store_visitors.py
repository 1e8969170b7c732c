# SPDX-License-Identifier: Apache-2.0
"""What users without rights can cost a store: anybody may look at and list what is not private."""

import json
import os
from pathlib import Path

import pytest
from test_store import Store, put, running

NOBODY = 65534


@pytest.fixture
def store(tmp_path):
    yield from running(tmp_path)


def as_nobody(store, function):
    """Runs function in a process without rights in the root of the store, as above it there may be
    directories that are not for everybody; returns what it returns."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(store.mount)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writer, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        told = stream.read()
    os.waitpid(pid, 0)
    assert told, "the visitor failed"
    return json.loads(told)


def make_guests(store, n_guests):
    directory = store.mount / "nodes/somebody/lxc"
    os.makedirs(directory)
    for i in range(n_guests):
        put(directory / f"{100 + i}.conf", b"memory: 512\n")
    return directory


def cpu_seconds(store):
    fields = Path(f"/proc/{store.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("view", [".vmlist", ".store"])
def test_the_length_of_a_view_costs_little(store, view):
    make_guests(store, 1000)
    # What the digest of the tree is made of.
    for i in range(20):
        put(store.mount / f"large-{i}", bytes(1 << 20))
    (store.mount / view).stat()
    before = cpu_seconds(store)
    for i in range(10):
        put(store.mount / "nodes/somebody/lxc/100.conf", b"memory: %d\n" % i)
        as_nobody(store, lambda: [os.stat(view).st_size for _ in range(100)])
    assert cpu_seconds(store) - before < 0.6


def test_who_opens_a_view_finds_its_length(store):
    make_guests(store, 3)
    for view in (".vmlist", ".store", ".members", ".version", ".clusterlog"):
        with open(store.mount / view, "rb") as stream:
            assert os.fstat(stream.fileno()).st_size == len(stream.read()), view
