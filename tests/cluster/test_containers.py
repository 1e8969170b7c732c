# SPDX-License-Identifier: Apache-2.0
"""Containers on a three-node cluster, from the command line down to the running guest."""

import random
import re
import time

import pytest
from labkit import template
from labkit.run import wait_for
from support.product import api, create, footprints, remove_containers, settles_to, status

NET = "name=eth0,bridge=vmbr0,ip=10.0.0.{}/24"


@pytest.fixture(autouse=True)
def no_containers(lab):
    """Each test begins and ends without containers."""
    remove_containers(lab)
    before = footprints(lab)
    yield
    if all(node.is_on() for node in lab.nodes) and len(lab.state["groups"]) == 1:
        remove_containers(lab)
        settles_to(lab, before)


# --- a container's life ---------------------------------------------------------------------------


def test_create_and_start_on_one_node_reads_the_same_on_three(lab, n1):
    create(n1, 100, lab.busybox, "--net0", NET.format(100), "--hostname", "web", "--start", "1")
    assert status(n1, 100) == "running"
    texts = {node.ok(["cat", "/etc/pve/nodes/n1/lxc/100.conf"]) for node in lab.nodes}
    assert len(texts) == 1
    assert "hostname: web" in texts.pop()
    configs = {node.ok(["pct", "config", "100"]) for node in lab.nodes}
    assert len(configs) == 1
    assert "hostname: web" in configs.pop()


def test_list_shows_own_containers_and_resources_show_all(lab, n1, n2, n3):
    create(n1, 100, lab.busybox)
    create(n2, 101, lab.busybox)
    assert re.search(r"^100\s+stopped", n1.ok(["pct", "list"]), re.M)
    assert "101" not in n1.ok(["pct", "list"])
    assert re.search(r"^101\s+stopped", n2.ok(["pct", "list"]), re.M)
    assert n3.ok(["pct", "list"]).strip().count("\n") == 0
    code, answer = api(n3, "/cluster/resources")
    assert code == 200
    found = {item["vmid"]: item["node"] for item in answer["data"] if item["type"] == "lxc"}
    assert found == {100: "n1", 101: "n2"}


def test_exec_runs_in_the_container_and_hands_back_its_status(lab, n1):
    create(n1, 100, lab.busybox, "--hostname", "inside", "--start", "1")
    assert n1.ok(["pct", "exec", "100", "--", "id"]).startswith("uid=0(root)")
    assert n1.ok(["pct", "exec", "100", "--", "hostname"]) == "inside\n"
    assert n1.run(["pct", "exec", "100", "--", "sh", "-c", "exit 3"]).returncode == 3
    odd = "a 'b' \"c\" $HOME ;*"
    assert n1.ok(["pct", "exec", "100", "--", "echo", odd]) == odd + "\n"


def test_containers_of_two_nodes_reach_each_other(lab, n1, n2):
    create(n1, 100, lab.busybox, "--net0", NET.format(100), "--start", "1")
    create(n2, 101, lab.busybox, "--net0", NET.format(101), "--start", "1")
    wait_for(lambda: "10.0.0.101" in n2.ok(["pct", "exec", "101", "--", "ip", "address"]), 5,
             "the address of container 101")
    n1.ok(["pct", "exec", "100", "--", "ping", "-c", "1", "-W", "5", "10.0.0.101"])


@pytest.mark.parametrize("unprivileged", ["0", "1"])
@pytest.mark.parametrize("rootfs", ["local:1", "local:0"])
def test_every_kind_of_root_runs(lab, n1, unprivileged, rootfs):
    n1.ok(["pct", "create", "100", lab.busybox, "--rootfs", rootfs, "--unprivileged",
           unprivileged, "--start", "1"])
    mapped = n1.ok(["pct", "exec", "100", "--", "cat", "/proc/self/uid_map"]).split()
    assert mapped[1] == ("100000" if unprivileged == "1" else "0")
    n1.ok(["pct", "exec", "100", "--", "touch", "/root/mine"])


