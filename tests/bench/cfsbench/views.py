# SPDX-License-Identifier: Apache-2.0
"""What other nodes see, and when; what readers see of a file that is being replaced."""

import os
import time
from contextlib import ExitStack

from .rig import begin, put, result

ROUNDS = 400
READS = 100000


def visibility(rig, sample):
    """From the return of a change on the first node to its sight on each of the others."""
    name = rig.fresh()
    here = rig.store() / name
    for what, rounds in (("content", content), ("size", size), ("deletion, open", gone(os_open)),
                         ("deletion, stat", gone(os.stat)), ("deletion, ls", deleted_names)):
        delays = []
        for node in rig.nodes[1:]:
            there = rig.store(node) / name
            for number in range(rig.few(ROUNDS)):
                delays.append(rounds(here, there, number))
        delays.sort()
        sample(f"new {what} seen on another node, p99" if what in ("content", "size")
               else f"{what} seen on another node, p99",
               delays[int(len(delays) * 0.99)] * 1000, "ms", target=10)
        sample(f"{what}, slowest", delays[-1] * 1000, "ms", target=1000, worst=True)


def seen(met):
    """Seconds until met() is true; it has been looked at before the change."""
    begun = time.monotonic()
    while not met():
        if time.monotonic() > begun + 5:
            break
    return time.monotonic() - begun


def content(here, there, number):
    data = b"%015d\n" % number * 32
    put(here / "content", data)
    return seen(lambda: exists(os_open, there / "content") and
                (there / "content").read_bytes() == data)


def size(here, there, number):
    exists(os.stat, there / "size")
    put(here / "size", b"x" * (number % 500 + 1))
    return seen(lambda: exists(os.stat, there / "size") and
                os.stat(there / "size").st_size == number % 500 + 1)


def gone(look):
    def once(here, there, number):
        path = there / "gone"
        put(here / "gone", b"x")
        seen(lambda: exists(look, path))
        os.unlink(here / "gone")
        return seen(lambda: not exists(look, path))

    return once


def deleted_names(here, there, number):
    put(here / "listed", b"x")
    seen(lambda: "listed" in os.listdir(there))
    os.unlink(here / "listed")
    return seen(lambda: "listed" not in os.listdir(there))


def os_open(path):
    os.close(os.open(path, os.O_RDONLY))


def exists(look, path):
    try:
        look(path)
    except FileNotFoundError:
        return False
    return True


def readers(rig, sample):
    """Readers on every node of a file that one writer replaces all the time."""
    for work, size_of, label in (("replace", 512, "in place, 512 bytes"),
                                 ("replace", 65536, "in place, 64 KiB"),
                                 ("rename", 512, "by rename, 512 bytes")):
        name = rig.fresh()
        put(rig.store() / name / "w-0", b"%015d\n" % 0 * (size_of // 16))
        with ExitStack() as stack:
            writer = stack.enter_context(
                rig.loading(work, rig.store() / name, seconds=600, size=size_of))
            watchers = [stack.enter_context(rig.loading(
                "watch", rig.store(node) / name, count=rig.few(READS), seconds=300, size=size_of,
                tag="w-0")) for node in rig.nodes]
            begin(writer)
            for watcher in watchers:
                begin(watcher)
            done = [result(watcher.stdout.read()) for watcher in watchers]
        sample(f"reads while replaced {label}, on the slowest node",
               min(len(one.times) + one.failures for one in done), "reads", target=rig.few(READS),
               least=True)
        sample(f"reads while replaced {label}: empty, partial, mixed or missing",
               sum(one.failures for one in done), "reads", target=0, worst=True)
