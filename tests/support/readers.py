#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Readers against a writer: what is read of a file must be one version of it, whole, and never an
older one than before.

    readers.py write PATH --how replace|rename --size BYTES [--seconds S | --stop FILE]
    readers.py read PATH --how read|mmap|stat [--reads N] [--seconds S | --stop FILE]

A version of the file is its number in a record of 16 bytes, repeated; how often depends on the
number, so that a wrong length shows as well.  Each run prints one line of JSON with what it counted;
`bad` maps kinds of wrong reads to how many there were, and is empty if all went well.  The writer
looks at the file after each close: what it has written must be there at once.

With --stop they go on until that file is there, with a little time between two reads that leaves the
processors to the writers, and the store may go away and come back meanwhile: a look at a dead mount
is an outage, not a wrong read, and the next one waits for the new mount.  What is wrong is told on
stderr at once then, too, in case the node does not live to tell it in the end.
"""

import argparse
import errno
import json
import mmap
import os
import sys
import time
from collections import Counter

RECORD = 16

# What a dead mount gives …
GONE = {errno.ENOTCONN, errno.ECONNABORTED}

# … and what a write may end with besides, while the store finds its cluster again.
REFUSED = {errno.EROFS, errno.EIO, errno.EAGAIN}


def content(number, size):
    """Version `number` of a file of about `size` bytes."""
    return b"%015d\n" % number * (max(size // RECORD, 1) + number % 3)


def complaint(data, size):
    """What is wrong with what was read: (kind or None, number of the version)."""
    if not data:
        return "empty", 0
    try:
        number = int(data[:RECORD])
    except ValueError:
        return "torn", 0
    if data == content(number, size):
        return None, number
    return ("partial" if data == content(number, size)[:len(data)] else "torn"), number


def replace(path, data):
    """The usual way: O_TRUNC and one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        assert os.write(descriptor, data) == len(data)
    finally:
        os.close(descriptor)


def rename(path, data):
    """The careful way."""
    replace(path + ".tmp", data)
    os.rename(path + ".tmp", path)


def read_file(path):
    """The content, read to its end."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def map_file(path):
    """The content, by way of a mapping of the length that fstat tells."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if size == 0:
            return b""
        with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapping:
            return mapping[:]
    finally:
        os.close(descriptor)


def stat_complaint(path, size):
    """What is wrong with the length that stat tells, or None."""
    lengths = {len(content(number, size)) for number in range(3)}
    found = os.stat(path).st_size
    if found in lengths:
        return None
    return "empty" if found == 0 else "length"


def last_version(path):
    """The version that a file has; 0 when there is none."""
    try:
        return int(read_file(path)[:RECORD])
    except FileNotFoundError:
        return 0


class Steady:
    """A store that stays, for some seconds."""

    outages = 0

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def is_over(self):
        return time.monotonic() > self.end

    def rest(self):
        pass

    def survives(self, _error, _others):
        return False

    def say(self, wrong):
        pass


class Fickle:
    """A store that may go and come back.  The working directory is that of the file, by whose name
    alone it is then called: so nothing else is taken for it while its mount is away."""

    def __init__(self, directory, stop):
        self.directory = directory
        self.stop = stop
        self.outages = 0
        self.next_look = 0
        self._enter()

    def _enter(self):
        while not self.is_over():
            try:
                os.chdir(self.directory)
                os.statvfs(".")  # The kernel remembers nothing of this.
                return
            except OSError:
                time.sleep(0.01)

    def is_over(self):
        return os.path.exists(self.stop)

    def rest(self):
        """Between two reads: what the kernel remembers of a dead mount can still be read."""
        time.sleep(0.002)
        if time.monotonic() > self.next_look:
            self.next_look = time.monotonic() + 0.1
            self._has_gone()

    def _has_gone(self):
        try:
            os.statvfs(".")
        except OSError as error:
            if error.errno in GONE:
                self.outages += 1
                self._enter()
                return True
        return False

    def survives(self, error, others):
        """Whether an error, or one of the others beside, is an outage; after it the store is back."""
        if error.errno in others:
            time.sleep(0.01)
            return True
        return self._has_gone()

    def say(self, wrong):
        print(f"{time.monotonic():.3f} {wrong}", file=sys.stderr, flush=True)


def write(path, how, size, store):
    """Writes version after version; counts what is not there after the close."""
    put = {"replace": replace, "rename": rename}[how]
    bad, first = Counter(), last_version(path)
    number = first
    while number == first or not store.is_over():
        number += 1
        data = content(number, size)
        wrong = None
        try:
            put(path, data)
        except OSError as error:
            if not store.survives(error, REFUSED):
                raise
            continue
        try:
            if os.stat(path).st_size != len(data):
                wrong = "stat after close"
            elif read_file(path) != data:
                wrong = "read after close"
        except OSError as error:
            if not store.survives(error, ()):
                raise
        if wrong:
            bad[wrong] += 1
            store.say(wrong)
    return {"versions": number - first, "outages": store.outages, "bad": bad}


def read(path, how, size, reads, store):
    """Reads again and again; counts what is wrong."""
    get = {"read": read_file, "mmap": map_file, "stat": None}[how]
    bad, last, done = Counter(), 0, 0
    versions, outages = set(), 0
    while done < reads and not store.is_over():
        done += 1
        store.rest()
        if outages != store.outages:  # A new mount may be behind the one before it.
            outages, last = store.outages, 0
        try:
            if get:
                wrong, number = complaint(get(path), size)
                if not wrong and number < last:
                    wrong = "backwards"
                last = max(last, number)
                versions.add(number)
            else:
                wrong = stat_complaint(path, size)
        except FileNotFoundError:
            wrong = "missing"
        except OSError as error:
            wrong = None if store.survives(error, ()) else error.strerror
        if wrong:
            bad[wrong] += 1
            store.say(wrong)
    return {"reads": done, "versions": len(versions), "outages": store.outages, "bad": bad}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=["write", "read"])
    parser.add_argument("path")
    parser.add_argument("--how", required=True,
                        choices=["replace", "rename", "read", "mmap", "stat"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--reads", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--stop", metavar="FILE")
    arguments = parser.parse_args()
    path, store = arguments.path, Steady(arguments.seconds)
    if arguments.stop:
        directory, path = os.path.split(path)
        store = Fickle(directory, arguments.stop)
    if arguments.role == "write":
        found = write(path, arguments.how, arguments.size, store)
    else:
        found = read(path, arguments.how, arguments.size, arguments.reads, store)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
