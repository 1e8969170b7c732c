# SPDX-License-Identifier: Apache-2.0
"""Lock directories of a store that stands alone: what mkdir, rmdir and utime below priv/lock do."""

import errno
import os
import sqlite3
import time

import pytest
from node.test_store import fails_with, running


@pytest.fixture
def store(tmp_path):
    yield from running(tmp_path)


@pytest.fixture
def locks(store):
    return store.mount / "priv/lock"


def test_a_lock_has_one_owner(locks):
    (locks / "x").mkdir()
    fails_with(errno.EEXIST, (locks / "x").mkdir)
    (locks / "x").rmdir()
    (locks / "x").mkdir()


def test_each_taking_is_another_directory(locks):
    seen = set()
    for _ in range(5):
        (locks / "x").mkdir()
        seen.add((locks / "x").stat().st_ino)
        (locks / "x").rmdir()
    assert len(seen) == 5


def test_a_fresh_lock_is_not_removed_by_who_asks_for_its_removal(locks):
    (locks / "x").mkdir()
    os.utime(locks / "x", (0, 0))
    assert (locks / "x").is_dir()
    os.utime(locks / "x")
    os.utime(locks / "x", (0, 0))
    assert (locks / "x").is_dir()


def test_renewing_writes_nothing_to_the_disk(store, locks):
    (locks / "x").mkdir()
    time.sleep(1)
    before = store.view(".store")
    for _ in range(20):
        os.utime(locks / "x")
    after = store.view(".store")
    assert after["last"] == before["last"]
    assert after["counters"]["batches"] == before["counters"]["batches"]


def test_nothing_but_taking_and_freeing_changes_a_lock(locks):
    (locks / "x").mkdir()
    inode = (locks / "x").stat().st_ino
    fails_with(errno.EPERM, (locks / "x/inside").mkdir)
    fails_with(errno.EPERM, (locks / "x/inside").write_text, "")
    fails_with(errno.EPERM, os.rename, locks / "x", locks / "y")
    (locks.parent / "directory").mkdir()
    fails_with(errno.EPERM, os.rename, locks.parent / "directory", locks / "y")
    assert (locks / "x").stat().st_ino == inode
    assert os.listdir(locks) == ["x"]


def test_a_lock_outlives_its_daemon(store, locks):
    (locks / "x").mkdir()
    inode = (locks / "x").stat().st_ino
    store.kill()
    store.start()
    assert (locks / "x").stat().st_ino == inode
    fails_with(errno.EEXIST, (locks / "x").mkdir)
    os.utime(locks / "x", (0, 0))
    assert (locks / "x").is_dir()


def test_the_lease_is_in_the_row_of_the_directory(store, locks):
    (locks / "x").mkdir()
    time.sleep(1)  # Rows follow their log entries.
    assert store.stop() == 0
    with sqlite3.connect(store.database) as database:
        rows = database.execute("SELECT type, data FROM tree WHERE name = 'x'").fetchall()
    assert rows == [(4, b"\x01\x78\x00\x00\x00\x00")]