def test_shutdown_is_orderly_and_stop_is_not(lab, n1):
    create(n1, 100, lab.busybox, "--start", "1")
    clean = ["test", "-e", "/var/log/clean-shutdown"]
    wait_for(lambda: n1.run(["pct", "exec", "100", "--", "test", "-e", "/run/booted"]).returncode
             == 0, 10, "the container to boot")
    n1.ok(["pct", "stop", "100"])
    assert status(n1, 100) == "stopped"
    n1.ok(["pct", "start", "100"])
    assert n1.run(["pct", "exec", "100", "--", *clean]).returncode == 1
    wait_for(lambda: n1.run(["pct", "exec", "100", "--", "test", "-e", "/run/booted"]).returncode
             == 0, 10, "the container to boot")
    n1.ok(["pct", "shutdown", "100", "--timeout", "30"])
    assert status(n1, 100) == "stopped"
    n1.ok(["pct", "start", "100"])
    assert n1.run(["pct", "exec", "100", "--", *clean]).returncode == 0


def test_reboot_applies_what_was_set(lab, n1):
    create(n1, 100, lab.busybox, "--hostname", "before")
    n1.ok(["pct", "set", "100", "--hostname", "after", "--memory", "128"])
    n1.ok(["pct", "start", "100"])
    assert n1.ok(["pct", "exec", "100", "--", "hostname"]) == "after\n"
    n1.ok(["pct", "reboot", "100", "--timeout", "30"])
    assert status(n1, 100) == "running"


def test_a_stopped_or_destroyed_container_leaves_nothing(lab, n1):
    before = footprints(lab)
    create(n1, 100, lab.busybox, "--net0", NET.format(100))
    created = footprints(lab)
    n1.ok(["pct", "start", "100"])
    n1.ok(["pct", "stop", "100"])
    lxc = {"/var/lib/lxc/100"}
    wait_for(lambda: footprints(lab)["n1"] - lxc <= created["n1"], 10, "the stop to be complete")
    n1.ok(["pct", "destroy", "100"])
    settles_to(lab, before)
    for node in lab.nodes:
        assert node.run(["pct", "config", "100"]).returncode != 0


def test_a_debian_container_boots_and_shuts_down(lab, n1):
    volume = template.install("debian", [n1])
    create(n1, 100, volume, "--unprivileged", "1", "--features", "nesting=1", "--memory", "512",
           "--net0", NET.format(100), "--start", "1", timeout=180)

    def running():
        return n1.run(["pct", "exec", "100", "--", "systemctl", "is-system-running"]).stdout.strip()

    state = wait_for(lambda: running() in ("running", "degraded") and running(), 60,
                     "the container to be up", every=1)
    assert state in ("running", "degraded")
    keys = n1.ok(["pct", "exec", "100", "--", "sh", "-c", "ls /etc/ssh/ssh_host_*_key"])
    assert "ssh_host_ed25519_key" in keys
    assert "10.0.0.100/24" in n1.ok(["pct", "exec", "100", "--", "ip", "address", "show", "eth0"])
    n1.ok(["pct", "shutdown", "100", "--timeout", "60"], timeout=90)
    assert status(n1, 100) == "stopped"
    n1.ok(["pct", "start", "100"])
    wait_for(lambda: running() in ("running", "degraded"), 60, "the second boot", every=1)
    boots = n1.ok(["pct", "exec", "100", "--", "last", "-x", "-n", "20"])
    assert "shutdown" in boots, f"the first run did not end in order: {boots}"


# --- one owner ------------------------------------------------------------------------------------


