# SPDX-License-Identifier: Apache-2.0
"""The life of a container on one node: what happens when a step of it is interrupted or fails."""

import json
import random
import re
import time

import pytest
from labkit.run import wait_for
from support.product import create, footprint, refused, remove_containers, settles_to, status

NET = "name=eth0,bridge=vmbr0,ip=10.0.0.100/24"
WORKER = "/usr/libexec/atoll/atoll-worker"


@pytest.fixture(autouse=True)
def no_containers(single_lab, node):
    """Each test begins and ends without containers, and leaves nothing on the node."""
    remove_containers(single_lab)
    before = {node.name: footprint(node)}
    yield
    remove_containers(single_lab)
    settles_to(single_lab, before)


def job(node, kind, vmid, **params):
    """Runs a job by a worker of our own, as the agent would: its answer."""
    text = json.dumps({"type": kind, "vmid": vmid, "node": node.name, "user": "root@pam",
                       "params": params})
    return json.loads(node.run([WORKER], stdin=text).stdout)


def inside(node, *command):
    return node.run(["pct", "exec", "100", "--", *command])


def booted(node):
    wait_for(lambda: inside(node, "test", "-e", "/run/booted").returncode == 0, 10,
             "the container to boot")


def test_a_reboot_from_inside_applies_what_is_pending(single_lab, node):
    create(node, 100, single_lab.busybox, "--net0", NET, "--memory", "128", "--start", "1")
    booted(node)
    node.ok(["pct", "set", "100", "--memory", "96"])
    assert "new memory: 96" in node.ok(["pct", "pending", "100"])
    inside(node, "rm", "/run/booted")
    inside(node, "reboot")
    wait_for(lambda: "cur memory: 96" in node.ok(["pct", "pending", "100"]), 20, "the new memory")
    wait_for(lambda: status(node, 100) == "running", 20, "the container to run again")
    booted(node)


def test_a_container_that_powers_itself_off_is_cleaned_up(single_lab, node):
    create(node, 100, single_lab.busybox, "--net0", NET, "--start", "1")
    booted(node)
    node.ok(["pct", "set", "100", "--tty", "1"])
    inside(node, "poweroff")
    wait_for(lambda: status(node, 100) == "stopped", 20, "the container to stop")
    wait_for(lambda: "new" not in node.ok(["pct", "pending", "100"]), 10, "pending to be applied")
    assert "veth100i0" not in node.ok(["ls", "/sys/class/net"])


def test_states_refuse_what_does_not_fit(single_lab, node):
    create(node, 100, single_lab.busybox)
    refused(single_lab, node, ["pct", "stop", "100"], "not running")
    refused(single_lab, node, ["pct", "exec", "100", "--", "true"], "not running")
    node.ok(["pct", "start", "100"])
    refused(single_lab, node, ["pct", "start", "100"], "already running")
    refused(single_lab, node, ["pct", "destroy", "100"], "is running")
    node.ok(["pct", "destroy", "100", "--force"])


def test_a_program_ends_when_nobody_reads_its_output(single_lab, node):
    create(node, 100, single_lab.busybox)
    node.ok(["pct", "start", "100"])
    booted(node)
    result = node.run(["bash", "-c", "pct exec 100 -- yes | head -1; echo ${PIPESTATUS[0]}"])
    assert (result.stdout, result.stderr) == ("y\n141\n", "")
    wait_for(lambda: inside(node, "pidof", "yes").returncode != 0, 10, "the program to end")


def test_a_lock_is_respected_until_it_is_removed(single_lab, node):
    create(node, 100, single_lab.busybox)
    config = "/etc/pve/nodes/n1/lxc/100.conf"
    node.ok(["sh", "-c", f"echo 'lock: backup' >>{config}"])
    for command in ("start", "destroy"):
        refused(single_lab, node, ["pct", command, "100"], "locked (backup)")
    node.ok(["pct", "start", "100", "--skiplock"])
    node.ok(["pct", "stop", "100", "--skiplock"])
    node.ok(["pct", "unlock", "100"])
    refused(single_lab, node, ["pct", "unlock", "100"])
    node.ok(["pct", "start", "100"])


def test_a_bridge_that_went_away_is_named(single_lab, node):
    node.ok(["ip", "link", "add", "vmbr7", "type", "bridge"])
    create(node, 100, single_lab.busybox, "--net0", "name=eth0,bridge=vmbr7")
    node.ok(["ip", "link", "delete", "vmbr7"])
    refused(single_lab, node, ["pct", "start", "100"], "bridge 'vmbr7' does not exist")


