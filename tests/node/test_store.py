# SPDX-License-Identifier: Apache-2.0
"""The file system of a store that stands alone: atoll-cfs on a mount point of its own."""

import ctypes
import errno
import grp
import json
import mmap
import os
import signal
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support import readers
from support.labs import BUILD

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
MIB = 1 << 20
READERS = readers.__file__


class Store:
    """A running atoll-cfs and its mount point."""

    def __init__(self, directory, settings=""):
        self.directory = directory
        self.mount = directory / "mnt"
        self.database = directory / "config.db"
        self.conf = directory / "atoll.conf"
        self.conf.write_text(settings)
        self.process = None

    def argv(self):
        return [f"{BUILD}/atoll-cfs", "--local", "--mount", str(self.mount), "--db",
                str(self.database), "--conf", str(self.conf)]

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(self.argv(), stdout=log, stderr=log)
        wait_for(lambda: self.serves() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()
        wait_for((self.mount / "priv/lock").is_dir)
        return self

    def serves(self):
        try:
            return (self.mount / ".members").exists()
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        return self.process.wait(15)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(15)

    def log(self):
        return (self.directory / "log").read_text()

    def view(self, name):
        return json.loads((self.mount / name).read_text())


def wait_for(condition, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.01)


def serving(made):
    """Starts a store, and leaves nothing of it behind."""
    try:
        yield made.start()
    finally:
        if made.process.poll() is None:
            made.kill()
        subprocess.run(["umount", "-l", str(made.mount)], check=False, stderr=subprocess.DEVNULL)


def running(directory, settings=""):
    """The same for one that is made for it."""
    yield from serving(Store(directory, settings))


@pytest.fixture
def store(tmp_path):
    yield from running(tmp_path)


@pytest.fixture
def small_store(tmp_path):
    yield from running(tmp_path, "[store]\nfile-max=65536\ntotal-max=1048576\nentries-max=1024\n")


@pytest.fixture
def root(store):
    return store.mount


def fails_with(code, function, *arguments, **options):
    with pytest.raises(OSError) as caught:
        function(*arguments, **options)
    assert errno.errorcode[caught.value.errno] == errno.errorcode[code]


def renameat2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def put(path, data):
    """Replaces a file as most programs do: O_TRUNC and one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def in_threads(functions):
    """Runs functions at the same time, to their end."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- content --------------------------------------------------------------------------------


def test_what_is_written_is_read(root):
    put(root / "a", b"one\n")
    assert (root / "a").read_bytes() == b"one\n"
    assert (root / "a").stat().st_size == 4


def test_writes_append_and_patch(root):
    path = root / "a"
    path.write_bytes(b"0123456789")
    with open(path, "ab") as file:
        file.write(b"ab")
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, b"XY", 3)
    os.pwrite(descriptor, b"end", 15)
    assert os.pread(descriptor, 100, 0) == b"012XY56789ab\0\0\0end"
    os.ftruncate(descriptor, 5)
    assert os.pread(descriptor, 100, 0) == b"012XY"
    os.ftruncate(descriptor, 7)
    os.close(descriptor)
    assert path.read_bytes() == b"012XY\0\0"
    os.truncate(path, 1)
    assert path.read_bytes() == b"0"


def test_appenders_never_overwrite_each_other(root):
    path = root / "log"
    put(path, b"")
    both = [os.open(path, os.O_WRONLY | os.O_APPEND) for _ in range(2)]
    for i in range(20):
        os.write(both[i % 2], b"%02d" % i)
    for descriptor in both:
        os.close(descriptor)
    assert path.read_bytes() == b"".join(b"%02d" % i for i in range(20))


