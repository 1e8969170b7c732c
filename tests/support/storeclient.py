#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the store that writes down what it does: threads that do a random mix of operations on
a few files and directories until they are told to stop.

    storeclient.py NODE RUN DIRECTORY LOG SEED THREADS NODES

It runs in a node, on its own, and knows nothing but the mount.  LOG is a file outside the node, so
that it outlives a power cut; each line is one write(2), made before the operation begins (`call`)
or after it has ended (`ret`), with the time of CLOCK_MONOTONIC, which is one for all nodes of a lab:

    call ID TIME SESSION KIND REGISTER ARGUMENT
    ret ID TIME ok|no|unknown ERRNO|VALUE

What the kinds do and what the registers are is in history.py, which reads this.  A session is the
time in which the node has one mount of the store.
"""

import ctypes
import errno
import os
import random
import stat
import sys
import threading
import time

STORE = "/etc/pve"
RENAME_NOREPLACE = 1
READ_MAX = 1 << 20

# After these nobody knows what has become of a change.  ENOTCONN is not one of them: the kernel has
# not given the request to anybody.
UNKNOWN = {errno.EIO, errno.ECONNABORTED, errno.EINTR, errno.ETIMEDOUT}

# The mount is dead, and another one will take its place.
GONE = {errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE, errno.ENODEV, errno.EBADF}

FILES = 8           # Of each kind; few, so that clients meet.
MADE = 4
DIRECTORIES = 4
GUESTS = 4
FIRST_GUEST = 90000
PAUSE = 0.006       # Mean seconds between two operations of a thread.
REFUSED_PAUSE = 0.05

LIBC = ctypes.CDLL(None, use_errno=True)


def content(value):
    """The bytes that stand for a value: of many sizes, and torn ones are seen to be."""
    size = random.Random(value).choice((60, 400, 512, 3000, 20000))
    head = f"{value} {size}\n".encode()
    return head + (value.encode() * (size // len(value) + 1))[:size]


def value_of(data):
    """The value that these bytes stand for; `empty`; or `torn` with what was found."""
    if not data:
        return "empty"
    value = data.split(b" ", 1)[0].decode("ascii", "replace")
    if not value.isascii() or not value or data != content(value):
        return f"torn,{len(data)},{data[:40].hex()}"
    return value


class Root:
    """The store's mount, held open so that nothing else is taken for it while it is away.  A mount
    without the directory of the run is that of a node that has lost its database, and has yet to get
    it from the others."""

    def __init__(self, directory):
        self.lock = threading.Lock()
        self.directory = directory
        self.session = 0
        self.descriptor = self._open()
        self.barrier = self._open_barrier()

    def _open_barrier(self):
        """A file to sync: only that covers names, too (docs/STORE.md)."""
        while True:
            try:
                return os.open(".version", os.O_RDONLY, dir_fd=self.descriptor)
            except OSError:
                self.descriptor = self._open()

    def _open(self):
        while True:
            try:
                descriptor = os.open(STORE, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.stat(self.directory, dir_fd=descriptor)
                    return descriptor
                except OSError:
                    os.close(descriptor)
            except OSError:
                pass
            time.sleep(0.02)

    def renew(self, session):
        """Takes the mount that comes after that of the session.  The old descriptor stays: another
        thread may just be using its number."""
        with self.lock:
            if session == self.session:
                self.descriptor = self._open()
                self.barrier = self._open_barrier()
                self.session += 1


class Client(threading.Thread):
    """One thread: one operation after the other."""

    def __init__(self, options, root, number):
        super().__init__()
        self.options = options
        self.root = root
        self.name = f"{options.node}.{options.run}.{number}"
        self.random = random.Random(f"{options.seed} {self.name}")
        self.count = 0

    # --- the record -------------------------------------------------------------------------

    def record(self, *words):
        os.write(self.options.log, (" ".join(str(word) for word in words) + "\n").encode())

    def operate(self, kind, register, argument, function):
        """Does one operation: what it gave, or None when it failed."""
        self.count += 1
        name = f"{self.name}.{self.count}"
        argument = name if argument is None else argument
        session = self.root.session
        self.record("call", name, time.monotonic_ns(), session, kind, register, argument)
        try:
            result = function(argument)
        except OSError as error:
            word = "unknown" if error.errno in UNKNOWN else "no"
            self.record("ret", name, time.monotonic_ns(), word, errno.errorcode[error.errno])
            self.failed(error, session)
            return None
        self.record("ret", name, time.monotonic_ns(), "ok", "-" if result is None else result)
        return True if result is None else result

    def failed(self, error, session):
        if error.errno in GONE:
            self.root.renew(session)
        elif error.errno in (errno.EROFS, errno.EIO, errno.ENOSPC, errno.EAGAIN):
            time.sleep(REFUSED_PAUSE)

    # --- what is done -----------------------------------------------------------------------

    def open(self, path, flags):
        return os.open(path, flags, 0o640, dir_fd=self.root.descriptor)

    def path(self, register):
        return f"{self.options.directory}/{register}"

    @staticmethod
    def write_out(descriptor, value):
        data = content(value)
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.EIO, "a short write")

    def replace(self, path, flags, value):
        descriptor = self.open(path, os.O_WRONLY | os.O_TRUNC | flags)
        try:
            self.write_out(descriptor, value)
        except OSError:
            self.close_anyhow(descriptor)
            raise
        os.close(descriptor)

    @staticmethod
    def close_anyhow(descriptor):
        """Closes a file of which the first error, not the last, tells what has become of it."""
        try:
            os.close(descriptor)
        except OSError:
            pass

    def write(self, register):
        """Replaces a file that is always there, in place."""
        self.operate("write", register, None,
                     lambda value: self.replace(self.path(register), 0, value))

    def temporary(self, value):
        """A file with the value's content; None when that cannot be had.  Its name is of this
        operation alone: an earlier one may still be carried out, and take the file away."""
        path = self.path(f".{value}")
        session = self.root.session
        try:
            self.replace(path, os.O_CREAT, value)
        except OSError as error:
            self.failed(error, session)
            return None
        return path

    def rename_in(self, kind, register, flags):
        """Puts a finished file in the register's place: over what is there, or only if nothing is."""
        value = f"{self.name}.{self.count + 1}"
        path = self.temporary(value)
        if path is None:
            return

        def do(_):
            directory = self.root.descriptor
            if LIBC.renameat2(directory, os.fsencode(path), directory,
                              os.fsencode(self.path(register)), flags) < 0:
                raise OSError(ctypes.get_errno(), "renameat2")

        if not self.operate(kind, register, None, do):
            try:
                os.unlink(path, dir_fd=self.root.descriptor)
            except OSError:
                pass  # It may have been renamed after all, and the directory is removed in the end.

    def create(self, register):
        """O_EXCL, then the content through the same descriptor."""
        opened = []

        def do(_):
            opened.append(self.open(self.path(register), os.O_WRONLY | os.O_CREAT | os.O_EXCL))

        if not self.operate("create", register, None, do):
            return
        value = f"{self.name}.{self.count}"
        self.operate("fill", register, value, lambda value: self.write_out(opened[0], value))
        self.close_anyhow(opened[0])

    def make(self, register):
        """Opens a file whether it is there or not, and replaces its content: who creates it is seen
        when it is written."""
        self.operate("make", register, None,
                     lambda value: self.replace(self.path(register), os.O_CREAT, value))

    def change(self, kind, register, function):
        self.operate(kind, register, None,
                     lambda _: function(self.path(register), dir_fd=self.root.descriptor))

    def look(self, path):
        try:
            status = os.stat(path, dir_fd=self.root.descriptor)
        except FileNotFoundError:
            return "absent"
        return "directory" if stat.S_ISDIR(status.st_mode) else "file"

    def load(self, path):
        try:
            descriptor = self.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return "absent"
        try:
            return value_of(os.read(descriptor, READ_MAX))
        finally:
            os.close(descriptor)

    def read(self, register, barrier):
        see = self.look if register.startswith("d") else self.load

        def do(_):
            if barrier:
                os.fsync(self.root.barrier)
            return see(self.path(register))

        self.operate("sync-read" if barrier else "read", register, "-", do)

    def guest_path(self, register, node):
        return f"nodes/{node}/lxc/{FIRST_GUEST + int(register[1:])}.conf"

    def guest(self, register):
        here, there = self.random.sample(self.options.nodes, 2)
        kind = self.random.choice(("create", "create", "move", "move", "move", "remove", "look"))
        path, target = self.guest_path(register, here), self.guest_path(register, there)
        root = self.root

        def create(_):
            os.close(self.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

        def move(_):
            os.rename(path, target, src_dir_fd=root.descriptor, dst_dir_fd=root.descriptor)

        def remove(_):
            os.unlink(path, dir_fd=root.descriptor)

        def look(_):
            os.fsync(root.barrier)
            return self.look(path)

        argument = f"{here},{there}" if kind == "move" else here
        self.operate(f"guest-{kind}", register, argument,
                     {"create": create, "move": move, "remove": remove, "look": look}[kind])

    def step(self):
        """One thing, drawn at random."""
        draw = self.random.random()
        fixed = f"a{self.random.randrange(FILES)}"
        fickle = f"b{self.random.randrange(FILES)}"
        made = f"c{self.random.randrange(MADE)}"
        directory = f"d{self.random.randrange(DIRECTORIES)}"
        if draw < 0.22:
            self.write(fixed)
        elif draw < 0.26:
            self.rename_in("put", self.random.choice((fickle, made)), 0)
        elif draw < 0.30:
            self.rename_in("publish", fickle, RENAME_NOREPLACE)
        elif draw < 0.36:
            self.create(fickle)
        elif draw < 0.41:
            self.make(made)
        elif draw < 0.50:
            self.change("unlink", self.random.choice((fickle, fickle, made)), os.unlink)
        elif draw < 0.55:
            self.change("mkdir", directory, os.mkdir)
        elif draw < 0.60:
            self.change("rmdir", directory, os.rmdir)
        elif draw < 0.70:
            self.guest(f"g{self.random.randrange(GUESTS)}")
        else:
            register = self.random.choice((fixed, fixed, fickle, fickle, made, directory))
            self.read(register, barrier=draw > 0.88)

    def run(self):
        while not os.path.exists(self.options.stop):
            self.step()
            time.sleep(self.random.expovariate(1 / PAUSE))


class Options:
    """The command line."""

    def __init__(self, arguments):
        self.node, self.run, self.directory, log, self.seed, threads, nodes = arguments
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.stop = os.path.join(os.path.dirname(log), "stop")
        self.threads = int(threads)
        self.nodes = nodes.split(",")


def main():
    options = Options(sys.argv[1:])
    root = Root(options.directory)
    clients = [Client(options, root, number) for number in range(options.threads)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


if __name__ == "__main__":
    main()