def test_of_two_that_create_one_id_at_one_moment_one_wins(lab, n1, n2):
    before = footprints(lab)
    wins = {"n1": 0, "n2": 0}
    for round_number in range(100):
        command = ["pct", "create", "200", lab.busybox, "--rootfs", "local:0"]
        racers = {node: node.popen(command, text=True, stdout=-1, stderr=-1) for node in (n1, n2)}
        ends = {node: (*racer.communicate(timeout=60), racer.returncode)
                for node, racer in racers.items()}
        winners = [node for node, end in ends.items() if end[2] == 0]
        assert len(winners) == 1, f"round {round_number}: {ends}"
        loser = n2 if winners[0] is n1 else n1
        said = ends[loser][0] + ends[loser][1]
        assert "already exists" in said, f"round {round_number}: the loser says {said}"
        wins[winners[0].name] += 1
        mine = footprints(lab)
        assert not mine[loser.name] - before[loser.name] - {"nodes/n1/lxc/200.conf",
                                                             "nodes/n2/lxc/200.conf"}
        winners[0].ok(["pct", "destroy", "200"])
    settles_to(lab, before)
    assert sum(wins.values()) == 100


def test_an_id_taken_on_another_node_is_refused(lab, n1, n2):
    create(n1, 100, lab.busybox)
    before = footprints(lab)
    done = n2.run(["pct", "create", "100", lab.busybox, "--rootfs", "local:1"])
    assert done.returncode != 0
    assert "already exists on node" in done.stderr and "n1" in done.stderr
    assert footprints(lab) == before


def test_a_store_that_is_away_is_not_taken_for_an_empty_one(lab, n1):
    create(n1, 100, lab.busybox)
    n1.service("stop", "atoll-cfs")
    try:
        for command in (["list"], ["config", "100"], ["start", "100"], ["destroy", "100"]):
            done = n1.run(["pct", *command])
            assert done.returncode != 0 and "is not mounted on" in done.stderr, done
    finally:
        n1.service("start", "atoll-cfs")
    lab.wait_formed()


def test_destroy_with_unreferenced_volumes_names_those_only(lab, n1):
    create(n1, 100, lab.busybox)
    n1.ok(["cp", "/var/lib/vz/images/100/vm-100-disk-0.raw", "/var/lib/vz/images/100/vm-100-disk-7.raw"])
    said = n1.ok(["pct", "destroy", "100", "--destroy-unreferenced-disks"])
    assert "disk-7" in said and "disk-0" not in said
    assert n1.ok(["ls", "/var/lib/vz/images"]) == ""


# --- faults ---------------------------------------------------------------------------------------


def test_a_node_cut_off_says_why_and_goes_on_reading(lab, n1, n3):
    create(n1, 100, lab.busybox)
    create(n3, 301, lab.busybox, "--start", "1")
    before = footprints(lab)
    with lab.locked():
        lab.partition(["n1,n2", "|", "n3"])
    wait_for(lambda: n3.run(["touch", "/etc/pve/cut"]).returncode != 0, 20, "n3 to lose quorum",
             every=0.5)
    begun = time.monotonic()
    assert "Read-only file system" in n3.run(["touch", "/etc/pve/cut"]).stderr
    done = n3.run(["pct", "create", "300", lab.busybox, "--rootfs", "local:1"])
    assert time.monotonic() - begun < 5
    assert done.returncode != 0
    assert "no quorum" in done.stderr
    assert "100.conf" in n3.ok(["ls", "/etc/pve/nodes/n1/lxc"])
    # It could be stopped, but not started again.
    assert "no quorum" in n3.run(["pct", "reboot", "301"]).stderr
    assert status(n3, 301) == "running"
    assert footprints(lab)["n3"] == before["n3"]
    # The majority goes on.
    n1.ok(["pct", "set", "100", "--hostname", "goes-on"])
    with lab.locked():
        lab.heal()
    lab.wait_formed()
    wait_for(lambda: "goes-on" in n3.ok(["cat", "/etc/pve/nodes/n1/lxc/100.conf"]), 20,
             "n3 to catch up")
    listing = ["find", "/etc/pve/nodes", "-type", "f", "-exec", "sha256sum", "{}", "+"]
    assert len({tuple(sorted(node.ok(listing).splitlines())) for node in lab.nodes}) == 1


