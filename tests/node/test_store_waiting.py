# SPDX-License-Identifier: Apache-2.0
"""How long callers of a store wait whose disk takes nothing: the disk hangs, until it is thawed."""

import contextlib
import errno
import fcntl
import os
import subprocess
import threading
import time

import pytest
from test_store import Store, fails_with, put, wait_for

# The bound of the file system, and what a busy machine may add.
BOUND_S = 10
SLACK_S = 3

# Of linux/fs.h.  Starting a program would create what waits to be created: the child closes it.
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


class FrozenStore(Store):
    """A store whose database is on a file system that can be made to hang."""

    def __init__(self, directory):
        super().__init__(directory)
        self.disk = directory / "disk"
        self.database = self.disk / "config.db"
        self.frozen = False

    def make_disk(self):
        image = self.directory / "image"
        with open(image, "wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        self.disk.mkdir()
        subprocess.run(["mount", "-o", "loop", image, self.disk], check=True)

    def freeze(self):
        self.control(FIFREEZE)
        self.frozen = True

    def thaw(self):
        if self.frozen:
            self.control(FITHAW)
        self.frozen = False

    def control(self, what):
        descriptor = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, what, 0)
        finally:
            os.close(descriptor)


@pytest.fixture
def store(tmp_path):
    made = FrozenStore(tmp_path)
    made.make_disk()
    try:
        yield made.start()
    finally:
        made.thaw()
        if made.process and made.process.poll() is None:
            made.kill()
        subprocess.run(["umount", "-l", str(made.mount)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", str(made.disk)], check=True)


class Caller(threading.Thread):
    """Does one thing, and keeps how it ended and how long it took."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function = function
        self.arguments = arguments
        self.error = None
        self.took = None
        self.start()

    def run(self):
        start = time.monotonic()
        try:
            self.function(*self.arguments)
        except OSError as error:
            self.error = error.errno
        self.took = time.monotonic() - start

    def end(self, within):
        self.join(within)
        assert not self.is_alive(), f"{self.function.__name__}{self.arguments} waits for ever"


class Hung:
    """Everything that can wait for a change, while the disk hangs."""

    def __init__(self, store):
        root = store.mount
        for name in ("a", "emptied", "replaced", "opened"):
            put(root / name, b"before")
        (root / "d").mkdir()
        (root / "opened").stat()
        # Before the files that are not created yet: opening it creates them.
        self.directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.files = {
            "a": os.open(root / "a", os.O_WRONLY),
            "replaced": os.open(root / "replaced", os.O_WRONLY | os.O_TRUNC),
            "created": os.open(root / "created", os.O_WRONLY | os.O_CREAT),
            "other": os.open(root / "other", os.O_WRONLY | os.O_CREAT),
            "never": os.open(root / "never", os.O_WRONLY | os.O_CREAT),
        }
        emptied = os.open(root / "emptied", os.O_WRONLY | os.O_TRUNC)
        store.freeze()
        os.close(emptied)
        self.callers = {
            "write": Caller(os.pwrite, self.files["a"], b"x", 0),
            "fsync after truncation": Caller(os.fsync, self.files["replaced"]),
            "write that creates": Caller(os.write, self.files["created"], b"x"),
            "mkdir": Caller(os.mkdir, root / "made"),
            "rename": Caller(os.rename, root / "d", root / "e"),
        }
        time.sleep(0.3)
        self.callers |= {
            "second write": Caller(os.write, self.files["created"], b"y"),
            "fsync": Caller(os.fsync, self.files["created"]),
            "close that creates": Caller(os.close, self.files.pop("other")),
            # Holds the directory, which telling the kernel of `opened` needs.
            "listing": Caller(os.listdir, self.directory),
            "look at what is created": Caller(os.stat, root / "created"),
            "look at what is emptied": Caller(os.stat, root / "emptied"),
            "read what is emptied": Caller((root / "emptied").read_bytes),
            "truncate by name": Caller(os.truncate, root / "a", 1),
            "time": Caller(os.utime, root / "opened"),
        }
        time.sleep(0.3)
        self.callers["open for writing"] = Caller(self.open, root / "opened")
        time.sleep(0.3)

    def open(self, path):
        self.files["opened"] = os.open(path, os.O_WRONLY)

    def end(self, within):
        until = time.monotonic() + within
        for caller in self.callers.values():
            caller.end(max(0, until - time.monotonic()))

    def close(self):
        for descriptor in (*self.files.values(), self.directory):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def succeeds(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == errno.EROFS
        return False
    return True


def test_nobody_waits_longer_than_the_bound(store):
    hung = Hung(store)
    hung.end(2 * BOUND_S)
    took = {name: caller.took for name, caller in hung.callers.items()}
    assert max(took.values()) < BOUND_S + SLACK_S, took
    for name in ("write", "write that creates", "fsync after truncation", "mkdir"):
        assert hung.callers[name].error == errno.EIO, name
    # Those that the kernel let wait for the lock of the directory or the file came too late.
    for name in ("rename", "second write", "fsync"):
        assert hung.callers[name].error in (errno.EIO, errno.EROFS), name

    # What comes now would wait for the same, and is refused; reading goes on.
    start = time.monotonic()
    for function, *arguments in (
            (put, store.mount / "a", b"later"), (os.mkdir, store.mount / "later"),
            (os.pwrite, hung.files["a"], b"x", 0), (os.fsync, hung.files["a"]),
            (os.write, hung.files["never"], b"x"), (os.unlink, store.mount / "a")):
        fails_with(errno.EROFS, function, *arguments)
    closing = [Caller(os.close, hung.files.pop(name)) for name in ("created", "replaced", "a")]
    for caller in closing:
        caller.end(SLACK_S)
    assert not (store.mount / "never").exists()
    assert (store.mount / "opened").read_bytes() == b"before"
    assert time.monotonic() - start < SLACK_S

    # The disk takes what it was given, and everything after it.
    store.thaw()
    wait_for(lambda: succeeds(os.mkdir, store.mount / "later"))
    put(store.mount / "later/file", b"later")
    assert (store.mount / "created").read_bytes() == b"x"
    assert (store.mount / "emptied").read_bytes() == b""
    assert (store.mount / "made").is_dir()
    os.write(hung.files["never"], b"after all")
    assert (store.mount / "never").read_bytes() == b"after all"
    hung.close()
    assert store.stop() == 0


def test_stopping_waits_for_no_caller(store):
    hung = Hung(store)
    store.process.terminate()
    hung.end(SLACK_S)
    wait_for(lambda: not os.path.ismount(store.mount), SLACK_S)
    # Nothing but the disk is waited for.
    store.thaw()
    assert store.process.wait(SLACK_S) == 0
    hung.close()
