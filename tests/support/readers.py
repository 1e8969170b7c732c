#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Readers against a writer: what is read of a file must be one version of it, whole, and never an
older one than before.

    readers.py write PATH --how replace|rename --size BYTES [--seconds S]
    readers.py read PATH --how read|mmap|stat [--reads N] [--seconds S]

A version of the file is its number in a record of 16 bytes, repeated; how often depends on the
number, so that a wrong length shows as well.  Each run prints one line of JSON with what it counted;
`bad` maps kinds of wrong reads to how many there were, and is empty if all went well.  The writer
looks at the file after each close: what it has written must be there at once.
"""

import argparse
import json
import mmap
import os
import sys
import time
from collections import Counter

RECORD = 16


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


def write(path, how, size, seconds):
    """Writes version after version; counts what is not there after the close."""
    put = {"replace": replace, "rename": rename}[how]
    bad, first, end = Counter(), last_version(path), time.monotonic() + seconds
    number = first
    while number == first or time.monotonic() < end:
        number += 1
        data = content(number, size)
        put(path, data)
        if os.stat(path).st_size != len(data):
            bad["stat after close"] += 1
        if read_file(path) != data:
            bad["read after close"] += 1
    return {"versions": number - first, "bad": bad}


def read(path, how, size, reads, seconds):
    """Reads again and again; counts what is wrong."""
    get = {"read": read_file, "mmap": map_file, "stat": None}[how]
    bad, last, done, end = Counter(), 0, 0, time.monotonic() + seconds
    versions = set()
    while done < reads and time.monotonic() < end:
        done += 1
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
            wrong = error.strerror
        if wrong:
            bad[wrong] += 1
    return {"reads": done, "versions": len(versions), "bad": bad}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=["write", "read"])
    parser.add_argument("path")
    parser.add_argument("--how", required=True,
                        choices=["replace", "rename", "read", "mmap", "stat"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--reads", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    if arguments.role == "write":
        found = write(arguments.path, arguments.how, arguments.size, arguments.seconds)
    else:
        found = read(arguments.path, arguments.how, arguments.size, arguments.reads,
                     arguments.seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
