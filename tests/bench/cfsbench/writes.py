# SPDX-License-Identifier: Apache-2.0
"""Changes: how long they take, how many a second, what they cost."""

from .rig import none_failed

KIB = 1024


def one_writer(rig, sample):
    """A replace of 512 bytes against what it cannot do without: twice the bus, twice the disk."""
    disk, bus = rig.disk_ms(), rig.bus_ms()
    with rig.metered() as spent:
        done = rig.one_writer()
    # Again afterwards: what else the machine does comes and goes.
    disk, bus = min(disk, rig.disk_ms()), min(bus, rig.bus_ms())
    changes = len(done.times)
    sample("C: 600 bytes over the bus and back", bus, "ms")
    sample("F: fsync of 4 KiB appended", disk, "ms")
    sample("W: one writer, replace of 512 bytes", done.rate, "1/s")
    sample("one writer, p50 (base: 2 C + 2 F + 0.3 ms)", done.p50_ms, "ms",
           base=2 * bus + 2 * disk + 0.3, target=1)
    sample("one writer, disk bytes a change and node", spent.bytes / changes / KIB, "KiB", target=16)
    sample("one writer, CPU of all daemons a change", spent.cpu_ms / changes, "ms")


def many_writers(rig, sample):
    """Writers at once, each to its own file."""
    alone = rig.one_writer().rate
    eight = rig.write("replace", rig.store() / rig.fresh(), workers=8)
    with rig.metered() as spent:
        many = rig.write("replace", rig.store() / rig.fresh(), workers=32)
    name = rig.fresh()
    places = []
    for node in rig.nodes:
        (rig.store(node) / name / node.name).mkdir()
        places.append(rig.store(node) / name / node.name)
    spread = none_failed("replace", rig.load_all("replace", places, workers=8))

    sample("8 writers (base: W)", eight.rate, "1/s", base=alone, target=3, least=True)
    sample("32 writers (base: W)", many.rate, "1/s", base=alone, target=8, least=True)
    sample("8 writers on each node (base: W)", spread.rate, "1/s", base=alone, target=6, least=True)
    for who, done in (("8", eight), ("32", many), ("3 x 8", spread)):
        sample(f"{who} writers, slowest write", done.max_ms, "ms", target=250, worst=True)
    changes = len(many.times)
    sample("32 writers, CPU of all daemons a change", spent.cpu_ms / changes, "ms", target=0.6)
    sample("32 writers, disk bytes a change and node", spent.bytes / changes / KIB, "KiB", target=4)


def create(rig, sample):
    """New files of containers, and files replaced by rename."""
    place = rig.store() / "nodes/n1/lxc"
    alone = rig.one_writer().rate

    def created(work):
        done = rig.write(work, place, count=2000, size=400)
        rig.write("unlink", place, workers=8, seconds=60, count=len(done.times) // 8 + 1)
        return done

    sample("create of a 400-byte configuration (base: W)", created("create").rate, "1/s",
           base=alone, target=0.9, least=True)
    sample("the same with O_EXCL, two changes (base: W)", created("create-excl").rate, "1/s",
           base=alone)
    sample("write to a temporary file and rename (base: W)",
           rig.write("rename", rig.store() / rig.fresh()).rate, "1/s",
           base=alone, target=0.4, least=True)


def large(rig, sample):
    """Replaces of larger files against those of 512 bytes."""
    small = rig.one_writer().p50_ms
    for size, label, target in ((64 * KIB, "64 KiB", 3), (512 * KIB, "512 KiB", 12)):
        place = rig.store() / rig.fresh()
        with rig.metered() as spent:
            done = rig.write("replace", place, size=size, count=rig.few(1000))
        sample(f"replace of {label}, p50 (base: of 512 bytes)", done.p50_ms, "ms", base=small,
               target=target)
        sample(f"replace of {label}, disk bytes a node (base: the data)",
               spent.bytes / KIB, "KiB", base=len(done.times) * size / KIB, target=2.3)
