# SPDX-License-Identifier: Apache-2.0
"""Reading on one node, nobody writing."""

from .rig import none_failed, put

FILES = 1000
DATA = b"arch: amd64\n" * 33

# How fast who waits and who answers wake each other depends on which processors they happen to be on,
# and that changes from second to second: many short turns, the two file systems in alternation.
TURNS = 8


def reads(rig, sample):
    """open, read and close against a file system that caches nothing."""
    place = rig.store() / rig.fresh()
    with rig.plain() as plain:
        for worker in range(8):
            put(place / f"w-{worker}", DATA)
            put(plain / f"w-{worker}", DATA)
        for workers, label, target in ((1, "1 reader", 2), (8, "8 readers", 4)):
            for _ in range(TURNS):
                base = rate(rig, plain, "read", workers, seconds=rig.seconds / TURNS)
                ours = rate(rig, place, "read", workers, seconds=rig.seconds / TURNS)
                sample(f"open+read+close, {label} (base: plain FUSE)", ours, "1/s", base=base,
                       target=target, least=True)


def directories(rig, sample):
    """A directory of 1,000 files: its names, their attributes, their content."""
    place, tmpfs = rig.store() / rig.fresh(), rig.root(rig.nodes[0]) / "tmp/files"
    tmpfs.mkdir(exist_ok=True)
    done = rig.load("create", place, workers=8, count=FILES // 8, seconds=60, size=400)
    none_failed("create", done)
    rig.load("create", tmpfs, workers=8, count=FILES // 8, seconds=60, size=400)

    base = rate(rig, tmpfs, "stat-all") * FILES
    sample("stat of 1,000 warm files (base: tmpfs)", rate(rig, place, "stat-all") * FILES, "1/s",
           base=base, target=0.8, least=True)
    sample("read all 1,000 files", warm(rig, place, "read-all").p50_ms, "ms", target=30)
    sample("list 1,000 names", warm(rig, place, "list").p50_ms, "ms", target=0.5)


def warm(rig, place, work, workers=1, seconds=None):
    """A load on what the kernel has seen before."""
    none_failed(work, rig.load(work, place, workers=workers, count=2))
    return none_failed(work, rig.load(work, place, workers=workers, count=500000,
                                      seconds=seconds or rig.seconds / 2))


def rate(rig, place, work, workers=1, seconds=None):
    return warm(rig, place, work, workers, seconds).rate