def test_truncating_open_waits_for_the_first_write(root):
    path = root / "a"
    put(path, b"old content")
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    assert path.read_bytes() == b"old content"
    assert path.stat().st_size == 11
    os.write(descriptor, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_size == 3
    os.write(descriptor, b"er")
    os.close(descriptor)
    assert path.read_bytes() == b"newer"


def test_truncating_open_without_write_empties_at_close(root):
    for _ in range(20):
        put(root / "a", b"old content")
        os.close(os.open(root / "a", os.O_WRONLY | os.O_TRUNC))
        assert (root / "a").stat().st_size == 0
        assert (root / "a").read_bytes() == b""


def test_fsync_carries_out_a_truncation(root):
    put(root / "a", b"old content")
    descriptor = os.open(root / "a", os.O_WRONLY | os.O_TRUNC)
    os.fsync(descriptor)
    assert (root / "a").read_bytes() == b""
    os.close(descriptor)


def test_shell_redirection_is_one_change(store):
    path = store.mount / "a"
    put(path, b"old")
    before = store.view(".store")["counters"]["entries"]
    subprocess.run(["sh", "-c", f"echo new > {path}"], check=True)
    assert path.read_bytes() == b"new\n"
    assert store.view(".store")["counters"]["entries"] == before + 1


@pytest.mark.parametrize("how", ["replace", "rename"])
@pytest.mark.parametrize("size", [512, 256 * 1024])
def test_readers_see_whole_versions_and_the_writer_its_own(root, how, size):
    path = str(root / "a")
    readers.replace(path, readers.content(0, size))

    def start(role, how):
        return subprocess.Popen([READERS, role, path, "--how", how, "--size", str(size),
                                 "--seconds", "2.5"], stdout=subprocess.PIPE, text=True)

    started = [start("read", kind) for kind in ("read", "read", "mmap", "stat")]
    counted = [json.loads(process.communicate()[0]) for process in [*started,
                                                                    start("write", how)]]
    assert [each["bad"] for each in counted] == [{}] * 5
    assert counted[-1]["versions"] > 1 and all(each["reads"] > 1 for each in counted[:4])
    assert [name for name in os.listdir(root) if name.startswith((".fuse", "a"))] == ["a"]


def test_a_reader_keeps_the_version_that_it_has_opened(root):
    path = root / "a"
    put(path, b"first")
    reader = os.open(path, os.O_RDONLY)
    put(path, b"second, and longer")
    assert os.read(reader, 100) == b"first" and os.fstat(reader).st_size == 5
    later = os.open(path, os.O_RDONLY)
    put(path, b"3")
    os.truncate(path, 0)
    assert os.pread(later, 100, 0) == b"second, and longer"
    assert os.pread(reader, 100, 0) == b"first"
    assert path.read_bytes() == b"" and path.stat().st_size == 0
    os.close(reader)
    os.close(later)


def test_writers_see_what_is_there(root):
    path = root / "a"
    put(path, b"first")
    writer = os.open(path, os.O_RDWR)
    put(path, b"second")
    assert os.pread(writer, 100, 0) == b"second"
    os.close(writer)


def test_what_is_read_again_is_not_asked_for(store):
    path = store.mount / "a"
    put(path, b"x" * 5000)
    path.read_bytes()
    before = store.view(".store")["counters"]["reads"]
    for _ in range(20):
        assert len(path.read_bytes()) == 5000
    assert store.view(".store")["counters"]["reads"] - before <= 2  # Those of .store itself.


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_TRUNC])
def test_descriptors_can_be_opened_anew(root, flags):
    path = root / "a"
    put(path, b"first")
    reader = os.open(path, os.O_RDONLY)
    put(path, b"second")
    for _ in range(3):
        again = os.open(f"/proc/self/fd/{reader}", flags)
        if flags == os.O_RDONLY:
            assert os.read(again, 100) == b"second"
        else:
            os.write(again, b"third!")
            assert path.read_bytes() == b"third!"
        os.close(again)
    assert os.pread(reader, 100, 0) == b"first"
    os.close(reader)


def test_a_file_that_is_mounted_elsewhere_shows_and_takes_changes(root, tmp_path):
    path, other = root / "a", tmp_path / "other"
    put(path, b"first")
    other.write_bytes(b"")
    subprocess.run(["mount", "--bind", path, other], check=True)
    try:
        assert other.read_bytes() == b"first"
        for data in (b"second", b"and the third"):
            put(path, data)
            assert other.read_bytes() == data and other.stat().st_size == len(data)
            put(other, data[::-1])
            assert path.read_bytes() == data[::-1]
    finally:
        subprocess.run(["umount", other], check=True)


