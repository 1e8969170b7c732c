# SPDX-License-Identifier: Apache-2.0
"""A store with many files, and one with nothing to do."""

import json
import time

from .rig import resident_mib, until

KIB = 1024
WORKERS = 32
MISSED = 2000


def many_files(rig, sample):
    """10,000 configurations: memory, start, bytes of a change, catching up."""
    files = rig.few(10000)
    third = rig.nodes[2]
    few = bytes_of_change(rig)
    rig.write("create", rig.store() / "nodes/n1/lxc", workers=WORKERS, seconds=300, size=400,
              count=files // WORKERS + 1)
    many = bytes_of_change(rig)
    sample(f"disk bytes a change with {files} files (base: with few)", many / KIB, "KiB",
           base=few / KIB, target=1.25)
    sample(f"{files} configurations: memory of atoll-cfs",
           max(resident_mib(rig.daemons(node)["atoll-cfs"]) for node in rig.nodes), "MiB",
           target=64, worst=True)

    third.service("stop", "atoll-cfs")
    sample(f"{files} configurations: start to serving", start(rig, third, serves), "s", target=0.5)
    until(lambda: is_level(rig, third), 30, "a level node")

    third.service("stop", "atoll-cfs")
    name = rig.fresh(without=third)
    rig.write("replace", rig.store() / name, workers=WORKERS, seconds=60,
              count=rig.few(MISSED) // WORKERS + 1)
    sample(f"{rig.few(MISSED)} changes missed: start to level", start(rig, third, is_level), "s",
           target=0.5)
    rig.write("unlink", rig.store() / "nodes/n1/lxc", workers=WORKERS, seconds=300,
              count=files // WORKERS + 1)


def bytes_of_change(rig):
    with rig.metered() as spent:
        done = rig.one_writer()
    return spent.bytes / len(done.times)


def start(rig, node, met):
    """Seconds from the start of a node's store until met(rig, node)."""
    begun = time.monotonic()
    node.control({"do": "start", "service": "atoll-cfs"})
    seconds = until(lambda: met(rig, node), 60, f"the store of {node.name}") - begun
    node.wait_settled()
    return seconds


def store_of(rig, node):
    """What .store says; {} while the store is not there."""
    try:
        return json.loads((rig.store(node) / ".store").read_text())
    except (OSError, ValueError):
        return {}


def serves(rig, node):
    return bool(store_of(rig, node)) and (rig.store(node) / "nodes/n1/lxc").is_dir()


def is_level(rig, node):
    there, here = store_of(rig, node), store_of(rig, rig.nodes[0])
    return (there.get("state") == "active" and there["commit"] == here["commit"] and
            there["tree_digest"] == here["tree_digest"])


def idle(rig, sample):
    """Nobody writes."""
    seconds = 2 if rig.quick else 60
    time.sleep(2)
    with rig.metered() as spent:
        time.sleep(seconds)
    sample(f"{seconds} s of nothing: bytes written", spent.bytes, "bytes", target=0, worst=True)
    sample(f"{seconds} s of nothing: processor of atoll-cfs", spent.store_cpu_ms / seconds / 10, "%",
           target=0.3)
    sample(f"{seconds} s of nothing: processor of all daemons", spent.cpu_ms / seconds / 10, "%")
