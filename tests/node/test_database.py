# SPDX-License-Identifier: Apache-2.0
"""The database of a store that stands alone: damaged, full, imported, exported, idle."""

import errno
import os
import shutil
import sqlite3
import subprocess
import time

import pytest

from test_store import MIB, Store, fails_with, put, running, serving, wait_for

DIRECTORY, FILE = 4, 8


@pytest.fixture
def store(tmp_path):
    yield from running(tmp_path)


@pytest.fixture
def stopped(tmp_path):
    """A store that does not run yet, and leaves nothing behind."""
    made = Store(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.kill()
    subprocess.run(["umount", "-l", str(made.mount)], check=False, stderr=subprocess.DEVNULL)


def cfs(store, *arguments):
    """Runs atoll-cfs for something else than serving."""
    return subprocess.run([store.argv()[0], "--db", str(store.database), "--conf",
                           str(store.conf), *map(str, arguments)],
                          capture_output=True, text=True, check=False, timeout=60)


def fill(store, n=200):
    """Writes files that need more than one page of the database, waits until they are rows of the
    tree (which follow the log within a second), and returns their content."""
    content = {f"file-{i}": os.urandom(600 + 7 * i) for i in range(n)}
    for name, data in content.items():
        put(store.mount / name, data)
    time.sleep(1)
    return content


def kept(store):
    """The databases that were set aside."""
    return [path for path in store.directory.glob("config.db.damaged-*")
            if not path.name.endswith(("-wal", "-shm"))]


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


# --- damage -------------------------------------------------------------------------------------


def damage_page(store):
    """One of those with rows of the tree; the log is in the same file."""
    database = sqlite3.connect(store.database)
    (size,) = database.execute("PRAGMA page_size").fetchone()
    pages = database.execute("SELECT pageno FROM dbstat WHERE name = 'tree' AND pagetype = 'leaf'"
                             " ORDER BY path").fetchall()
    database.close()
    overwrite(store.database, (pages[len(pages) // 2][0] - 1) * size, b"Z" * size)


def damage_head(store):
    overwrite(store.database, 0, b"Z" * 100)


def cut_in_half(store):
    os.truncate(store.database, store.database.stat().st_size // 2)


def empty(store):
    os.truncate(store.database, 0)


def remove(store):
    store.database.unlink()


def contradict(store):
    database = sqlite3.connect(store.database)
    database.execute("UPDATE tree SET parent = 99999999 WHERE name = 'file-7'")
    database.commit()
    database.close()


def repeat_a_name(store):
    database = sqlite3.connect(store.database)
    database.execute("UPDATE tree SET name = 'file-8' WHERE name = 'file-7'")
    database.commit()
    database.close()


@pytest.mark.parametrize("damage", [damage_page, damage_head, cut_in_half, empty, remove,
                                    contradict, repeat_a_name])
def test_a_damaged_database_is_set_aside_and_explained(store, damage):
    fill(store)
    store.stop()
    damage(store)
    broken = store.database.read_bytes() if store.database.exists() else None
    assert cfs(store, "--verify").returncode == 1
    store.start()
    assert not (store.mount / "file-1").exists()
    put(store.mount / "new", b"new")
    assert [path.read_bytes() for path in kept(store)] == ([broken] if broken is not None else [])
    assert "is damaged (" in store.log()
    assert "--export DIR" in store.log()
    store.stop()
    assert cfs(store, "--verify").returncode == 0


def test_a_damaged_write_ahead_log_is_set_aside(store):
    fill(store)
    store.kill()
    wal = store.directory / "config.db-wal"
    assert wal.stat().st_size > 0
    overwrite(wal, 0, b"Z" * 32)
    store.start()
    assert [path.name + "-wal" for path in kept(store)] == \
        [path.name for path in store.directory.glob("*damaged*-wal")]


def test_what_crashed_is_whole(store):
    content = fill(store)
    store.kill()
    assert cfs(store, "--verify").returncode == 0
    store.start()
    assert not kept(store)
    assert {name: (store.mount / name).read_bytes() for name in content} == content


def test_a_mode_that_keeps_the_store_out_is_put_right(store):
    content = fill(store, 3)
    store.stop()
    os.chmod(store.database, 0)
    store.start()
    assert (store.mount / "file-1").read_bytes() == content["file-1"]
    assert store.database.stat().st_mode & 0o777 == 0o600


def test_what_is_no_file_is_left_alone(stopped):
    stopped.database.mkdir()
    with pytest.raises(AssertionError):
        stopped.start()
    assert "cannot open" in stopped.log()
    assert stopped.database.is_dir()


# --- export and verify --------------------------------------------------------------------------


def exported(directory):
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*") if path.is_file()}


def test_export_writes_the_tree_while_it_is_served_and_after(store):
    content = fill(store, 20)
    (store.mount / "d").mkdir()
    put(store.mount / "d/inner", b"inner")
    os.utime(store.mount / "d/inner", (0, 1234567890))
    content["d/inner"] = b"inner"
    time.sleep(1)
    target = store.directory / "out"
    result = cfs(store, "--export", target)
    assert (result.returncode, result.stderr) == (0, "")
    assert exported(target) == content
    assert (target / "d/inner").stat().st_mtime == 1234567890
    store.stop()
    again = store.directory / "again"
    assert cfs(store, "--export", again).returncode == 0
    assert exported(again) == content
    result = cfs(store, "--export", again)
    assert result.returncode == 1 and "is not empty" in result.stderr


def test_export_tells_what_it_cannot_know_to_be_confirmed(store):
    fill(store, 3)
    put(store.mount / "last", b"last")
    store.kill()
    result = cfs(store, "--export", store.directory / "out")
    assert result.returncode == 0
    # Rows may have followed the log before the kill.
    assert ("Left out: 1 " in result.stdout) == ("last" not in exported(store.directory / "out"))
    store.start()
    assert (store.mount / "last").read_bytes() == b"last"
    store.stop()
    result = cfs(store, "--export", store.directory / "again")
    assert "Left out" not in result.stdout
    assert exported(store.directory / "again")["last"] == b"last"


def test_export_saves_what_is_left_of_a_damaged_tree(store):
    content = fill(store)
    store.stop()
    damage_page(store)
    target = store.directory / "out"
    result = cfs(store, "--export", target)
    assert result.returncode == 1
    assert "is damaged" in result.stderr
    saved = exported(target)
    assert len(content) > len(saved) > len(content) * 0.8
    assert all(content[name] == data for name, data in saved.items())


def test_verify_tells_what_is_there(store):
    fill(store, 5)
    digest = store.view(".store")["tree_digest"]
    store.stop()
    result = cfs(store, "--verify")
    assert result.returncode == 0
    assert digest in result.stdout
    shutil.move(store.database, store.directory / "elsewhere")
    result = cfs(store, "--verify")
    assert result.returncode == 1 and "cannot open" in result.stderr


def test_one_thing_is_done_at_a_time(stopped):
    result = cfs(stopped, "--verify", "--export", "/nowhere")
    assert result.returncode == 1 and "exclude each other" in result.stderr


# --- import -------------------------------------------------------------------------------------


def make_foreign(path, rows, version=1000):
    """A database as pmxcfs leaves it.  Rows: inode, parent, type, name, data."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE tree (inode INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT"
                     " NULL CHECK(typeof(parent)=='integer'), version INTEGER NOT NULL, writer"
                     " INTEGER NOT NULL, mtime INTEGER NOT NULL, type INTEGER NOT NULL, name TEXT"
                     " NOT NULL, data BLOB)")
    database.execute("INSERT INTO tree VALUES (0, 0, ?, 1, 1600000000, 8, '__version__', NULL)",
                     (version,))
    for inode, parent, kind, name, data in rows:
        database.execute("INSERT INTO tree VALUES (?, ?, ?, 1, 1600000000, ?, CAST(? AS TEXT), ?)",
                         (inode, parent, inode, kind, name, data))
    database.commit()
    database.close()


ROWS = [
    (2, 0, FILE, b"storage.cfg", b"dir: local\n"),
    (3, 0, DIRECTORY, b"nodes", None),
    (4, 3, DIRECTORY, b"n1", None),
    (5, 4, DIRECTORY, b"qemu-server", None),
    (6, 5, FILE, b"100.conf", b"cores: 2\n"),
    (7, 4, DIRECTORY, b"lxc", None),
    (8, 7, FILE, b"101.conf", b"arch: amd64\n"),
    (9, 0, FILE, b"odd \xff\xfe name", b""),
]


def test_a_foreign_database_is_taken_over(stopped):
    foreign = stopped.directory / "foreign.db"
    make_foreign(foreign, ROWS)
    before = foreign.read_bytes()
    result = cfs(stopped, "--import-db", foreign)
    assert (result.returncode, result.stderr) == (0, "")
    assert foreign.read_bytes() == before
    assert stopped.database.stat().st_mode & 0o777 == 0o600
    assert cfs(stopped, "--verify").returncode == 0
    assert not list(stopped.directory.glob("*.import*"))
    stopped.start()
    root = os.fsencode(stopped.mount)
    assert (stopped.mount / "nodes/n1/qemu-server/100.conf").read_bytes() == b"cores: 2\n"
    assert (stopped.mount / "storage.cfg").stat().st_mtime == 1600000000
    assert os.stat(root + b"/odd \xff\xfe name").st_size == 0
    assert stopped.view(".vmlist")["ids"]["100"]["type"] == "qemu"
    put(stopped.mount / "new", b"x")
    result = cfs(stopped, "--import-db", foreign)
    assert result.returncode == 1 and "served by another process" in result.stderr
    stopped.stop()
    result = cfs(stopped, "--import-db", foreign)
    assert result.returncode == 1 and "move it away" in result.stderr


@pytest.mark.parametrize("rows, complaint", [
    ([(2, 0, FILE, b"big", b"x" * (MIB + 1))], "file-max"),
    ([(2, 0, FILE, b"a/b", b"")], "the name 'a/b' cannot be"),
    ([(2, 99, FILE, b"orphan", b"")], "cannot take over"),
    ([(2, 0, 5, b"odd", b"")], "cannot read the tree"),
    ([(2, 0, FILE, b"twice", b""), (3, 0, FILE, b"twice", b"")], "contradicts"),
    (ROWS + [(10, 5, FILE, b"101.conf", b"")], "cannot take over"),
])
def test_what_cannot_be_taken_over_makes_nothing(stopped, rows, complaint):
    foreign = stopped.directory / "foreign.db"
    make_foreign(foreign, rows)
    result = cfs(stopped, "--import-db", foreign)
    assert result.returncode == 1
    assert complaint in result.stderr
    assert not stopped.database.exists()
    assert not list(stopped.directory.glob("*.import*"))


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_what_is_no_database_is_not_taken_over(stopped, content):
    foreign = stopped.directory / "foreign.db"
    foreign.write_bytes(content)
    result = cfs(stopped, "--import-db", foreign)
    assert result.returncode == 1 and result.stderr
    assert foreign.read_bytes() == content
    assert not stopped.database.exists()


def test_a_damaged_foreign_database_is_not_taken_over(stopped):
    foreign = stopped.directory / "foreign.db"
    make_foreign(foreign, [(i, 0, FILE, b"f%d" % i, os.urandom(3000)) for i in range(2, 200)])
    overwrite(foreign, 100 * 1024, b"Z" * 4096)
    result = cfs(stopped, "--import-db", foreign)
    assert result.returncode == 1 and "foreign.db" in result.stderr
    assert not stopped.database.exists()


# --- a full disk --------------------------------------------------------------------------------


@pytest.fixture
def cramped(tmp_path):
    """A store whose database is on a small file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    made = Store(tmp_path)
    made.database = disk / "config.db"
    try:
        yield from serving(made)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_fails_changes_and_frees_itself(cramped):
    put(cramped.mount / "a", b"before")
    ballast = cramped.database.parent / "ballast"
    free = os.statvfs(ballast.parent).f_bavail * os.statvfs(ballast.parent).f_frsize
    ballast.write_bytes(b"x" * (free - 16384))
    descriptor = os.open(cramped.mount / "a", os.O_WRONLY)
    with pytest.raises(OSError) as caught:
        os.pwrite(descriptor, b"x" * 200000, 6)
    assert caught.value.errno in (errno.EIO, errno.ENOSPC)
    start = time.monotonic()
    os.close(descriptor)
    fails_with(errno.ENOSPC, put, cramped.mount / "c", b"x" * 200000)
    assert time.monotonic() - start < 3
    assert "Cannot write the database" in cramped.log()
    ballast.unlink()
    wait_for(lambda: "can be written again" in cramped.log(), 10)
    put(cramped.mount / "d", b"after")
    cramped.kill()
    cramped.start()
    assert (cramped.mount / "a").read_bytes()[:6] == b"before"
    assert (cramped.mount / "d").read_bytes() == b"after"
    assert not (cramped.mount / "c").exists()


# --- bytes and time -----------------------------------------------------------------------------


def written(store):
    """Bytes that the process has given to a disk, by the kernel's count."""
    with open(f"/proc/{store.process.pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])


def cpu_s(store):
    with open(f"/proc/{store.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_with_nobody_writing_nothing_is_written(store):
    fill(store, 20)
    time.sleep(2)
    bytes_before, cpu_before = written(store), cpu_s(store)
    counted = store.view(".store")["counters"]["bytes_written"]
    time.sleep(10)
    assert written(store) == bytes_before
    assert store.view(".store")["counters"]["bytes_written"] == counted
    assert cpu_s(store) - cpu_before < 0.003 * 10 + 0.02