def test_files_are_opened_relative_to_a_directory(root):
    os.mkdir(root / "d")
    directory = os.open(root / "d", os.O_RDONLY | os.O_DIRECTORY)
    put(root / "d/f", b"first")
    reader = os.open("f", os.O_RDONLY, dir_fd=directory)
    writer = os.open("f", os.O_WRONLY | os.O_TRUNC, dir_fd=directory)
    os.write(writer, b"second")
    assert os.pread(reader, 100, 0) == b"first"
    for descriptor in (writer, reader, directory):
        os.close(descriptor)
    assert (root / "d/f").read_bytes() == b"second"


# --- creation -------------------------------------------------------------------------------


def entries(store):
    return store.view(".store")["counters"]["entries"]


def test_creation_and_first_write_are_one_change(store):
    before = entries(store)
    put(store.mount / "a", b"content")
    assert entries(store) == before + 1
    put(store.mount / "a.tmp", b"other")
    os.rename(store.mount / "a.tmp", store.mount / "a")
    assert entries(store) == before + 3
    assert (store.mount / "a").read_bytes() == b"other"


def test_a_file_is_there_when_its_creator_has_closed_it(store):
    before = entries(store)
    os.close(os.open(store.mount / "a", os.O_WRONLY | os.O_CREAT))
    assert entries(store) == before + 1
    store.kill()
    store.start()
    assert (store.mount / "a").read_bytes() == b""


@pytest.mark.parametrize("look", [
    lambda root: os.stat(root / "a"), lambda root: os.listdir(root),
    lambda root: os.close(os.open(root / "a", os.O_RDONLY)),
    lambda root: os.rename(root / "a", root / "b"), lambda root: os.unlink(root / "a"),
    lambda root: os.link(root / "a", root / "b")])
def test_looking_for_it_makes_a_creation_come_true(store, look):
    before = entries(store)
    writer = os.open(store.mount / "a", os.O_WRONLY | os.O_CREAT)
    assert entries(store) == before
    try:
        look(store.mount)
    except PermissionError:
        pass
    assert entries(store) > before
    os.write(writer, b"x")
    os.close(writer)


@pytest.mark.parametrize("act", [
    os.fsync, os.fstat, lambda descriptor: os.ftruncate(descriptor, 3), os.utime])
def test_acting_on_the_descriptor_makes_a_creation_come_true(store, act):
    before = entries(store)
    writer = os.open(store.mount / "a", os.O_RDWR | os.O_CREAT)
    assert os.read(writer, 10) == b"" and entries(store) == before
    act(writer)
    assert entries(store) > before
    os.pwrite(writer, b"x", 5)
    size = os.fstat(writer).st_size
    os.close(writer)
    assert size == 6 and (store.mount / "a").read_bytes()[5:] == b"x"
    assert (store.mount / "a").stat().st_ino == os.stat(store.mount / "a").st_ino


def test_a_killed_creator_leaves_an_empty_file(root):
    script = "import os, time; os.open('a', os.O_CREAT | os.O_WRONLY); print(flush=True); " \
             "time.sleep(60)"
    creator = subprocess.Popen(["/usr/bin/python3", "-c", script], cwd=root,
                               stdout=subprocess.PIPE)
    creator.stdout.readline()
    creator.kill()
    creator.wait()
    assert (root / "a").read_bytes() == b""


def test_a_directory_with_a_creation_is_not_empty(root):
    os.mkdir(root / "d")
    writer = os.open(root / "d/a", os.O_WRONLY | os.O_CREAT)
    fails_with(errno.ENOTEMPTY, os.rmdir, root / "d")
    os.close(writer)


def test_many_creations_wait_at_one_time(root):
    os.mkdir(root / "d")
    writers = [os.open(root / f"d/{i}", os.O_WRONLY | os.O_CREAT) for i in range(300)]
    for i, writer in enumerate(writers):
        os.write(writer, b"%d" % i)
    for writer in writers:
        os.close(writer)
    assert len(os.listdir(root / "d")) == 300
    assert all((root / f"d/{i}").read_bytes() == b"%d" % i for i in range(300))


