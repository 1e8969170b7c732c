# SPDX-License-Identifier: Apache-2.0
"""The lab itself: what it promises to the tests that stand on it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from labkit import cgroup, watchdog
from labkit.cluster import Lab, ring_members
from labkit.network import parse_groups
from labkit.run import LabError, wait_for
from support.labs import lab_name

OWN = lab_name("own")
LAB = Path(__file__).resolve().parents[1] / "lab/lab"


def traces():
    """What a lab could leave on the machine."""
    listing = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    links = {line.split(": ")[1] for line in listing.splitlines()}
    mounts = {line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")}
    loops = {p.parent.name + (p / "backing_file").read_text()
             for p in Path("/sys/block").glob("loop*/loop")}
    groups = {path for tree in cgroup.hierarchies()
              for path, _, _ in os.walk(Path(tree.base) / "atoll-lab" / OWN)}
    processes = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"/{OWN}/".encode() in (entry / "cmdline").read_bytes():
                    processes.add(entry.name)
            except OSError:
                continue
    files = {str(p) for p in Path("/var/lib/atoll-lab").glob(f"{OWN}*")}
    return {"links": links, "mounts": mounts, "loops": loops, "cgroups": groups,
            "processes": processes, "files": files}


@pytest.fixture
def own():
    """A lab of the test's own, down before and after."""
    lab = Lab(OWN)
    with lab.locked():
        lab.down()
    yield Lab(OWN)
    lab = Lab(OWN)
    with lab.locked():
        lab.down()


def lose_the_same(before, after):
    """Other labs may come and go meanwhile: only what is new counts."""
    return {kind: after[kind] - before[kind] for kind in before if after[kind] - before[kind]}


def test_down_leaves_nothing(own):
    before = traces()
    with own.locked():
        own.up(count=2, btrfs=True)
        node = own.node("n1")
        node.ok(["truncate", "-s", "64M", "/srv/btrfs/a.raw", "/var/b.raw"])
        for image in ("/srv/btrfs/a.raw", "/var/b.raw"):
            node.ok(["losetup", "--find", image])
        node.ok(["mkdir", "-p", "/sys/fs/cgroup/memory/lxc/100/deep"]
                if Path("/sys/fs/cgroup/memory").exists() else
                ["mkdir", "-p", "/sys/fs/cgroup/lxc/100/deep"])
        sleeper = node.popen(["sleep", "1000"])
        own.down()
        assert sleeper.wait(5) != 0
    assert lose_the_same(before, traces()) == {}


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.4, 0.8])
def test_down_after_a_broken_up_leaves_nothing(own, delay):
    before = traces()
    up = subprocess.Popen(["/usr/bin/python3", str(LAB), "--name", OWN, "up", "-n", "3"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True)
    time.sleep(delay)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    lab = Lab(OWN)
    with lab.locked():
        lab.down()
    assert lose_the_same(before, traces()) == {}


def test_a_power_cut_ends_everything_and_keeps_the_disk(lab, n3):
    sleeper = n3.popen(["sleep", "1000"])
    n3.ok(["sh", "-c", "echo kept >/var/lib/kept; echo own >/etc/own; echo lost >/run/lost; sync"])
    n3.power_off()
    assert sleeper.wait(5) != 0
    assert not n3.is_on()
    with pytest.raises(LabError, match="n3 is off"):
        n3.run(["true"])
    n3.power_on()
    assert n3.ok(["cat", "/var/lib/kept", "/etc/own"]) == "kept\nown\n"
    assert n3.run(["test", "-e", "/run/lost"]).returncode == 1


def test_a_partition_cuts_the_ring_and_healing_joins_it(lab):
    with lab.locked():
        lab.partition(["n1,n2", "|", "n3"])
    n1, n3 = lab.node("n1"), lab.node("n3")
    assert n1.run(["ping", "-c1", "-W1", "10.77.0.3"]).returncode != 0
    assert n1.run(["ping", "-c1", "-W1", "10.77.0.2"]).returncode == 0
    wait_for(lambda: ring_members(n1) == 2 and ring_members(n3) == 0, 20, "the ring to part")
    with lab.locked():
        lab.heal()
    wait_for(lambda: ring_members(n1) == 3 and ring_members(n3) == 3, 20, "the ring to join")


def test_a_node_that_boots_in_a_partition_stays_in_its_group(lab, n3):
    with lab.locked():
        lab.partition(["n3"])
    n3.power_off()
    n3.power_on()
    assert n3.run(["ping", "-c1", "-W1", "10.77.0.1"]).returncode != 0


def test_nodes_do_not_see_each_other_or_the_machine(lab, n1, n2):
    n1.ok(["touch", "/tmp/mine", "/etc/mine", "/var/lib/mine"])
    assert n2.run(["ls", "/tmp/mine", "/etc/mine", "/var/lib/mine"]).stdout == ""
    assert not any(Path(p).exists() for p in ("/tmp/mine", "/etc/mine", "/var/lib/mine"))
    assert n1.ok(["hostname"]) == "n1\n"
    assert "atoll-lab" not in n1.ok(["cat", "/proc/1/cgroup"])
    assert n1.run(["touch", "/usr/mine"]).returncode != 0


def test_groups_of_a_partition_are_checked():
    nodes = ["n1", "n2", "n3"]
    assert parse_groups(["n1,n2", "|", "n3"], nodes) == [["n1", "n2"], ["n3"]]
    assert parse_groups(["n3"], nodes) == [["n3"], ["n1", "n2"]]
    for wrong, why in ((["n4"], "no node 'n4'"), (["n1|n1"], "named twice"),
                       (["n1,n2,n3"], "two groups"), ([], "two groups")):
        with pytest.raises(LabError, match=why):
            parse_groups(wrong, nodes)


def test_the_lab_starts_a_daemon_again_that_died(lab, n1):
    before = n1.services()["corosync"]
    n1.ok(["kill", "-9", str(before["pid"])])
    wait_for(lambda: n1.services()["corosync"]["pid"] not in (None, before["pid"]), 10,
             "corosync to be started again")


WATCHDOG_CLIENT = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect("/.lab/watchdog.sock"); f = s.makefile("rw")
def say(line):
    f.write(line + "\\n"); f.flush(); return f.readline().strip()
assert say("timeout 2") == "timeout 2"
if sys.argv[1] == "magic":
    assert say("magic") == "ok"
else:
    for i in range(6):
        assert say("keepalive") == "ok"
        time.sleep(0.5)
"""


def test_a_watchdog_that_is_not_fed_cuts_the_power(lab, n2):
    n2.ok(["python3", "-c", WATCHDOG_CLIENT, "feed"])
    assert n2.is_on(), "it was fed for longer than its timeout"
    wait_for(lambda: not n2.is_on(), 5, "the watchdog to fire")
    fired = watchdog.events(lab)
    assert [event["node"] for event in fired] == ["n2"]


def test_a_watchdog_closed_on_purpose_does_not_fire(lab, n2):
    n2.ok(["python3", "-c", WATCHDOG_CLIENT, "magic"])
    time.sleep(3)
    assert n2.is_on()