def test_with_one_node_off_the_others_go_on(lab, n1, n2, n3):
    n3.power_off()
    wait_for(lambda: n1.run(["touch", "/etc/pve/two-left"]).returncode == 0, 20,
             "the two to go on", every=0.5)
    create(n1, 100, lab.busybox, "--start", "1")
    assert "100.conf" in n2.ok(["ls", "/etc/pve/nodes/n1/lxc"])
    n3.power_on()
    lab.wait_formed()
    assert "100.conf" in n3.ok(["ls", "/etc/pve/nodes/n1/lxc"])
    n1.ok(["rm", "/etc/pve/two-left"])


def test_a_container_starts_again_after_a_power_cut(lab, n2):
    create(n2, 100, lab.busybox, "--net0", NET.format(100), "--start", "1")
    n2.ok(["pct", "exec", "100", "--", "sh", "-c", "echo kept >/root/kept; sync"])
    n2.power_off()
    n2.power_on()
    lab.wait_formed()
    if status(n2, 100) != "running":
        n2.ok(["pct", "start", "100"])
    assert n2.ok(["pct", "exec", "100", "--", "cat", "/root/kept"]) == "kept\n"


def test_containers_start_at_boot_as_soon_as_there_is_quorum(lab, n3):
    create(n3, 100, lab.busybox, "--onboot", "1", "--start", "1")
    with lab.locked():
        lab.partition(["n1,n2", "|", "n3"])
    n3.power_off()
    n3.power_on()
    wait_for(lambda: n3.services()["atolld"]["state"] == "ready", 30, "the agent")
    time.sleep(3)
    assert status(n3, 100) == "stopped"
    with lab.locked():
        lab.heal()
    lab.wait_formed()
    wait_for(lambda: status(n3, 100) == "running", 30, "the container", every=0.5)


def agent_pid(node):
    return node.services()["atolld"]["pid"]


def kill_agent(node):
    """kill -9, and until the next one serves."""
    old = agent_pid(node)
    node.ok(["kill", "-9", str(old)])
    wait_for(lambda: node.services()["atolld"]["state"] == "ready" and agent_pid(node) != old, 20,
             "the agent to be back")


def test_a_container_outlives_its_agent(lab, n1):
    create(n1, 100, lab.busybox, "--start", "1")
    n1.ok(["pct", "exec", "100", "--", "touch", "/run/witness"])
    kill_agent(n1)
    assert status(n1, 100) == "running"
    n1.ok(["pct", "exec", "100", "--", "test", "-e", "/run/witness"])
    n1.ok(["pct", "stop", "100"])


def test_an_agent_killed_during_a_create_leaves_all_or_nothing(lab, n1):
    before = footprints(lab)
    chance = random.Random(1)
    outcomes = set()
    for _ in range(10):
        client = n1.popen(["pct", "create", "100", lab.busybox, "--rootfs", "local:1"], text=True,
                          stdout=-1, stderr=-1)
        time.sleep(chance.uniform(0.01, 0.4))
        kill_agent(n1)
        client.communicate(timeout=60)

        def decided():
            """Nobody works on it any more, and there is no such container, or one that is whole."""
            if n1.run(["pgrep", "-x", "atoll-worker"]).returncode == 0:
                return False
            config = n1.run(["pct", "config", "100"])
            if "does not answer" in config.stderr:
                return False
            return config.returncode != 0 or "lock:" not in config.stdout

        wait_for(decided, 30, "the create to be finished or taken back", every=0.5)
        if n1.run(["pct", "config", "100"]).returncode == 0:
            outcomes.add("finished")
            n1.ok(["pct", "start", "100"])
            n1.ok(["pct", "exec", "100", "--", "true"])
            n1.ok(["pct", "destroy", "100", "--force"])
        else:
            outcomes.add("taken back")
        settles_to(lab, before)
    assert outcomes
