# SPDX-License-Identifier: Apache-2.0
"""What users without rights can cost a store: anybody may look at and list what is not private."""

import ctypes
import json
import os
import resource
from pathlib import Path

import pytest
from test_store import Store, put, running

NOBODY = 65534
SYS_GETDENTS64 = 217


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


def memory(store):
    lines = Path(f"/proc/{store.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


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


def test_a_visitor_fills_no_log(store):
    put(store.mount / "file", b"x")

    def sync():
        root = os.open(".", os.O_RDONLY)
        for _ in range(100):
            os.fsync(root)
        return True

    def last():
        return json.loads((store.mount / ".store").read_text())["last"]

    before = last()
    assert as_nobody(store, sync)
    assert last() == before
    root = os.open(store.mount, os.O_RDONLY)
    os.fsync(root)
    os.close(root)
    assert last() == before + 1


def test_who_opens_a_view_finds_its_length(store):
    make_guests(store, 3)
    for view in (".vmlist", ".store", ".members", ".version", ".clusterlog"):
        with open(store.mount / view, "rb") as stream:
            assert os.fstat(stream.fileno()).st_size == len(stream.read()), view


def test_a_listing_that_many_hold_is_there_once(store):
    make_guests(store, 2000)
    n_open = min(500, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 50)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(200)
    before = memory(store)

    def hold():
        held = [os.open("nodes/somebody/lxc", os.O_RDONLY | os.O_DIRECTORY) for _ in range(n_open)]
        for descriptor in held:
            assert libc.syscall(SYS_GETDENTS64, descriptor, buffer, len(buffer)) > 0
        return memory(store)

    assert as_nobody(store, hold) - before < 16 << 20


def test_a_listing_goes_on_where_it_was_and_shows_now_when_rewound(store):
    directory = make_guests(store, 300)
    first, second = (os.open(directory, os.O_RDONLY | os.O_DIRECTORY) for _ in range(2))
    try:
        assert len(os.listdir(first)) == 300
        put(directory / "999.conf", b"")
        (directory / "100.conf").unlink()
        os.lseek(first, 0, os.SEEK_SET)
        assert set(os.listdir(first)) == set(os.listdir(second)) == set(os.listdir(directory))
        assert "999.conf" in os.listdir(first) and "100.conf" not in os.listdir(first)
    finally:
        os.close(first)
        os.close(second)