def test_two_creators_of_one_name_write_one_file(root):
    first = os.open(root / "a", os.O_WRONLY | os.O_CREAT)
    second = os.open(root / "a", os.O_WRONLY | os.O_CREAT)
    fails_with(errno.EEXIST, os.open, root / "a", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(first, b"1")
    os.pwrite(second, b"2", 1)
    for descriptor in (first, second):
        os.close(descriptor)
    assert (root / "a").read_bytes() == b"12"


def test_creations_that_cannot_be_are_refused_at_once(small_store):
    root = small_store.mount
    writer = os.open(root / "big", os.O_WRONLY | os.O_CREAT)
    fails_with(errno.EFBIG, os.write, writer, b"x" * 65537)
    fails_with(errno.EFBIG, os.pwrite, writer, b"x", 1 << 40)
    os.write(writer, b"fits")
    os.close(writer)
    assert (root / "big").read_bytes() == b"fits"
    put(root / "lxc/100.conf", b"")
    os.makedirs(root / "nodes/other/lxc")
    fails_with(errno.EEXIST, os.open, root / "nodes/other/lxc/100.conf",
               os.O_WRONLY | os.O_CREAT)


def test_removed_files_stay_with_those_who_have_them_open(root):
    path = root / "a"
    put(path, b"content")
    reader = os.open(path, os.O_RDWR)
    os.unlink(path)
    assert not path.exists()
    assert os.pread(reader, 100, 0) == b"content"
    os.pwrite(reader, b"CON", 0)
    assert os.pread(reader, 100, 0) == b"CONtent"
    assert os.fstat(reader).st_size == 7
    put(path, b"another")
    assert os.pread(reader, 100, 0) == b"CONtent"
    os.close(reader)
    assert path.read_bytes() == b"another"


def test_renamed_files_are_written_under_their_new_name(root):
    put(root / "a", b"1")
    writer = os.open(root / "a", os.O_WRONLY)
    os.mkdir(root / "d")
    os.rename(root / "a", root / "d/b")
    os.write(writer, b"2")
    os.close(writer)
    assert (root / "d/b").read_bytes() == b"2"
    assert not (root / "a").exists()


def test_private_mappings_show_what_is_committed(root):
    path = root / "a"
    for data in (b"first", b"other"):
        put(path, data)
        with open(path, "rb") as file, \
                mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapping:
            assert mapping[:] == data


# --- names ----------------------------------------------------------------------------------


def test_exclusive_creation_has_one_winner(root):
    for i in range(20):
        won = []

        def create(path=root / f"x{i}", won=won):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                won.append(1)
            except FileExistsError:
                pass

        in_threads([create] * 4)
        assert len(won) == 1


def test_directories_are_made_and_removed(root):
    os.mkdir(root / "d")
    fails_with(errno.EEXIST, os.mkdir, root / "d")
    put(root / "d/f", b"")
    fails_with(errno.ENOTEMPTY, os.rmdir, root / "d")
    os.unlink(root / "d/f")
    os.rmdir(root / "d")
    fails_with(errno.ENOENT, os.stat, root / "d")
    fails_with(errno.ENOENT, os.mkdir, root / "d/e")


def test_rename_replaces_or_refuses(root):
    put(root / "a", b"a")
    put(root / "b", b"b")
    fails_with(errno.EEXIST, renameat2, root / "a", root / "b", RENAME_NOREPLACE)
    fails_with(errno.EINVAL, renameat2, root / "a", root / "b", RENAME_EXCHANGE)
    renameat2(root / "a", root / "c", RENAME_NOREPLACE)
    os.rename(root / "c", root / "b")
    assert (root / "b").read_bytes() == b"a"
    os.mkdir(root / "full")
    put(root / "full/f", b"")
    fails_with(errno.EPERM, os.rename, root / "full", root / "moved")


def test_a_guest_exists_once(root):
    put(root / "lxc/100.conf", b"arch: amd64\n")
    os.makedirs(root / "nodes/other/lxc")
    fails_with(errno.EEXIST, put, root / "nodes/other/lxc/100.conf", b"")
    os.rename(root / "lxc/100.conf", root / "nodes/other/lxc/100.conf")
    assert not (root / "local/lxc/100.conf").exists()
    assert (root / "nodes/other/lxc/100.conf").read_bytes() == b"arch: amd64\n"


def test_listings_show_everything_once(root):
    os.mkdir(root / "d")
    names = {f"file-{i:03}" for i in range(300)}
    for name in names:
        put(root / "d" / name, b"")
    listed = os.listdir(root / "d")
    assert len(listed) == 300 and set(listed) == names
    assert {"local", "lxc", "nodes", "priv", ".members", ".version"} <= set(os.listdir(root))


def test_names_are_any_bytes(root):
    for name in (b"new\nline", b"\xff\xfe", b"\x01", b"..."):
        path = os.fsencode(root) + b"/" + name
        put(path, name)
        assert name in os.listdir(os.fsencode(root))
        with open(path, "rb") as file:
            assert file.read() == name


def test_names_and_types_that_are_refused(root):
    put(root / "a", b"")
    fails_with(errno.EPERM, os.symlink, "x", root / "link")
    fails_with(errno.EPERM, os.link, root / "a", root / "b")
    fails_with(errno.EPERM, os.mkfifo, root / "fifo")
    fails_with(errno.ENOTSUP, os.setxattr, root / "a", "user.x", b"1")
    fails_with(errno.ENOTSUP, os.getxattr, root / "a", "user.x")
    fails_with(errno.ENAMETOOLONG, put, root / ("n" * 256), b"")
    for name in ("local", "lxc", ".members", ".store"):
        fails_with(errno.EPERM, os.unlink, root / name)
        fails_with(errno.EPERM, os.rename, root / "a", root / name)
    fails_with(errno.EACCES, put, root / ".members", b"x")


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe", b'"\\', b"\x01\x7f", b" ", b"n" * 255])
def test_names_are_any_bytes(store, name):
    path = os.path.join(os.fsencode(store.mount), b"lxc", name)
    put(path, b"content")
    os.utime(path, (1, 1))
    assert name in os.listdir(os.fsencode(store.mount / "lxc"))
    os.rename(path, path + b"2" if len(name) < 255 else os.fsencode(store.mount / "short"))
    put(path, b"another")
    for view in (".members", ".store", ".version", ".vmlist"):
        store.view(view)
    assert store.stop() == 0
    store.start()
    with open(path, "rb") as file:
        assert file.read() == b"another"
    assert all("atoll-cfs" in line for line in store.log().splitlines())


# --- attributes -----------------------------------------------------------------------------


def store_group():
    try:
        return grp.getgrnam("www-data").gr_gid
    except KeyError:
        return 0


@pytest.mark.parametrize("directory, modes", [
    (".", (0o755, 0o640)), ("nodes", (0o755, 0o640)), ("priv", (0o700, 0o600)),
    ("priv/lock", (0o700, 0o600)), ("local/priv", (0o700, 0o600)), ("local/lxc", (0o755, 0o640))])
def test_mode_and_owner_follow_from_the_path(root, directory, modes):
    old_mask = os.umask(0)
    put(root / directory / "f", b"")
    os.umask(old_mask)
    for path, mode in ((root / directory, modes[0]), (root / directory / "f", modes[1])):
        found = os.stat(path)
        assert oct(stat.S_IMODE(found.st_mode)) == oct(mode)
        assert (found.st_uid, found.st_gid) == (0, store_group())


def test_mode_changes_with_the_place(root):
    put(root / "a", b"secret")
    os.rename(root / "a", root / "priv/a")
    wait_for(lambda: stat.S_IMODE(os.stat(root / "priv/a").st_mode) == 0o600, 2)


def test_mode_and_owner_cannot_be_changed(root):
    put(root / "a", b"")
    os.chmod(root / "a", 0o640)
    os.chown(root / "a", 0, store_group())
    os.chown(root / "a", -1, -1)
    fails_with(errno.EPERM, os.chmod, root / "a", 0o600)
    fails_with(errno.EPERM, os.chown, root / "a", 1, -1)


def test_times_are_kept(root):
    put(root / "a", b"")
    os.utime(root / "a", (1, 1234567))
    assert os.stat(root / "a").st_mtime == 1234567
    os.utime(root / "a")
    assert abs(os.stat(root / "a").st_mtime - time.time()) < 3


def test_barriers_work_on_files_and_directories(root):
    put(root / "a", b"x")
    for path, flags in ((root / "a", os.O_RDONLY), (root, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(path, flags)
        os.fsync(descriptor)
        os.fdatasync(descriptor)
        os.close(descriptor)


# --- limits ---------------------------------------------------------------------------------


def test_a_file_has_a_largest_size(small_store):
    path = small_store.mount / "a"
    put(path, b"x" * 65536)
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    fails_with(errno.EFBIG, os.write, descriptor, b"y" * 65537)
    os.close(descriptor)
    assert path.read_bytes() == b"x" * 65536
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    fails_with(errno.EFBIG, os.write, descriptor, b"y")
    os.close(descriptor)
    fails_with(errno.EFBIG, os.truncate, path, 65537)
    fails_with(errno.EFBIG, os.truncate, path, 1 << 40)
    assert path.read_bytes() == b"x" * 65536


def test_a_megabyte_is_the_default_limit(root):
    data = os.urandom(MIB)
    (root / "big").write_bytes(data)
    assert (root / "big").read_bytes() == data
    fails_with(errno.EFBIG, os.truncate, root / "big", MIB + 1)


def test_all_together_have_a_limit(small_store):
    root = small_store.mount
    free = os.statvfs(root)
    assert free.f_blocks * free.f_frsize == MIB and free.f_files == 1024
    for i in range(15):
        put(root / f"f{i}", b"x" * 65536)
    fails_with(errno.ENOSPC, put, root / "last", b"x" * 65536)
    os.unlink(root / "f0")
    put(root / "last", b"x" * 65536)


def test_the_number_of_entries_has_a_limit(small_store):
    root = small_store.mount
    made = 0
    with pytest.raises(OSError) as caught:
        for _ in range(1100):
            os.mkdir(root / f"d{made}")
            made += 1
    assert caught.value.errno == errno.ENOSPC
    assert os.statvfs(root).f_ffree == 0
    os.rmdir(root / "d0")
    os.mkdir(root / "again")


# --- what the store makes itself ------------------------------------------------------------


def test_views_have_the_known_shapes(store):
    members = store.view(".members")
    assert set(members) == {"nodename", "version"}
    assert "ids" not in store.view(".vmlist")
    put(store.mount / "lxc/123.conf", b"")
    vmlist = store.view(".vmlist")
    assert vmlist["ids"]["123"]["node"] == members["nodename"]
    assert vmlist["ids"]["123"]["type"] == "lxc"
    put(store.mount / "lxc/123.conf", b"x")
    later = store.view(".vmlist")
    assert later["version"] > vmlist["version"]
    assert later["ids"]["123"]["version"] > vmlist["ids"]["123"]["version"]
    assert store.view(".version")["storage.cfg"] == 0
    put(store.mount / "storage.cfg", b"")
    version = store.view(".version")
    assert version["storage.cfg"] > 0 and version["vmlist"] == later["version"]


def test_store_tells_its_state(store):
    state = store.view(".store")
    assert state["mode"] == "standalone" and state["quorate"] is True
    assert state["need"] == 1 and state["state"] == "active"
    assert {"entries", "batches", "fsyncs", "bytes_written", "reads"} <= set(state["counters"])


def test_links_lead_to_this_node(root):
    name = json.loads((root / ".members").read_text())["nodename"]
    assert os.readlink(root / "local") == f"nodes/{name}"
    assert os.readlink(root / "lxc") == f"nodes/{name}/lxc"
    assert sorted(os.listdir(root / "local")) == ["lxc", "priv"]


def test_verbose_logging_is_switched_at_run_time(store):
    path = store.mount / ".debug"
    assert path.read_bytes() == b"0\n"
    subprocess.run(["sh", "-c", f"echo 1 > {path}"], check=True)
    assert path.read_bytes() == b"1\n" and path.stat().st_size == 2
    for wrong in (b"2", b"on\n", b"11"):
        fails_with(errno.EINVAL, put, path, wrong)
    put(path, b"0")
    assert path.read_bytes() == b"0\n" and stat.S_IMODE(path.stat().st_mode) == 0o640


# --- life -----------------------------------------------------------------------------------


def test_stopping_unmounts_and_starting_shows_the_same(store):
    put(store.mount / "a", b"kept")
    os.mkdir(store.mount / "d")
    assert store.stop() == 0
    assert not os.path.ismount(store.mount) and os.listdir(store.mount) == []
    store.start()
    assert (store.mount / "a").read_bytes() == b"kept"
    assert (store.mount / "d").is_dir()


def test_stopping_works_while_files_are_open(store):
    descriptor = os.open(store.mount / "priv", os.O_RDONLY | os.O_DIRECTORY)
    assert store.stop() == 0
    os.close(descriptor)


def test_acknowledged_writes_survive_a_kill(store):
    acknowledged = {}

    def write(number):
        path, i = store.mount / f"w{number}", 0
        while True:
            i += 1
            try:
                put(path, b"%d" % i)
            except OSError:
                return
            acknowledged[number] = i

    def kill():
        wait_for(lambda: sum(acknowledged.values()) > 200)
        store.kill()

    in_threads([kill] + [lambda number=number: write(number) for number in range(4)])
    assert len(acknowledged) == 4
    store.start()
    for number, last in acknowledged.items():
        assert int((store.mount / f"w{number}").read_bytes()) in (last, last + 1)


def test_a_dead_mount_is_cleared_even_if_held_open(store):
    put(store.mount / "a", b"kept")
    descriptor = os.open(store.mount / "a", os.O_RDONLY)
    store.kill()
    fails_with(errno.ENOTCONN, os.statvfs, store.mount)
    store.start()
    assert (store.mount / "a").read_bytes() == b"kept"
    assert Path("/proc/self/mountinfo").read_text().count(f" {store.mount} ") == 1
    os.close(descriptor)


def test_a_second_daemon_is_refused(store):
    done = subprocess.run(store.argv(), capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "served by another process" in done.stderr + done.stdout
    put(store.mount / "a", b"still works")


def test_a_damaged_database_is_set_aside(store):
    put(store.mount / "a", b"x" * 5000)
    store.stop()
    with open(store.database, "r+b") as file:
        file.seek(100)
        file.write(os.urandom(3000))
    damaged = store.database.read_bytes()
    store.start()
    kept = [path for path in store.directory.glob("config.db.damaged-*")
            if not path.name.endswith(("-wal", "-shm"))]
    assert [path.read_bytes() for path in kept] == [damaged]
    assert "is damaged" in store.log()
    assert not (store.mount / "a").exists()
    put(store.mount / "a", b"new")


def rows_of(database):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return {name: (parent, kind, data) for parent, kind, name, data in
                connection.execute("SELECT parent, type, name, data FROM tree")}
    finally:
        connection.close()


def test_the_database_is_plain_to_read_while_it_is_served(store):
    put(store.mount / "priv/secret", b"content")
    assert stat.S_IMODE(store.database.stat().st_mode) == 0o600
    wait_for(lambda: rows_of(store.database).get("secret", (0, 0, 0))[2] == b"content", 3)
    rows = rows_of(store.database)
    assert rows["secret"][1] == 8
    assert rows["priv"][1:] == (4, None)
    assert rows["__version__"][0] == 0


def written(store):
    """What tells that something was written: bytes of the process, and its files."""
    lines = Path(f"/proc/{store.process.pid}/io").read_text().splitlines()
    count = next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
    return count, {path.name: (path.stat().st_mtime_ns, path.stat().st_size)
                   for path in store.directory.glob("config.db*")}


def test_idle_writes_nothing(store):
    for i in range(50):
        put(store.mount / "a", b"%d" % i)
    time.sleep(1)
    before = written(store)
    time.sleep(2.5)
    assert (store.mount / "a").read_bytes() == b"49"
    assert written(store) == before


def test_nothing_but_the_right_to_mount_is_kept(store):
    lines = Path(f"/proc/{store.process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t") for line in lines if line.startswith("Cap"))
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapPrm"], 16) & ~(1 << 21) == 0


def test_options_are_explained_and_checked():
    def run(*arguments):
        return subprocess.run([f"{BUILD}/atoll-cfs", *arguments], capture_output=True, text=True,
                              timeout=20, check=False)

    assert "--mount" in run("--help").stdout
    assert run("--version").stdout.startswith("atoll-cfs ")
    for wrong in (["--nonsense"], ["extra"]):
        done = run(*wrong)
        assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1