def test_a_failing_hook_says_why_in_the_task_log(single_lab, node):
    create(node, 100, single_lab.busybox)
    node.ok(["mv", "/var/lib/vz/images/100/vm-100-disk-0.raw", "/var/lib/vz/away"])
    said = node.run(["pct", "start", "100"]).stderr
    assert "cannot start CT 100" in said and "vm-100-disk-0.raw" in said
    assert "100" not in node.ok(["find", "/sys/fs/cgroup", "-path", "*lxc/100*"])
    node.ok(["mv", "/var/lib/vz/away", "/var/lib/vz/images/100/vm-100-disk-0.raw"])
    node.ok(["pct", "start", "100"])


def test_cgroups_left_by_a_crash_do_not_hinder_a_start(single_lab, node):
    create(node, 100, single_lab.busybox)
    node.ok(["sh", "-c", "for d in /sys/fs/cgroup/*; do mkdir -p $d/lxc/100/ns $d/lxc.monitor/100;"
             " done 2>/dev/null; true"])
    node.ok(["pct", "start", "100"])
    pid = re.search(r"^pid: (\d+)", node.ok(["pct", "status", "100", "--verbose"]), re.M)[1]
    assert "/lxc/100/ns" in node.ok(["cat", f"/proc/{pid}/cgroup"])
    assert "-1" not in node.ok(["cat", f"/proc/{pid}/cgroup"])


def test_volumes_are_made_for_a_stopped_container_and_wait_for_a_running_one(single_lab, node):
    create(node, 100, single_lab.busybox)
    node.ok(["pct", "set", "100", "--mp0", "local:0.1,mp=/data"])
    assert "vm-100-disk-1.raw,mp=/data" in node.ok(["pct", "config", "100"])
    node.ok(["pct", "start", "100"])
    assert inside(node, "touch", "/data/mine").returncode == 0
    node.ok(["pct", "set", "100", "--mp1", "local:0.1,mp=/more"])
    assert "vm-100-disk-2.raw" not in node.ok(["ls", "/var/lib/vz/images/100"])
    node.ok(["pct", "reboot", "100", "--timeout", "20"])
    assert inside(node, "touch", "/more/mine").returncode == 0


@pytest.mark.parametrize("rootfs", ["local:1", "local:0"])
def test_a_worker_killed_during_a_create_is_undone(single_lab, node, rootfs):
    before = footprint(node)
    text = json.dumps({"type": "vzcreate", "vmid": 100, "node": node.name, "user": "root@pam",
                       "params": {"ostemplate": single_lab.busybox, "rootfs": rootfs}})
    chance = random.Random(7)
    undone = 0
    for _ in range(8):
        worker = node.popen([WORKER], text=True, stdin=-1, stdout=-1, stderr=-1)
        worker.stdin.write(text)
        worker.stdin.close()
        time.sleep(chance.uniform(0, 0.25))
        node.run(["pkill", "-9", "-x", "atoll-worker"])
        worker.wait(20)
        assert "error" not in job(node, "recover", 100)
        assert "error" not in job(node, "recover", 100)
        if node.run(["test", "-e", "/etc/pve/nodes/n1/lxc/100.conf"]).returncode == 0:
            assert "lock" not in node.ok(["pct", "config", "100"])
            node.ok(["pct", "destroy", "100"])
        else:
            undone += 1
        settles_to(single_lab, {node.name: before})
    assert undone


def test_a_create_does_not_trip_over_a_dead_one(single_lab, node):
    text = json.dumps({"type": "vzcreate", "vmid": 100, "node": node.name, "user": "root@pam",
                       "params": {"ostemplate": single_lab.busybox, "rootfs": "local:1"}})
    worker = node.popen([WORKER], text=True, stdin=-1, stdout=-1, stderr=-1)
    worker.stdin.write(text)
    worker.stdin.close()
    config = "/etc/pve/nodes/n1/lxc/100.conf"
    wait_for(lambda: node.run(["test", "-e", config]).returncode == 0, 10, "the claim", every=0.01)
    node.run(["pkill", "-9", "-x", "atoll-worker"])
    worker.wait(20)
    create(node, 100, single_lab.busybox, "--start", "1")


def test_containers_marked_so_start_with_the_node_in_order(single_lab, node):
    create(node, 100, single_lab.busybox, "--onboot", "1", "--startup", "order=2")
    create(node, 101, single_lab.busybox, "--onboot", "1", "--startup", "order=1")
    create(node, 102, single_lab.busybox)
    assert "error" not in job(node, "startall", 0)
    assert [status(node, vmid) for vmid in (100, 101, 102)] == ["running", "running", "stopped"]
    started = {vmid: int(node.ok(["sh", "-c", f"cut -d' ' -f2 /run/atoll/ct-{vmid}.monitor"]))
               for vmid in (100, 101)}
    assert started[101] < started[100]
